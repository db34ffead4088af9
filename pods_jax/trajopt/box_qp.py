"""Strictly convex quadratic programs in a box, by projected Newton steps (Bertsekas 1982).

    minimise  1/2 x'Hx + g'x   subject to   lower <= x <= upper.

Each iteration holds the variables that sit on a bound and are pushed outwards, takes the Newton step of the free
ones, projects it, and accepts the longest of a few step sizes that gives Armijo's decrease. The Newton system of the
free variables is solved by elimination where H is a matrix, and by conjugate gradients where only its products are
known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import linalg

HALVINGS = (0, 1, 2, 3, 4, 5, 7, 10, 14, 19)
"""Of the Newton step, for the step sizes that are tried; the last are for steps that lead far beyond the box."""

SUFFICIENT_DECREASE = 0.1
"""Of what the slope along a step promises, the share that the cost must fall by."""

MAX_REACH = 1e-3
"""How close to a bound a variable counts as held by it, at most."""

TOLERANCE = 64
"""A dense problem is solved at a projected gradient of TOLERANCE * machine epsilon * the largest term in it."""

MAX_DENSE_STEPS, MAX_OPERATOR_STEPS = 50, 5
"""Newton steps of a dense problem, and of one with an operator, each of which takes many products."""

OPERATOR_ACCURACY = 0.02
"""A problem with an operator is solved at a projected gradient of so much of the first one."""

INNER_ACCURACY, MAX_INNER_STEPS = 0.1, 100
"""Conjugate gradients end at a residual of so much of the first one, or after so many products."""


@struct.dataclass
class BoxSolution:
    """A minimiser and what is known about it."""

    x: jax.Array  # (m,)
    free: jax.Array  # (m,) True where no bound holds the variable
    error: jax.Array  # () projected gradient that is left, as `Hessian.error` measures it


@struct.dataclass
class Box:
    """The bounds lower <= x <= upper."""

    lower: jax.Array  # (m,)
    upper: jax.Array  # (m,)

    def project(self, x: jax.Array) -> jax.Array:
        """The point of the box (m, ...) next to x (m, ...)."""
        shape = (-1,) + (1,) * (x.ndim - 1)
        return jnp.clip(x, self.lower.reshape(shape), self.upper.reshape(shape))

    def holds(self, x: jax.Array, gradient: jax.Array, reach: jax.Array | float = 0.0) -> jax.Array:
        """(m,) True where x is within `reach` of a bound and descending the gradient (m,) leads outwards."""
        at_lower, at_upper = x <= self.lower + reach, x >= self.upper - reach
        return (at_lower & (gradient > 0)) | (at_upper & (gradient < 0))

    def distance(self, x: jax.Array, gradient: jax.Array) -> jax.Array:
        """() by how much the projected step of steepest descent moves a variable at most."""
        return jnp.max(jnp.abs(x - self.project(x - gradient)))


class Hessian(Protocol):
    """A positive definite matrix H (m, m), and how precisely problems with it are solved."""

    @property
    def max_steps(self) -> int:
        """How many Newton steps are taken at most."""

    def product(self, columns: jax.Array) -> jax.Array:
        """H times columns (m, c)."""

    def solve(self, right_side: jax.Array, free: jax.Array) -> jax.Array:
        """The solution x (m,) of H x = right_side among the free variables (m,); zero elsewhere."""

    def gradient(self, x: jax.Array, g: jax.Array, updated: jax.Array) -> jax.Array:
        """(m,) H x + g: computed anew, or `updated`, the last gradient and the product of the last step."""

    def error(self, x: jax.Array, g: jax.Array, gradient: jax.Array, box: Box) -> jax.Array:
        """() the size of the projected gradient at x."""

    def tolerance(self, first_error: jax.Array) -> jax.Array | float:
        """() the error that is small enough, if the first one was `first_error`."""


@struct.dataclass
class DenseHessian:
    """A matrix: problems are solved to rounding, Newton systems by elimination."""

    matrix: jax.Array  # (m, m)

    max_steps = MAX_DENSE_STEPS

    def product(self, columns: jax.Array) -> jax.Array:
        """See Hessian."""
        return self.matrix @ columns

    def solve(self, right_side: jax.Array, free: jax.Array) -> jax.Array:
        """See Hessian."""
        both = free[:, None] & free[None, :]
        masked = jnp.where(both, self.matrix, jnp.eye(free.shape[0], dtype=self.matrix.dtype))
        return linalg.solve(masked, jnp.where(free, right_side, 0.0))

    def gradient(self, x: jax.Array, g: jax.Array, updated: jax.Array) -> jax.Array:
        """See Hessian: anew, or rounding would add up."""
        del updated
        return jnp.sum(self.matrix * x[None], axis=1) + g

    def error(self, x: jax.Array, g: jax.Array, gradient: jax.Array, box: Box) -> jax.Array:
        """See Hessian: the largest projected gradient, relative to the largest term in it."""
        projected = jnp.where(box.holds(x, gradient), 0.0, gradient)
        scale = jnp.maximum(jnp.max(jnp.abs(self.matrix * x[None])), jnp.max(jnp.abs(g)))
        return jnp.max(jnp.abs(projected)) / jnp.maximum(scale, jnp.finfo(g.dtype).tiny)

    def tolerance(self, first_error: jax.Array) -> float:
        """See Hessian."""
        return TOLERANCE * float(jnp.finfo(first_error.dtype).eps)


@dataclass(frozen=True)
class HessianOperator:
    """Products with a matrix: problems are solved to a few hundredths, Newton systems by conjugate gradients."""

    product: Callable[[jax.Array], jax.Array]  # H times columns (m, c)

    max_steps = MAX_OPERATOR_STEPS

    def solve(self, right_side: jax.Array, free: jax.Array) -> jax.Array:
        """See Hessian."""

        def unfinished(carry):
            _, _, _, square, count = carry
            return (square > INNER_ACCURACY**2 * first) & (count < MAX_INNER_STEPS)

        def advance(carry):
            x, residual, direction, square, count = carry
            product = jnp.where(free, self.product(direction[:, None])[:, 0], 0.0)
            length = square / jnp.sum(direction * product)
            x, residual = x + length * direction, residual - length * product
            new_square = jnp.sum(residual**2)
            return x, residual, residual + new_square / square * direction, new_square, count + 1

        residual = jnp.where(free, right_side, 0.0)
        first = jnp.sum(residual**2)
        return jax.lax.while_loop(unfinished, advance, (jnp.zeros_like(residual), residual, residual, first, 0))[0]

    def gradient(self, x: jax.Array, g: jax.Array, updated: jax.Array) -> jax.Array:
        """See Hessian: a product saved."""
        del x, g
        return updated

    def error(self, x: jax.Array, g: jax.Array, gradient: jax.Array, box: Box) -> jax.Array:
        """See Hessian: the largest movement of a projected step of steepest descent."""
        del g
        return box.distance(x, gradient)

    def tolerance(self, first_error: jax.Array) -> jax.Array:
        """See Hessian."""
        return OPERATOR_ACCURACY * first_error


def solve_box_qp(hessian: Hessian, g: jax.Array, lower: jax.Array, upper: jax.Array) -> BoxSolution:
    """The minimiser for g, lower, upper (m,), searched from zero, projected; one variable has a closed form."""
    box = Box(lower, upper)
    if g.shape[0] == 1:
        return _solve_on_interval(hessian, g, box)

    def unfinished(carry):
        _, _, error, moved, count = carry
        return (error > tolerance) & moved & (count < hessian.max_steps)

    def advance(carry):
        x, gradient, _, _, count = carry
        # Bounds a hair away count as reached (Bertsekas' epsilon), or they would cut every step to nothing.
        free = ~box.holds(x, gradient, jnp.minimum(MAX_REACH, box.distance(x, gradient)))
        direction = jnp.where(free, hessian.solve(-gradient, free), -gradient)
        step, product = _longest_step(hessian, gradient, x, direction, box)
        x_new = box.project(x + step)
        gradient = hessian.gradient(x_new, g, gradient + product)
        return x_new, gradient, hessian.error(x_new, g, gradient, box), jnp.any(x_new != x), count + 1

    x = box.project(jnp.zeros_like(g))
    gradient = hessian.gradient(x, g, g + hessian.product(x[:, None])[:, 0])
    error = hessian.error(x, g, gradient, box)
    tolerance = hessian.tolerance(error)
    carry = (x, gradient, error, jnp.asarray(True), 0)
    x, gradient, error, _, _ = jax.lax.while_loop(unfinished, advance, carry)
    return BoxSolution(x, ~box.holds(x, gradient), error)


def _solve_on_interval(hessian: Hessian, g: jax.Array, box: Box) -> BoxSolution:
    matrix = hessian.product(jnp.ones((1, 1), g.dtype))[0]
    x = box.project(-g / matrix)
    free = ~box.holds(x, matrix * x + g) & (x > box.lower) & (x < box.upper)
    return BoxSolution(x, free, jnp.zeros((), g.dtype))


def _longest_step(
    hessian: Hessian, gradient: jax.Array, x: jax.Array, direction: jax.Array, box: Box
) -> tuple[jax.Array, jax.Array]:
    """The projected step (m,) of the longest size that decreases the cost enough, or zero; and H times it."""
    step_sizes = 0.5 ** jnp.asarray(HALVINGS, x.dtype)
    steps = box.project(x[:, None] + direction[:, None] * step_sizes[None]) - x[:, None]
    products = hessian.product(steps)
    slope = jnp.sum(steps * gradient[:, None], axis=0)
    decrease = -(slope + jnp.sum(steps * products, axis=0) / 2)
    enough = (decrease >= -SUFFICIENT_DECREASE * slope) & (slope < 0)
    chosen, found = jnp.argmax(enough), jnp.any(enough)
    return jnp.where(found, steps[:, chosen], 0.0), jnp.where(found, products[:, chosen], 0.0)
