"""Solves of small dense systems, unrolled while tracing.

A batched LAPACK or cuSOLVER call on a 3 x 3 matrix costs far more than its arithmetic. Gaussian
elimination written on scalars, with the structural zeros known while tracing, turns into plain vector
code under `vmap`. Above `LARGEST_UNROLLED` unknowns compile time outweighs this and a real LU takes over.

No pivoting: the matrices here (mass + stiffness + damping, Gauss-Newton blocks) are positive definite or
close to it. The elimination keeps unsymmetric matrices (friction, damping) exact.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

LARGEST_UNROLLED = 20


def solve(matrix: jax.Array, right_side: jax.Array, *, pattern: np.ndarray | None = None) -> jax.Array:
    """(n,) x with matrix @ x = right_side; linear in `right_side`, differentiable, transposable.

    matrix: (n, n). right_side: (n,). pattern: (n, n) booleans, the structurally nonzero entries.
    """
    size = matrix.shape[0]
    if size > LARGEST_UNROLLED:
        return jnp.linalg.solve(matrix, right_side)
    known = np.ones((size, size), dtype=bool) if pattern is None else pattern
    entry = {(i, j): matrix[i, j] for i, j in np.ndindex(size, size) if known[i, j]}
    value = [right_side[i] for i in range(size)]
    for k in range(size):
        inverse = 1.0 / entry[k, k]
        for i in range(k + 1, size):
            if (i, k) not in entry:
                continue
            factor = entry[i, k] * inverse
            value[i] = value[i] - factor * value[k]
            for j in range(k + 1, size):
                if (k, j) in entry:
                    product = factor * entry[k, j]
                    entry[i, j] = entry[i, j] - product if (i, j) in entry else -product
    for i in reversed(range(size)):
        for j in range(i + 1, size):
            if (i, j) in entry:
                value[i] = value[i] - entry[i, j] * value[j]
        value[i] = value[i] / entry[i, i]
    return jnp.stack(value)


def inverse(matrix: jax.Array, *, pattern: np.ndarray | None = None) -> jax.Array:
    """(n, n) the inverse, for many right sides of one matrix; see `solve`."""
    if matrix.shape[0] > LARGEST_UNROLLED:
        return jnp.linalg.inv(matrix)
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return jax.vmap(lambda column: solve(matrix, column, pattern=pattern), out_axes=1)(identity)


def rowwise_jacobian(function: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
    """(m, d, d) the Jacobians of a function (m, d) -> (m, d) each of whose rows depends on the same row only."""

    def along(axis):
        return jax.jvp(function, (rows,), (jnp.broadcast_to(axis, rows.shape),))[1]

    return jax.vmap(along, out_axes=2)(jnp.eye(rows.shape[1], dtype=rows.dtype)[:, None])
