"""A globalised Newton method whose root is differentiable to any order.

The direction solves J(x) dx = -r(x); a full step is halved until it lowers max |r|. Each pass of the loop
costs one residual, one matrix and one solve. The loop is bounded and never raises: a root that
was not reached shows in the residual, which the caller can evaluate again at any time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pods_jax import linalg

Residual = Callable[[jax.Array], jax.Array]

MAX_ITERATIONS = 300


def newton(
    residual: Residual,
    direction: Residual,
    guess: jax.Array,
    tolerance: jax.Array,
    max_iterations: int = MAX_ITERATIONS,
) -> jax.Array:
    """(n,) an x with max |residual(x)| <= tolerance, or the best point after `max_iterations` passes.

    direction: x -> -J(x)^-1 residual(x). A trial that is not finite counts as a rise and is halved.
    """

    def unfinished(carry):
        _, error, _, iteration = carry
        return (error > tolerance) & (iteration < max_iterations)

    def advance(carry):
        x, error, step_size, iteration = carry
        trial = x + step_size * direction(x)
        trial_error = jnp.max(jnp.abs(residual(trial)))
        better = trial_error < error  # False for NaN
        x = jnp.where(better, trial, x)
        error = jnp.where(better, trial_error, error)
        step_size = jnp.where(better, jnp.ones_like(step_size), step_size / 2)
        return x, error, step_size, iteration + 1

    error = jnp.max(jnp.abs(residual(guess)))
    carry = (guess, error, jnp.ones_like(error), 0)
    return jax.lax.while_loop(unfinished, advance, carry)[0]


def implicit_root(
    residual: Residual, direction: Residual, guess: jax.Array, tolerance: jax.Array, pattern=None
) -> jax.Array:
    """(n,) the root of `residual`, differentiable forwards, backwards and twice by `jax.lax.custom_root`.

    By the implicit function theorem G(x, p) = 0 gives dx/dp = -G_x^-1 G_p. G_x is assembled from n
    directional derivatives of `residual` at the root, exactly, whatever matrix `direction` used.
    """

    def solve(residual, guess):
        return newton(residual, direction, guess, tolerance)

    def tangent_solve(linear_map, right_side):
        matrix = jax.vmap(linear_map, out_axes=1)(jnp.eye(right_side.size, dtype=right_side.dtype))
        return linalg.solve(matrix, right_side, pattern=pattern)

    return jax.lax.custom_root(residual, jax.lax.stop_gradient(guess), solve, tangent_solve)
