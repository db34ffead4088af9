"""The critic of SHAC: what a policy still earns from a state at a time, learnt from short windows.

An episode is exactly T steps and its return is not discounted, so what is still to be earned depends on the time.
The critic sees observation and time, and what it says is multiplied by the share of the episode that is left,

    V(s, t) = scale (1 - t / T) v(o(s), t / T),    V(s, T) = 0:

the time limit is a part of the task, and nothing is earned after it. Targets are the TD(lambda) returns of a window,

    G_t = r_t + (1 - lambda) V(s_{t+1}, t + 1) + lambda G_{t+1},    G = V after its last step,

with V from a target critic, a slow copy (Xu et al. 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from pods_jax.envs.environment import Environment, State
from pods_jax.types import Key


class CriticNetwork(nn.Module):
    """Layers with ELU and layer normalization, as in SHAC, and one number."""

    hidden_sizes: Sequence[int]

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """() for features (F,)."""
        dtype = features.dtype
        for size in self.hidden_sizes:
            features = nn.Dense(size, param_dtype=dtype)(features)
            features = nn.LayerNorm(param_dtype=dtype)(nn.elu(features))
        return nn.Dense(1, param_dtype=dtype)(features)[0]


@dataclass(frozen=True, eq=False)
class Critic:
    """The value of states of an environment."""

    env: Environment
    network: CriticNetwork

    def init(self, key: Key) -> Any:
        """The first parameters; the key is consumed."""
        size = self.env.observation_size + 1
        return self.network.init(key, jnp.zeros(size, self.env.action_limit.dtype))

    def value(self, params: Any, scale: jax.Array, state: State, time: jax.Array) -> jax.Array:
        """() what is earned from `state` on, when `time` steps of the episode are over."""
        left = jnp.maximum(1 - time / self.env.horizon, 0.0).astype(scale.dtype)
        value: Any = self.network.apply(params, jnp.concatenate([self.env.observe(state), (1 - left)[None]]))
        return scale * left * value


def lambda_returns(rewards: jax.Array, values: jax.Array, trace: float) -> jax.Array:
    """(h,) the TD(lambda) returns of a window; rewards (h,), values (h,) after each of its steps, trace: lambda."""

    def backward(later, inputs):
        reward, value = inputs
        target = reward + (1 - trace) * value + trace * later
        return target, target

    return jax.lax.scan(backward, values[-1], (rewards, values), reverse=True)[1]
