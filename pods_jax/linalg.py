"""Solves of small dense systems, unrolled while tracing.

A batched LAPACK or cuSOLVER call on a 3 x 3 matrix costs far more than its arithmetic. Gaussian
elimination written on scalars, with the structural zeros known while tracing, turns into plain vector
code under `vmap`. Above `LARGEST_UNROLLED` unknowns compile time outweighs this and a real LU takes over.

No pivoting: the matrices here (mass + stiffness + damping, Gauss-Newton blocks) are positive definite or
close to it. The elimination keeps unsymmetric matrices (friction, damping) exact.
"""

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
    known = np.ones((size, size), dtype=bool) if pattern is None else pattern.copy()
    entry = [[matrix[i, j] if known[i, j] else None for j in range(size)] for i in range(size)]
    value = [right_side[i] for i in range(size)]
    inverse = []
    for k in range(size):
        inverse.append(1.0 / entry[k][k])
        for i in range(k + 1, size):
            if entry[i][k] is None:
                continue
            factor = entry[i][k] * inverse[k]
            value[i] = value[i] - factor * value[k]
            for j in range(k + 1, size):
                if entry[k][j] is not None:
                    product = factor * entry[k][j]
                    entry[i][j] = -product if entry[i][j] is None else entry[i][j] - product
    for i in reversed(range(size)):
        for j in range(i + 1, size):
            if entry[i][j] is not None:
                value[i] = value[i] - entry[i][j] * value[j]
        value[i] = value[i] * inverse[i]
    return jnp.stack(value)
