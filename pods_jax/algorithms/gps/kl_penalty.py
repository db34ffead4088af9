"""Staying near a policy, as linear-quadratic control sees it: (s, e) is the state, e = a - mu(s) the last deviation.

The penalty of a deviation couples s_t and a_t, and a cost of arriving knows s_{t+1} and a_t: so e is carried along.
"""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt import LinearModel, Objective
from pods_jax.trajopt.objective import Quadratic


@struct.dataclass
class KlPenalizedModel:
    """The LinearModel of (s, e) -> (s', e') under an action: e' = a - mu(s)."""

    model: LinearModel
    gains: jax.Array  # (A, n) of the policy, d mu / ds

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See LinearModel."""
        by_next_state, by_deviation = jnp.split(by_next, [self.gains.shape[1]])
        by_state, by_action = self.model.transpose_product(by_next_state)
        by_state = by_state - self.gains.T @ by_deviation
        return jnp.concatenate([by_state, jnp.zeros_like(by_deviation)]), by_action + by_deviation

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """See LinearModel."""
        above = by_state[: self.gains.shape[1]]
        return jnp.concatenate([self.model.product(above, by_action), by_action - self.gains @ above])


def penalized(plain: Objective, precision: jax.Array, size: int) -> Objective:
    """The objective of (s', e) with the penalty 1/2 e' precision e."""

    def cost(joint, action):
        deviation = joint[size:]
        return plain.cost(joint[:size], action) + deviation @ precision @ deviation / 2

    def quadratize(joint, action):
        model, deviation = plain.quadratize(joint[:size], action), joint[size:]
        more = deviation.shape[0]
        return Quadratic(
            s=jnp.concatenate([model.s, precision @ deviation]),
            a=model.a,
            ss=jax.scipy.linalg.block_diag(model.ss, precision),
            aa=model.aa,
            as_=jnp.pad(model.as_, ((0, 0), (0, more))),
        )

    return Objective(cost, quadratize)
