"""Staying near a policy, as linear-quadratic control sees it: (s, e) is the state, e = a - mu(s) the last deviation.

The penalty of a deviation couples s_t and a_t, and a cost of arriving knows s_{t+1} and a_t: so e is carried along.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt import LinearModel, Objective, Problem
from pods_jax.trajopt.objective import Quadratic

Mean: TypeAlias = Callable[[jax.Array], jax.Array]
"""Flattened state (n,) -> mean of the policy's action (A,)."""


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


def penalized_problem(
    base: Problem, mean: Mean, precision: jax.Array, actions: jax.Array, states: jax.Array
) -> Problem:
    """`base` with the penalty 1/2 e' precision e in the cost of each step, about states and deviations (s, e).

    mean: of the policy, mu. precision: (A, A). actions: (T, A), which lead to `states` (T, n + A). The base
    must give each step the weight 1.
    """
    size = base.state.shape[0]

    def dynamics(joint, action):
        return jnp.concatenate([base.dynamics(joint[:size], action), action - mean(joint[:size])])

    def linearize(joint, action, after):
        model = base.linearize(joint[:size], action, after[:size])
        return KlPenalizedModel(model, jax.jacfwd(mean)(joint[:size]))

    return Problem(
        dynamics=dynamics,
        objective=_penalized_objective(base.objective, precision, size),
        linearize=linearize,
        state=jnp.concatenate([base.state, jnp.zeros_like(actions[0])]),
        actions=actions,
        states=states,
        weights=base.weights,
        limit=base.limit,
    )


def _penalized_objective(plain: Objective, precision: jax.Array, size: int) -> Objective:
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
