"""The words that every module shares."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
from flax import struct

Key: TypeAlias = jax.Array
"""A typed random key (`jax.random.key`), consumed by the function that receives it."""

Policy: TypeAlias = Callable[[jax.Array], jax.Array]
"""Maps an observation (O,) to an action (A,) in action units, those of `Environment.action_limit`."""

Metrics: TypeAlias = Mapping[str, jax.Array]
"""Named numbers about one epoch: scalars or short vectors."""


@struct.dataclass
class LocalFeedback:
    """Linear feedback around a trajectory, a = actions_t + gains_t (s - s_t), and how much an error of it costs."""

    actions: jax.Array  # (T, A) in action units
    states: Any  # every leaf has a leading T: where the actions lead
    gains: jax.Array  # (T, A, n) reaction to deviations of the flattened state in which a step begins
    action_hessian: jax.Array  # (T, A, A) of the cost, by an error of one action


@struct.dataclass
class Trajectory:
    """What happened in T steps; step t leads from `observation[t]` by `action[t]` to `state[t]`.

    Observation and action belong to the start of each step, reward and state to its end:
    the reward of step t is r(s_{t+1}, a_t), so that the last action counts and Eq. 4 of the
    paper, whose sum would need an action a_N, has exactly T terms.
    """

    observation: jax.Array  # (T, O)
    action: jax.Array  # (T, A) in action units
    reward: jax.Array  # (T,)
    state: Any  # every leaf has a leading T
