"""How a run measures its policy: what is prepared before training, looked at between chunks, and done at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from rich.console import Console

from pods_jax import evaluation
from pods_jax.envs import Environment
from pods_jax.evaluation import HeldOutSet, heldout_states, make_heldout_set
from pods_jax.runs.configuration import Configuration
from pods_jax.runs.progress import warn
from pods_jax.storage import optimum_cache
from pods_jax.types import Policy

Measure = Callable[[Environment, Policy, Any], dict[str, float]]
"""(environment, policy, what was prepared) -> named numbers."""


def prepare_heldout_set(
    configuration: Configuration,
    console: Console,
    make: Callable[..., HeldOutSet] = make_heldout_set,
    num_restarts: int = 0,
) -> HeldOutSet:
    """The held-out set with its optima, which an earlier run of the same kind may have left.

    make: (environment, number of rollouts, search=...) -> the set, where none was left. num_restarts: as for
    `make_heldout_set`; such a set is neither kept nor looked for.
    """
    env, count = configuration.algorithm.env, configuration.num_test_rollouts
    if not configuration.search_optimum:
        return make(env, count, search=False)
    if num_restarts:
        console.print(f"searching the best actions for {count} unseen initial states, {num_restarts} times more ...")
        return make(env, count, search=True, num_restarts=num_restarts)
    path = None if configuration.own_environment else optimum_cache.path_of(configuration.fields["env"], count)
    known = path and optimum_cache.read(path, count)
    if known is not None:
        console.print(f"the best actions for each of {count} unseen initial states are known from an earlier run")
        return HeldOutSet(heldout_states(env, count), jnp.asarray(known))
    console.print(f"searching the best actions for each of {count} unseen initial states ...")
    found = make(env, count, search=True)
    if path and not found.num_failed:  # a failure has to be said again
        try:
            optimum_cache.write(path, found.optimum)
        except OSError as error:
            warn(console, f"they could not be kept for the next run: {error}")
    return found


def evaluate_on_heldout_set(env: Environment, policy: Policy, heldout: HeldOutSet) -> dict[str, float]:
    """`pods_jax.evaluate` on a held-out set that was made before."""
    return evaluation.evaluate(env, policy, heldout=heldout)


@dataclass(frozen=True)
class Evaluator:
    """What a run measures its policy with; a run with a yardstick of its own replaces some of it.

    prepare: (configuration, console) -> whatever the other two need. monitor: between chunks, quick. evaluate: at the
    end. The numbers must have `return_mean`, which decides which checkpoint is the best, and `return_std`,
    `optimum_mean` and `optimality_gap`, which are drawn and may be NaN.
    """

    prepare: Callable[[Configuration, Console], Any] = prepare_heldout_set
    monitor: Measure = evaluation.monitor
    evaluate: Measure = evaluate_on_heldout_set


HELD_OUT = Evaluator()
"""The yardstick of this library: unseen initial states, and the best actions that are known for them."""
