"""The policy network: a multilayer perceptron whose output respects the action limits."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn


class PolicyNetwork(nn.Module):
    """ReLU layers and a tanh output scaled to the action limits: pi(s) = limit * tanh(...).

    The last layer starts a hundred times smaller than the others, so that an untrained policy hardly moves.
    """

    hidden_sizes: Sequence[int]
    action_size: int

    @nn.compact
    def __call__(self, observation: jax.Array, action_limit: jax.Array) -> jax.Array:
        """(..., A) [m/s] for observations (..., O) and limits (A,) [m/s]."""
        hidden = observation
        for size in self.hidden_sizes:
            hidden = nn.relu(nn.Dense(size, param_dtype=observation.dtype)(hidden))
        small = nn.initializers.variance_scaling(1e-4, "fan_in", "truncated_normal")
        output = nn.Dense(self.action_size, kernel_init=small, param_dtype=observation.dtype)(hidden)
        return jnp.broadcast_to(action_limit, output.shape) * jnp.tanh(output)
