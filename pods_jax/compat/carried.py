"""Simulators that tell observation and reward with each step: both are carried in the state.

What carries no derivative, counters, flags and random keys, is carried untouched. Observation and reward are derived
with the state. A reward that was carried depends on the state linearly, which says nothing about its
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
    """The state of such an environment: floating-point numbers in the type of the observation, all else as it is."""
    observation = jnp.asarray(observation)
    if not jnp.issubdtype(observation.dtype, jnp.floating):
        observation = observation.astype(float)
    leaves = {"physics": physics, "observation": observation, "reward": jnp.asarray(reward, observation.dtype)}
    return jax.tree.map(lambda leaf: _as(leaf, observation.dtype), leaves)


def as_before(state: Any, kinds: Any) -> Any:
    """The state in the types that the other library has: those of its reset, where they are of the same sort.

    A step may have made other ones of them, such as float64 of float32, or a Python number.
    """
    return jax.tree.map(lambda leaf, kind: _as(leaf, kind.dtype), state, kinds)


def _as(leaf: Any, dtype: Any) -> jax.Array:
    leaf = jnp.asarray(leaf)
    same = any(
        all(jnp.issubdtype(kind, sort) for kind in (leaf.dtype, dtype)) for sort in (jnp.floating, jnp.integer)
    )
    return leaf.astype(dtype) if same else leaf


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
