"""Directions of improvement: from (dynamics, residual, trajectory, limits) to a change of the actions.

All work on the cost C = -V, so that the Hessian is positive semidefinite and the step is -H^-1 g (the
paper's Eq. 14 is the same step written for the reward, whose Hessian is negative). Action limits are
constraints of the quadratic model: a step that is clipped afterwards points through the wall.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks
from pods_jax.trajopt.box import minimize_in_box
from pods_jax.trajopt.linearize import linearize
from pods_jax.trajopt.lqr import Feedback, solve_lqr
from pods_jax.trajopt.objective import Dynamics, Residual, quadratize, residuals, total_cost


@struct.dataclass
class Problem:
    """One trajectory to improve."""

    dynamics: Dynamics = struct.field(pytree_node=False)
    residual: Residual = struct.field(pytree_node=False)
    state: jax.Array  # (n,) initial state
    actions: jax.Array  # (T, A)
    states: jax.Array  # (T, n) where the actions lead
    limit: jax.Array  # (A,) |action| <= limit


@struct.dataclass
class Direction:
    """A change of the actions, and how to react to deviations from the trajectory."""

    change: jax.Array  # (T, A)
    gains: jax.Array  # (T, A, n)
    curvature: jax.Array  # (T, A, A), how much an error of one action costs
    slope: jax.Array  # () derivative of the cost along the change, negative unless optimal
    closed_loop: bool = struct.field(pytree_node=False)  # whether the line search applies the gains


def first_order(problem: Problem, damping: float = 0.0) -> Direction:
    """Steepest descent, Eq. 6: change = -dC/da, by reverse accumulation; the line search projects it."""
    del damping
    gradient = jax.grad(_cost_of_actions(problem))(problem.actions)
    horizon, num_actions = problem.actions.shape
    gains = jnp.zeros((horizon, num_actions, problem.state.shape[0]), gradient.dtype)
    curvature = jnp.broadcast_to(jnp.eye(num_actions, dtype=gradient.dtype), (horizon, num_actions, num_actions))
    lower, upper = _bounds(problem)
    slope = jnp.sum(gradient * jnp.clip(-gradient, lower, upper))
    return Direction(-gradient, gains, curvature, slope, closed_loop=False)


def gauss_newton(problem: Problem, damping: float = 0.0) -> Direction:
    """Dense Gauss-Newton, Eq. 13-14: H = 2 J'J with J = d(all residuals)/d(all actions), by forward mode.

    The sensitivities come from `jacfwd` through the implicit solves of the whole trajectory.
    """
    value, jacobian = _value_and_jacobian(problem)
    return _dense_step(problem, 2 * jacobian.T @ jacobian, 2 * jacobian.T @ value, damping)


def riccati(problem: Problem, damping: float = 0.0) -> Direction:
    """The Gauss-Newton step of Eq. 14 in O(T) by a backward Riccati pass; followed in closed loop."""
    feedback = _feedback(problem, damping)
    return Direction(feedback.change, feedback.gains, feedback.curvature, feedback.slope, closed_loop=True)


def newton(problem: Problem, damping: float = 0.0) -> Direction:
    """The exact Hessian, Eq. 11-12, made definite: each eigenvalue is replaced by its absolute value.

    An ablation: it costs T A reverse passes, and the second-order sensitivities that Gauss-Newton drops often
    make it indefinite.
    """
    cost = _cost_of_actions(problem)
    size = problem.actions.size

    def flat_cost(actions):
        return cost(actions.reshape(problem.actions.shape))

    flat = problem.actions.reshape(-1)
    gradient, hessian = jax.grad(flat_cost)(flat), jax.jacfwd(jax.grad(flat_cost))(flat)
    eigenvalues, vectors = jnp.linalg.eigh((hessian + hessian.T) / 2)
    magnitudes = jnp.abs(eigenvalues)
    floor = size * jnp.finfo(flat.dtype).eps * jnp.max(magnitudes)
    definite = (vectors * jnp.maximum(magnitudes, floor)[None]) @ vectors.T
    return _dense_step(problem, definite, gradient, damping)


DIRECTIONS: dict[str, Callable[..., Direction]] = {
    "first_order": first_order,
    "gauss_newton": gauss_newton,
    "riccati": riccati,
    "newton": newton,
}


def get(method: str) -> Callable[..., Direction]:
    """The direction called `method`; raises InputError naming the closest one."""
    return DIRECTIONS[checks.choice("method", method, DIRECTIONS)]


def _dense_step(problem: Problem, hessian: jax.Array, gradient: jax.Array, damping: float) -> Direction:
    shape = problem.actions.shape
    lower, upper = _bounds(problem)
    damped = hessian + damping * jnp.eye(gradient.shape[0], dtype=gradient.dtype)
    change = minimize_in_box(damped, gradient, lower.reshape(-1), upper.reshape(-1)).x
    feedback = _feedback(problem, damping)
    return Direction(
        change=change.reshape(shape),
        gains=feedback.gains,
        curvature=feedback.curvature,
        slope=gradient @ change,
        closed_loop=False,
    )


def _feedback(problem: Problem, damping: float) -> Feedback:
    model = linearize(problem.dynamics, problem.state, problem.states, problem.actions)
    cost = jax.vmap(lambda state, action: quadratize(problem.residual, state, action))(
        problem.states, problem.actions
    )
    lower, upper = _bounds(problem)
    return solve_lqr(model, cost, lower, upper, damping)


def _value_and_jacobian(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """((T R,), (T R, T A)): all residuals and their derivative by all actions."""

    def flat_residuals(actions):
        value = residuals(problem.dynamics, problem.residual, problem.state, actions.reshape(problem.actions.shape))
        return value.reshape(-1), value.reshape(-1)

    jacobian, value = jax.jacfwd(flat_residuals, has_aux=True)(problem.actions.reshape(-1))
    return value, jacobian


def _cost_of_actions(problem: Problem) -> Callable[[jax.Array], jax.Array]:
    return lambda actions: total_cost(problem.dynamics, problem.residual, problem.state, actions)


def _bounds(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """(T, A) twice: by how much each action may change; never excludes zero, even if rounding would."""
    lower = jnp.minimum(-problem.limit[None] - problem.actions, 0.0)
    upper = jnp.maximum(problem.limit[None] - problem.actions, 0.0)
    return lower, upper
