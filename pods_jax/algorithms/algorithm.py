"""An algorithm is three pure functions: `init(key)`, `update(state)`, `policy(state)`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pods_jax.envs.environment import Environment
from pods_jax.types import Key, Metrics, Policy


@dataclass(frozen=True)
class Algorithm:
    """A way to learn a policy for one environment.

    init: key -> train state, compiled by the registry. update: train state -> (train state, metrics), one epoch,
    pure, to be compiled and scanned. policy: train state -> policy (O,) -> (A,), itself a pytree.
    """

    name: str
    env: Environment
    config: Any
    init: Callable[[Key], Any]
    update: Callable[[Any], tuple[Any, Metrics]]
    policy: Callable[[Any], Policy]
