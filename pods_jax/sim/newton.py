"""A globalised Newton method whose root is differentiable to any order.

The direction d solves J(x) d = -r(x) with J positive definite; a full step is halved until it lowers max |r| or does
not overshoot, r(x + s d)'d <= |r(x)'d| / 2. Where r is the gradient of a potential, that is a line search for its
minimum, which needs the slope only and so also serves where friction and damping leave no potential. By max |r|
alone the search would end in local minima of |r| that are no roots. A step that leaves most of the slope was too
short, and the next one may be twice as long: a cloth about to buckle is nearly flat along one direction, where J,
which is never indefinite, is much too stiff. Where forces are far from those of a potential, the search may end at a
point that is no root; after some patience it takes every step, of different sizes by turns. (`docs/architecture.md`
has the figures.) Each pass of the loop costs one residual, one matrix and one solve. The loop is bounded and never
raises: a root that was not reached shows in the residual, which the caller can evaluate again at any time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pods_jax import linalg
from pods_jax.linalg.scalarize import scalarized
from pods_jax.thresholds import MAX_INVERSE_SIZE

Residual = Callable[[jax.Array], jax.Array]

Direction = Callable[[jax.Array, jax.Array], jax.Array]
"""(x, residual(x)) -> -J(x)^-1 residual(x), where J may be an approximation of the Jacobian."""

Search = Callable[[jax.Array], jax.Array]
"""guess -> root."""

MAX_ITERATIONS = 300

OVERSHOOT = 0.5
"""The slope at the end of a step may be at most this much of the one at its beginning, uphill."""

UNDERSHOOT = 0.75
"""If the slope at the end is still more than this much of the one at the beginning, downhill, steps grow."""


def newton(
    residual: Residual,
    direction: Direction,
    guess: jax.Array,
    tolerance: jax.Array,
    max_iterations: int = MAX_ITERATIONS,
    patience: int = MAX_ITERATIONS,
) -> jax.Array:
    """(n,) an x with max |residual(x)| <= tolerance, or the last point after `max_iterations` passes.

    direction: (x, residual(x)) -> -J(x)^-1 residual(x). A trial that is not finite is halved. patience: after so many
    passes, every finite trial is taken, with steps of 1, 1/2 and 1/4 for so many passes each.
    """

    def unfinished(carry):
        _, _, error, _, iteration = carry
        return (error > tolerance) & (iteration < max_iterations)

    def advance(carry):
        x, value, error, step_size, iteration = carry
        step = direction(x, value)
        trial = x + step_size * step
        trial_value = residual(trial)
        trial_error = jnp.max(jnp.abs(trial_value))
        # As quotients, which a compiler computes once, where it would repeat a comparison for each thing chosen.
        reduction = trial_error / error
        slope = jnp.sum(trial_value * step) / jnp.abs(jnp.sum(value * step))
        impatient = iteration >= patience
        good = (reduction < 1) | (slope <= OVERSHOOT) | (impatient & (reduction < jnp.inf))  # False for NaN
        x, value, error = (
            jnp.where(good, new, old) for new, old in ((trial, x), (trial_value, value), (trial_error, error))
        )
        step_size = jnp.where(
            good, jnp.where(slope < -UNDERSHOOT, 2 * step_size, jnp.ones_like(step_size)), step_size / 2
        )
        by_turns = jnp.exp2(-((iteration // patience - 1) % 3).astype(step_size.dtype))
        step_size = jnp.where(impatient, by_turns, step_size)
        return x, value, error, step_size, iteration + 1

    value = residual(guess)
    error = jnp.max(jnp.abs(value))
    carry = (guess, value, error, jnp.ones_like(error), 0)
    return jax.lax.while_loop(unfinished, advance, carry)[0]


def implicit_root(residual: Residual, search: Search, guess: jax.Array) -> jax.Array:
    """(n,) the root of `residual`, differentiable forwards, backwards and twice by `jax.lax.custom_root`.

    search: from the guess to the root, by whatever method.

    By the implicit function theorem G(x, p) = 0 gives dx/dp = -G_x^-1 G_p. G_x is assembled from n
    directional derivatives of `residual` at the root, exactly, whatever matrix the search used.
    """

    def tangent_solve(linear_map, right_side):
        def assemble_and_solve(right_side):
            matrix = jax.vmap(linear_map, out_axes=1)(jnp.eye(right_side.size, dtype=right_side.dtype))
            return (linalg.solve if small else jnp.linalg.solve)(matrix, right_side)

        small = right_side.size <= MAX_INVERSE_SIZE  # n derivatives of the residual are much to write out
        return (scalarized(assemble_and_solve) if small else assemble_and_solve)(right_side)

    start = jax.lax.stop_gradient(guess)
    return jax.lax.custom_root(residual, start, lambda _, guess: search(guess), tangent_solve)
