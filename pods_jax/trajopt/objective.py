"""The objective, written once: the cost of one step, and its convex quadratic model.

Reward is minus the cost. Written as a squared residual (Eq. 15), the model is that of Gauss-Newton, positive
semidefinite by construction: gradient 2 J'r and Hessian 2 J'J, which for residuals linear in s and a is exact. Of any
other differentiable cost the model is the Taylor expansion with the positive semidefinite part of the Hessian, the
nearest convex one; s and a may be coupled in both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

Dynamics: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""(state (n,), action (A,)) -> next state (n,)."""

Residual: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""(next state (n,), action (A,)) -> residual (R,)."""

Cost: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""(next state (n,), action (A,)) -> cost ()."""


@struct.dataclass
class Quadratic:
    """Second-order model of the cost of one step in (next state s, action a)."""

    s: jax.Array  # (n,) gradient
    a: jax.Array  # (A,) gradient
    ss: jax.Array  # (n, n)
    aa: jax.Array  # (A, A)
    as_: jax.Array  # (A, n)


@dataclass(frozen=True)
class Objective:
    """What one step costs, and its quadratic model at the same (next state, action)."""

    cost: Cost
    quadratize: Callable[[jax.Array, jax.Array], Quadratic]


def least_squares(residual: Residual) -> Objective:
    """The objective |residual|^2 with its Gauss-Newton model."""

    def cost(state, action):
        return jnp.sum(residual(state, action) ** 2)

    def quadratize(state, action):
        value = residual(state, action)
        by_state, by_action = jax.jacfwd(residual, argnums=(0, 1))(state, action)
        return Quadratic(
            s=2 * by_state.T @ value,
            a=2 * by_action.T @ value,
            ss=2 * by_state.T @ by_state,
            aa=2 * by_action.T @ by_action,
            as_=2 * by_action.T @ by_state,
        )

    return Objective(cost, quadratize)


def differentiable(cost: Cost) -> Objective:
    """The objective of any twice differentiable cost, with the positive semidefinite part of its Hessian."""

    def quadratize(state, action):
        size = state.shape[0]

        def joint_cost(joint):
            return cost(joint[:size], joint[size:])

        joint = jnp.concatenate([state, action])
        gradient, hessian = jax.grad(joint_cost)(joint), jax.hessian(joint_cost)(joint)
        eigenvalues, vectors = jnp.linalg.eigh((hessian + hessian.T) / 2)
        convex = (vectors * jnp.maximum(eigenvalues, 0.0)[None]) @ vectors.T
        return Quadratic(
            s=gradient[:size],
            a=gradient[size:],
            ss=convex[:size, :size],
            aa=convex[size:, size:],
            as_=convex[size:, :size],
        )

    return Objective(cost, quadratize)


def simulate(dynamics: Dynamics, state: jax.Array, actions: jax.Array) -> jax.Array:
    """(T, n) the states that `actions` (T, A) lead to from `state` (n,), which is not among them."""

    def advance(state, action):
        state = dynamics(state, action)
        return state, state

    return jax.lax.scan(advance, state, actions)[1]


def total_cost(
    dynamics: Dynamics, cost: Cost, state: jax.Array, actions: jax.Array, weights: jax.Array | float = 1.0
) -> jax.Array:
    """Sum of the costs of arriving in s_{t+1} by a_t over the trajectory: minus the return (Eq. 4).

    weights: (T,) how much each step counts, or one number.
    """
    return jnp.sum(weights * jax.vmap(cost)(simulate(dynamics, state, actions), actions))
