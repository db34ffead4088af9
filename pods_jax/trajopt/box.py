"""Strictly convex quadratic programs in a box, by projected Newton steps (Bertsekas 1982).

    minimise  1/2 x'Hx + g'x   subject to   lower <= x <= upper.

Each iteration fixes the variables that sit on a bound and are pushed outwards, takes the Newton step of
the others, projects it, and accepts the longest of a few step sizes that gives Armijo's decrease.
"""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import linalg

MAX_ITERATIONS = 50
NUM_STEP_SIZES = 10
SUFFICIENT_DECREASE = 0.1
REACH = 1e-3
"""How close to a bound a variable counts as held by it, at most."""
TOLERANCE = 64
"""Converged at a projected gradient of TOLERANCE * machine epsilon * the largest term in it."""


@struct.dataclass
class BoxSolution:
    """A minimiser and what is known about it."""

    x: jax.Array  # (m,)
    free: jax.Array  # (m,) True where no bound holds the variable
    error: jax.Array  # () largest projected gradient, relative to the largest term in the gradient


def minimize_in_box(H: jax.Array, g: jax.Array, lower: jax.Array, upper: jax.Array) -> BoxSolution:
    """The minimiser for H (m, m) positive definite, g, lower, upper (m,), starting from zero projected."""
    if g.shape[0] == 1:
        return _minimize_on_interval(H, g, lower, upper)

    def unfinished(carry):
        _, error, moved, iteration = carry
        return (error > TOLERANCE * jnp.finfo(g.dtype).eps) & moved & (iteration < MAX_ITERATIONS)

    def advance(carry):
        x, _, _, iteration = carry
        gradient = H @ x + g
        # Bounds a hair away count as reached (Bertsekas' epsilon), or they would cut every step to nothing.
        reach = jnp.minimum(REACH, jnp.max(jnp.abs(x - jnp.clip(x - gradient, lower, upper))))
        free = ~_held(x, gradient, lower + reach, upper - reach)
        both = free[:, None] & free[None, :]
        newton_matrix = jnp.where(both, H, jnp.eye(g.shape[0], dtype=g.dtype))
        direction = -linalg.solve(newton_matrix, jnp.where(free, gradient, 0.0))
        direction = jnp.where(free, direction, -gradient)
        x_new = _longest_step(H, gradient, x, direction, lower, upper)
        return x_new, _error(H, g, x_new, lower, upper), jnp.any(x_new != x), iteration + 1

    x = jnp.clip(jnp.zeros_like(g), lower, upper)
    carry = (x, _error(H, g, x, lower, upper), jnp.asarray(True), 0)
    x, error, _, _ = jax.lax.while_loop(unfinished, advance, carry)
    return BoxSolution(x, ~_held(x, H @ x + g, lower, upper), error)


def _minimize_on_interval(H, g, lower, upper) -> BoxSolution:
    x = jnp.clip(-g / H[0], lower, upper)
    free = ~_held(x, H[0] * x + g, lower, upper) & (x > lower) & (x < upper)
    return BoxSolution(x, free, jnp.zeros((), g.dtype))


def _held(x, gradient, lower, upper):
    """(m,) True where a variable sits on a bound and the gradient pushes it outwards."""
    return ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))


def _error(H, g, x, lower, upper):
    terms = H * x[None]
    gradient = jnp.sum(terms, axis=1) + g
    projected = jnp.where(_held(x, gradient, lower, upper), 0.0, gradient)
    scale = jnp.maximum(jnp.max(jnp.abs(terms)), jnp.max(jnp.abs(g)))
    return jnp.max(jnp.abs(projected)) / jnp.maximum(scale, jnp.finfo(g.dtype).tiny)


def _longest_step(H, gradient, x, direction, lower, upper):
    """The candidate x + 2^-i direction, projected, with the smallest i that decreases enough; else x."""
    step_sizes = 0.5 ** jnp.arange(NUM_STEP_SIZES, dtype=x.dtype)
    trials = x[None] + step_sizes[:, None] * direction[None]
    change = jnp.clip(trials, lower[None], upper[None]) - x[None]
    slope = change @ gradient
    decrease = -(slope + jnp.sum(change @ H * change, axis=1) / 2)
    enough = (decrease >= -SUFFICIENT_DECREASE * slope) & (slope < 0)
    chosen = jnp.where(jnp.any(enough), change[jnp.argmax(enough)], 0.0)
    return jnp.clip(x + chosen, lower, upper)
