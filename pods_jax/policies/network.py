"""The policy network: a multilayer perceptron whose output respects the action limits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

MIN_DEVIATION = 1e-2
"""Of an observed number, relative to the largest one: what hardly ever changes is not blown up."""


class PolicyNetwork(nn.Module):
    """ReLU layers and a tanh output scaled to the action limits: pi(s) = limit * tanh(...).

    The last layer starts a hundred times smaller than the others, so that an untrained policy hardly moves. The
    observation is shifted and scaled first, by variables that no gradient changes, zero and one unless `standardize`
    sets them.
    """

    hidden_sizes: Sequence[int]
    action_size: int
    encoder: nn.Module | None = None  # what comes before the hidden layers, see `encoders`

    def __call__(self, observation: jax.Array, action_limit: jax.Array) -> jax.Array:
        """(..., A) for observations (..., O) and limits (A,), both in action units."""
        output = self.location(observation)
        return jnp.broadcast_to(action_limit, output.shape) * jnp.tanh(output)

    @nn.compact
    def location(self, observation: jax.Array) -> jax.Array:
        """(..., A) what the tanh is taken of: the location of a tanh-normal distribution of actions."""
        mean, deviation = self._scale("mean", jnp.zeros, observation), self._scale("deviation", jnp.ones, observation)
        hidden = (observation - mean) / deviation
        if self.encoder is not None:
            hidden = self.encoder(hidden)
        for size in self.hidden_sizes:
            hidden = nn.relu(nn.Dense(size, param_dtype=observation.dtype)(hidden))
        small = nn.initializers.variance_scaling(1e-4, "fan_in", "truncated_normal")
        return nn.Dense(self.action_size, kernel_init=small, param_dtype=observation.dtype)(hidden)

    def _scale(self, name: str, start: Callable[..., jax.Array], observation: jax.Array) -> jax.Array:
        variable = self.variable("scaling", name, start, observation.shape[-1:], observation.dtype)
        return jnp.broadcast_to(jax.lax.stop_gradient(variable.value), observation.shape)


def standardize(variables: Mapping[str, Any], observations: jax.Array) -> Mapping[str, Any]:
    """The variables of a network for which these observations (N, O) have mean zero and deviation one."""
    return {**variables, "scaling": scaling(jnp.mean(observations, axis=0), jnp.std(observations, axis=0))}


def scaling(mean: jax.Array, deviation: jax.Array) -> dict[str, jax.Array]:
    """The variables that shift and scale observations (O,), none of which is divided by next to nothing."""
    smallest = jnp.maximum(MIN_DEVIATION * jnp.max(deviation), jnp.finfo(deviation.dtype).tiny)
    return {"mean": mean, "deviation": jnp.maximum(deviation, smallest)}
