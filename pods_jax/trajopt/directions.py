"""Directions of improvement: from (dynamics, objective, trajectory, limits) to a step of the actions.

All work on the cost C = -V, so that the Hessian is positive semidefinite and the step is -H^-1 g (the
paper's Eq. 14 is the same step written for the reward, whose Hessian is negative). Action limits are
constraints of the quadratic model: a step that is clipped afterwards points through the wall.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks, linalg
from pods_jax.thresholds import EXPECTED_HESSIAN_PRODUCTS
from pods_jax.trajopt.box_qp import DenseHessian, HessianOperator, solve_box_qp
from pods_jax.trajopt.hessian_products import dense_hessian, hessian_products
from pods_jax.trajopt.linearize import LinearModel
from pods_jax.trajopt.lqr import solve_lqr
from pods_jax.trajopt.objective import Quadratic, total_cost
from pods_jax.trajopt.problem import Problem, bounds, linear_models, models, quadratic_model

GAP_PRICE_MARGIN = 1.1
"""Closing gaps has to be worth more than the largest costate says that it costs (the exact penalty method)."""


@struct.dataclass
class Direction:
    """A step of the actions, and how to react to deviations from the trajectory."""

    step: jax.Array  # (T, A)
    gains: jax.Array  # (T, A, n)
    action_hessian: jax.Array  # (T, A, A) how much an error of one action costs
    slope: jax.Array  # () derivative of the cost along the step, negative unless optimal
    closed_loop: bool = struct.field(pytree_node=False)  # whether the line search applies the gains
    gap_price: jax.Array | None = None  # () what a gap of size one is worth, see `line_search`; only with gaps

    @property
    def is_finite(self) -> jax.Array:
        """() bool whether every number is finite; if not, a derivative is not, and nothing is known of an optimum."""
        return linalg.is_finite(self)


def first_order(problem: Problem, damping: float = 0.0) -> Direction:
    """Steepest descent, Eq. 6: step = -dC/da, by reverse accumulation; the line search projects it."""
    del damping
    gradient = jax.grad(_cost_of_actions(problem))(problem.actions)
    lower, upper = bounds(problem)
    return _without_feedback(problem, -gradient, jnp.sum(gradient * jnp.clip(-gradient, lower, upper)))


def gauss_newton(problem: Problem, damping: float = 0.0) -> Direction:
    """Dense Gauss-Newton, Eq. 13-14: H = sum_t (ds_t/da)' c_ss (ds_t/da) + c_aa + coupling, ds/da by forward mode."""
    step_models = models(problem)
    return _dense_step(problem, step_models, *dense_hessian(*step_models), damping)


def riccati(problem: Problem, damping: float | jax.Array = 0.0) -> Direction:
    """The Gauss-Newton step of Eq. 14 in O(T) by a backward Riccati pass; followed in closed loop.

    damping: () or (A,). It is the one direction that can start from guessed states and closes their gaps.
    """
    steps = (problem.weights, problem.states, problem.actions)
    quadratize = partial(quadratic_model, problem)
    feedback = solve_lqr(linear_models(problem), steps, *bounds(problem), damping, quadratize, problem.gaps)
    price = None if feedback.costate is None else GAP_PRICE_MARGIN * jnp.max(jnp.abs(feedback.costate))
    return Direction(
        feedback.step, feedback.gains, feedback.action_hessian, feedback.slope, closed_loop=True, gap_price=price
    )


def conjugate_gradient(problem: Problem, damping: float = 0.0) -> Direction:
    """The Gauss-Newton step of Eq. 14 to about a hundredth, by products with the Hessian only; without feedback."""
    product, gradient = hessian_products(*models(problem), damping)
    lower, upper = bounds(problem)
    step = solve_box_qp(HessianOperator(product), gradient, lower.reshape(-1), upper.reshape(-1)).x
    return _without_feedback(problem, step.reshape(lower.shape), gradient @ step)


def newton(problem: Problem, damping: float = 0.0) -> Direction:
    """The exact Hessian, Eq. 11-12, made definite: each eigenvalue is replaced by its absolute value.

    An ablation: it costs T A reverse passes, and the second-order sensitivities that Gauss-Newton drops often
    make it indefinite. Forwards over backwards loses digits over long stiff rollouts, in single precision too many.
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
    return _dense_step(problem, models(problem), definite, gradient, damping)


DIRECTIONS: dict[str, Callable[..., Direction]] = {
    "first_order": first_order,
    "gauss_newton": gauss_newton,
    "riccati": riccati,
    "conjugate_gradient": conjugate_gradient,
    "newton": newton,
}

DENSE = ("gauss_newton", "newton")
"""Directions with a matrix of all actions, (T A, T A)."""

REVERSE_MODE = ("first_order", "newton")
"""Directions that differentiate whole rollouts backwards, which needs steps with a derivative by reverse mode."""

WITHOUT_FEEDBACK = ("first_order", "conjugate_gradient", "auto")
"""Directions that have, or may have, no gains."""

METHODS = (*DIRECTIONS, "auto")


def choose(method: str, problem: Problem) -> str:
    """The name of a direction: the method, or what "auto" finds `cheapest`. Raises InputError on unknown ones."""
    return cheapest(problem) if checks.choice("method", method, METHODS) == "auto" else method


def cheapest(problem: Problem) -> str:
    """The name of the second-order direction that takes the fewest operations; see `counts`."""
    found = counts(problem)
    return min(found, key=lambda name: found[name])


def counts(problem: Problem) -> dict[str, int]:
    """About how many multiplications one direction takes, by Riccati steps and by conjugate gradients.

    A product of one row with the derivative of a step takes as many as its model has numbers.
    """
    (horizon, num_actions), size = problem.actions.shape, problem.state.shape[0]
    model = jax.eval_shape(problem.linearize, problem.state, problem.actions[0], problem.state)
    row = sum(leaf.size for leaf in jax.tree.leaves(model))
    return {
        "riccati": horizon * (2 * size * row + size**2 * num_actions),
        "conjugate_gradient": EXPECTED_HESSIAN_PRODUCTS * horizon * (2 * row + size**2),
    }


def _without_feedback(problem: Problem, step: jax.Array, slope: jax.Array) -> Direction:
    horizon, num_actions = problem.actions.shape
    gains = jnp.zeros((horizon, num_actions, problem.state.shape[0]), step.dtype)
    identity = jnp.broadcast_to(jnp.eye(num_actions, dtype=step.dtype), (horizon, num_actions, num_actions))
    return Direction(step, gains, identity, slope, closed_loop=False)


def _dense_step(
    problem: Problem,
    step_models: tuple[LinearModel, Quadratic],
    hessian: jax.Array,
    gradient: jax.Array,
    damping: float,
) -> Direction:
    shape = problem.actions.shape
    lower, upper = bounds(problem)
    damped = hessian + damping * jnp.eye(gradient.shape[0], dtype=gradient.dtype)
    step = solve_box_qp(DenseHessian(damped), gradient, lower.reshape(-1), upper.reshape(-1)).x
    feedback = solve_lqr(*step_models, lower, upper, damping)  # compiled away where nobody uses the gains
    return Direction(
        step=step.reshape(shape),
        gains=feedback.gains,
        action_hessian=feedback.action_hessian,
        slope=gradient @ step,
        closed_loop=False,
    )


def _cost_of_actions(problem: Problem) -> Callable[[jax.Array], jax.Array]:
    cost = problem.objective.cost
    return lambda actions: total_cost(problem.dynamics, cost, problem.state, actions, problem.weights)
