"""Simulators that tell observation and reward with each step: both are carried in the state.

So they are derived with it. A reward that was carried depends on the state linearly, which says nothing about its
curvature: second-order steps want a residual, or a reward written as a function of what is in the state.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from pods_jax.envs import Environment, from_step
from pods_jax.types import Key


def carried(physics: Any, observation: jax.Array, reward: ArrayLike) -> dict[str, Any]:
    """The state of such an environment, all real numbers of the type of the observation."""
    leaves = {"physics": physics, "observation": observation, "reward": reward}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(observation.dtype), leaves)


def from_carried(
    step: Callable[[Any, jax.Array], Any],
    reset: Callable[[Key], Any],
    *,
    residual: Callable[[Any, jax.Array], jax.Array] | None,
    reward: Callable[[Any, jax.Array], jax.Array] | None,
    **settings: Any,
) -> Environment:
    """`envs.from_step` for functions whose states are `carried`; with neither residual nor reward, the own reward."""
    if residual is None and reward is None:
        reward = own_reward
    return from_step(
        promoting(step),
        promoting(reset),
        lambda state: state["observation"],
        residual=residual,
        reward=reward,
        **settings,
    )


def promoting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of another library, which may count on arrays of different ranks being broadcast."""

    def call(*arguments: Any) -> Any:
        with jax.numpy_rank_promotion("allow"):
            return function(*arguments)

    return call


def own_reward(state: Any, action: jax.Array) -> jax.Array:
    """() what the simulator itself rewarded."""
    return state["reward"]
