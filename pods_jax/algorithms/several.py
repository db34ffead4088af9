"""An algorithm for several seeds at once: train states with a leading axis, leaves (S, ...), in one program."""

import dataclasses
from typing import Any

import jax

from pods_jax.algorithms.algorithm import Algorithm, Phase, Update
from pods_jax.devices import sharding
from pods_jax.types import Key, Metrics


def several(algorithm: Algorithm, num_seeds: int) -> Algorithm:
    """The algorithm whose train state is those of `num_seeds` trainings, and whose epoch trains each of them once.

    `init` takes one key for each, (S,), or one to be split. Metrics have the leading axis, too. `policy` is that of
    one train state (`select`). With several devices (`sharding.on`), each trains its share of the seeds.
    """

    def init(key: Key) -> Any:
        return jax.vmap(algorithm.init)(key if key.ndim else jax.random.split(key, num_seeds))

    def phase(one: Phase) -> Phase:
        return dataclasses.replace(one, update=_of_each(one.update))

    first, *later = map(phase, algorithm.phases)
    return dataclasses.replace(algorithm, init=jax.jit(init), update=first.update, later_phases=tuple(later))


def select(tree: Any, index: int) -> Any:
    """What belongs to one seed of a train state or of metrics with a leading axis."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _of_each(update: Update) -> Update:
    """An epoch of all train states, leaves (S, ...); devices that share rollouts otherwise share the seeds here."""

    def share(_: None, states: Any) -> tuple[Any, Metrics]:
        # A core gains nothing from more rollouts at once (`thresholds.MAX_CPU_ROLLOUTS`), and one after the other has
        # the operations of a single training; a GPU has room for all.
        result: tuple[Any, Metrics] = (
            jax.lax.map(update, states) if jax.default_backend() == "cpu" else jax.vmap(update)(states)
        )
        return result

    return lambda states: sharding.shard_map_rollouts(share)(None, states)
