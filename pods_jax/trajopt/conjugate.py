"""The Gauss-Newton step without matrices: for systems whose states are too many for a Riccati pass.

Products of the Hessian with a step da of the actions take one pass forwards and one backwards over the trajectory,

    ds_{t+1} = A_t ds_t + B_t da_t,     l_t = c_ss ds_{t+1} + c_sa da_t + A_{t+1}' l_{t+1},
    (H da)_t = c_as ds_{t+1} + c_aa da_t + B_t' l_t.

Bounds are kept as in `box`: what sits on a bound and is pushed outwards is held, the others take a Newton step, here
by conjugate gradients, and the longest of a few projected steps that decreases the model enough is taken.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pods_jax.trajopt.box import NUM_STEP_SIZES, REACH, SUFFICIENT_DECREASE
from pods_jax.trajopt.linearize import LinearModel
from pods_jax.trajopt.objective import Quadratic

MAX_STEPS = 5
"""Newton steps between bounds."""

MAX_PRODUCTS = 100
"""Of the Hessian with a vector, in each of them."""

INNER_ACCURACY = 0.1
"""Conjugate gradients end at a residual of so much of the one at the beginning."""

ACCURACY = 0.02
"""And everything at a projected gradient of so much of the one at the beginning."""


def hessian_and_gradient(
    model: LinearModel, cost: Quadratic, damping: float | jax.Array = 0.0
) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """(changes (T, A, c) -> H changes (T, A, c), gradient (T, A)); leaves of model and cost have a leading T."""

    def back(by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """(T, A, c) derivatives by actions from those by states (T, n, c) and directly by actions (T, A, c)."""

        def step(later, inputs):
            model, by_state, by_action = inputs
            before, through = model.transpose_product(by_state + later)
            return before, by_action + through

        return jax.lax.scan(step, jnp.zeros_like(by_state[0]), (model, by_state, by_action), reverse=True)[1]

    def times(changes: jax.Array) -> jax.Array:
        def step(state, inputs):
            model, cost, change = inputs
            state = model.product(state, change)
            return state, (cost.ss @ state + cost.as_.T @ change, cost.as_ @ state + cost.aa @ change)

        start = jnp.zeros((cost.s.shape[1], changes.shape[2]), changes.dtype)
        return back(*jax.lax.scan(step, start, (model, cost, changes))[1]) + damping * changes

    return times, back(cost.s[:, :, None], cost.a[:, :, None])[:, :, 0]


def minimize_in_box(
    times: Callable[[jax.Array], jax.Array], gradient: jax.Array, lower: jax.Array, upper: jax.Array
) -> jax.Array:
    """(T, A) near the minimiser of 1/2 x'Hx + g'x within the bounds (T, A), which enclose zero, where it begins."""

    def projected(x, slope):
        return jnp.max(jnp.abs(x - jnp.clip(x - slope, lower, upper)))

    def unfinished(carry):
        x, slope, moved, count = carry
        return (projected(x, slope) > ACCURACY * first) & moved & (count < MAX_STEPS)

    def advance(carry):
        x, slope, _, count = carry
        reach = jnp.minimum(REACH, projected(x, slope))
        held = ((x <= lower + reach) & (slope > 0)) | ((x >= upper - reach) & (slope < 0))
        newton = _conjugate_gradients(times, jnp.where(held, 0.0, -slope), ~held)
        change = _longest_step(times, slope, x, jnp.where(held, -slope, newton), lower, upper)
        return x + change, slope + times(change[:, :, None])[:, :, 0], jnp.any(change != 0), count + 1

    start = jnp.zeros_like(gradient)
    first = projected(start, gradient)
    return jnp.clip(jax.lax.while_loop(unfinished, advance, (start, gradient, first > 0, 0))[0], lower, upper)


def _conjugate_gradients(
    times: Callable[[jax.Array], jax.Array], right_side: jax.Array, free: jax.Array
) -> jax.Array:
    """(T, A) x with H x = right_side among the free entries, about; zero elsewhere."""

    def unfinished(carry):
        _, _, _, square, count = carry
        return (square > INNER_ACCURACY**2 * first) & (count < MAX_PRODUCTS)

    def advance(carry):
        x, residual, direction, square, count = carry
        product = jnp.where(free, times(direction[:, :, None])[:, :, 0], 0.0)
        length = square / jnp.sum(direction * product)
        x, residual = x + length * direction, residual - length * product
        new_square = jnp.sum(residual**2)
        return x, residual, residual + new_square / square * direction, new_square, count + 1

    first = jnp.sum(right_side**2)
    return jax.lax.while_loop(unfinished, advance, (jnp.zeros_like(right_side), right_side, right_side, first, 0))[0]


def _longest_step(times, slope, x, direction, lower, upper):
    """The projected change by 2^-i direction with the smallest i that decreases the model enough; else zero."""
    step_sizes = 0.5 ** jnp.arange(NUM_STEP_SIZES, dtype=x.dtype)
    changes = jnp.clip(
        x[..., None] + step_sizes[None, None] * direction[..., None], lower[..., None], upper[..., None]
    )
    changes = changes - x[..., None]
    along = jnp.sum(changes * slope[..., None], axis=(0, 1))
    decrease = -(along + jnp.sum(changes * times(changes), axis=(0, 1)) / 2)
    enough = (decrease >= -SUFFICIENT_DECREASE * along) & (along < 0)
    return jnp.where(jnp.any(enough), changes[..., jnp.argmax(enough)], 0.0)
