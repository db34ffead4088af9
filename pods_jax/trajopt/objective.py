"""The objective, written once as a residual: cost = |r(s', a)|^2, and its Gauss-Newton expansion.

Reward is minus the cost (Eq. 15). A residual makes the expansion positive semidefinite by construction:
gradient 2 J'r and Hessian 2 J'J, which for residuals linear in s and a, as in Eq. 15, is exact.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

Residual: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""(next state (n,), action (A,)) -> residual (R,)."""

Dynamics: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""(state (n,), action (A,)) -> next state (n,)."""


@struct.dataclass
class Quadratic:
    """Second-order expansion of the cost of one step in (next state s, action a)."""

    s: jax.Array  # (n,) gradient
    a: jax.Array  # (A,) gradient
    ss: jax.Array  # (n, n)
    aa: jax.Array  # (A, A)
    as_: jax.Array  # (A, n)


def quadratize(residual: Residual, state: jax.Array, action: jax.Array) -> Quadratic:
    """The Gauss-Newton expansion of |residual|^2 at one (next state (n,), action (A,))."""
    value = residual(state, action)
    by_state, by_action = jax.jacfwd(residual, argnums=(0, 1))(state, action)
    return Quadratic(
        s=2 * by_state.T @ value,
        a=2 * by_action.T @ value,
        ss=2 * by_state.T @ by_state,
        aa=2 * by_action.T @ by_action,
        as_=2 * by_action.T @ by_state,
    )


def simulate(dynamics: Dynamics, state: jax.Array, actions: jax.Array) -> jax.Array:
    """(T, n) the states that `actions` (T, A) lead to from `state` (n,), which is not among them."""

    def advance(state, action):
        state = dynamics(state, action)
        return state, state

    return jax.lax.scan(advance, state, actions)[1]


def residuals(dynamics: Dynamics, residual: Residual, state: jax.Array, actions: jax.Array) -> jax.Array:
    """(T, R) all residuals along the trajectory of `actions` (T, A) from `state` (n,)."""
    return jax.vmap(residual)(simulate(dynamics, state, actions), actions)


def total_cost(dynamics: Dynamics, residual: Residual, state: jax.Array, actions: jax.Array) -> jax.Array:
    """Sum of the costs |r(s_{t+1}, a_t)|^2 over the trajectory: minus the return (Eq. 4)."""
    return jnp.sum(residuals(dynamics, residual, state, actions) ** 2)
