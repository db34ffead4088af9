"""Solves of small dense systems, written out as scalars.

A batched LAPACK or cuSOLVER call on a 3 x 3 matrix costs far more than its arithmetic. Gaussian elimination written
on scalars turns into plain vector code under `vmap`, and inside `scalarized` it skips what is known to be zero.
Above `MAX_SCALARIZED_SIZE` unknowns compile time outweighs this and a real LU takes over.

No pivoting: the matrices here (mass + stiffness + damping, Gauss-Newton blocks) are positive definite or
close to it. The elimination keeps unsymmetric matrices (friction, damping) exact.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pods_jax.thresholds import MAX_INVERSE_SIZE, MAX_SCALARIZED_SIZE


def solve(matrix: jax.Array, right_side: jax.Array) -> jax.Array:
    """(n,) x with matrix (n, n) @ x = right_side (n,); linear in `right_side`, differentiable, transposable."""
    size = matrix.shape[0]
    if size > MAX_SCALARIZED_SIZE:
        return jnp.linalg.solve(matrix, right_side)
    entry = [[matrix[i, j] for j in range(size)] for i in range(size)]
    value = [right_side[i] for i in range(size)]
    for k in range(size):
        inverse = 1.0 / entry[k][k]
        for i in range(k + 1, size):
            factor = entry[i][k] * inverse
            value[i] = value[i] - factor * value[k]
            for j in range(k + 1, size):
                entry[i][j] = entry[i][j] - factor * entry[k][j]
    for i in reversed(range(size)):
        for j in range(i + 1, size):
            value[i] = value[i] - entry[i][j] * value[j]
        value[i] = value[i] / entry[i][i]
    return jnp.stack(value)


def inverse(matrix: jax.Array) -> jax.Array:
    """(n, n) the inverse, for many right sides of one matrix; see `solve`."""
    if matrix.shape[0] > MAX_INVERSE_SIZE:
        return jnp.linalg.inv(matrix)
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return jax.vmap(lambda column: solve(matrix, column), out_axes=1)(identity)


def rowwise_jacobian(function: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
    """(m, d, d) the Jacobians of a function (m, d) -> (m, d) each of whose rows depends on the same row only."""

    def along(axis):
        return jax.jvp(function, (rows,), (jnp.broadcast_to(axis, rows.shape),))[1]

    return jax.vmap(along, out_axes=2)(jnp.eye(rows.shape[1], dtype=rows.dtype)[:, None])


def product(left: jax.Array, right: jax.Array) -> jax.Array:
    """(n, m) the product of matrices (n, k) and (k, m): for few terms k sums of products, which fuse with others."""
    if left.shape[1] > MAX_INVERSE_SIZE:
        return jnp.matmul(left, right, precision="highest")
    return jnp.sum(left[:, :, None] * right[None], axis=1)
