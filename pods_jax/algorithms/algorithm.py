"""An algorithm is three pure functions: `init(key)`, `update(state)`, `policy(state)`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pods_jax.envs.environment import Environment
from pods_jax.types import Key, Metrics, Policy

Update = Callable[[Any], tuple[Any, Metrics]]
"""Train state -> (train state, metrics): one epoch, pure, to be compiled and scanned."""


@dataclass(frozen=True)
class Phase:
    """Epochs that share one update: those from `first_epoch` on, until the next phase begins."""

    name: str
    first_epoch: int  # epochs that are over when it begins
    update: Update


@dataclass(frozen=True)
class Algorithm:
    """A way to learn a policy for one environment.

    init: key -> train state, compiled by the registry. update: one epoch. policy: train state -> policy (O,) -> (A,),
    itself a pytree. later_phases: in ascending order, updates that take the place of `update` after some epochs; each
    is compiled when training enters it.
    """

    name: str
    env: Environment
    config: Any
    init: Callable[[Key], Any]
    update: Update
    policy: Callable[[Any], Policy]
    later_phases: tuple[Phase, ...] = ()
    first_phase: str = "training"  # what the epochs of `update` are called

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases in order, `update` first."""
        return (Phase(self.first_phase, 0, self.update), *self.later_phases)
