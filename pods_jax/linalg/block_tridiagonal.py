"""Solves with block tridiagonal matrices, layer by layer.

    D'_i = D_i - L_i D'_{i-1}^-1 U_{i-1},     r'_i = r_i - L_i D'_{i-1}^-1 r'_{i-1},
    x_i = D'_i^-1 (r'_i - U_i x_{i+1}),

which takes operations in proportion to the number of layers, not to its cube.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax.linalg import dense
from pods_jax.linalg.scalarize import scan_by_scalars
from pods_jax.thresholds import MAX_BLOCK_SIZE

Row = tuple[jax.Array, jax.Array, jax.Array]
"""One row of a block tridiagonal matrix: on, below and above the diagonal, (n, n) each."""


def block_tridiagonal(
    matrix: Any, right_side: jax.Array, row: Callable[[Any], Row] = lambda blocks: blocks
) -> jax.Array:
    """(L, n) x with below_i x_{i-1} + on_i x_i + above_i x_{i+1} = right_side_i, where row(matrix_i) are the blocks.

    Below the first and above the last counts as zero. Layers are not exchanged (no pivoting among them).
    """
    small = right_side.shape[1] <= MAX_BLOCK_SIZE
    none = jnp.zeros_like(right_side[0])

    def forwards(carry, layer):
        W, z = carry  # D'^-1 U and D'^-1 r' of the layer before
        on, below, above = row(layer[0])
        sides = jnp.concatenate([above, (layer[1] - dense.product(below, z[:, None])[:, 0])[:, None]], axis=1)
        eliminated = on - dense.product(below, W)
        if small:
            solved = jax.vmap(dense.solve, in_axes=(None, 1), out_axes=1)(eliminated, sides)
        else:
            solved = jnp.linalg.solve(eliminated, sides)
        return (solved[:, :-1], solved[:, -1]), (solved[:, :-1], solved[:, -1])

    def backwards(x, solved):
        W, z = solved
        x = z - dense.product(W, x[:, None])[:, 0]
        return x, x

    scan = scan_by_scalars if small else jax.lax.scan
    solved = scan(forwards, (jnp.zeros((none.size, none.size), none.dtype), none), (matrix, right_side))[1]
    return scan(backwards, none, solved, reverse=True)[1]


def block_tridiagonal_inverse(matrix: Row) -> jax.Array:
    """(L n, L n) the inverse of the matrix whose rows (L, n, n) these are, by blocks of few unknowns n."""
    count, size = matrix[0].shape[:2]
    whole = count * size
    none = jnp.zeros_like(matrix[0][0])

    def factorise(W, blocks):  # D'^-1 U of the layer before; to D'^-1 and D'^-1 U of this one
        on, below, above = blocks
        eliminated = dense.inverse(on - dense.product(below, W))
        W = dense.product(eliminated, above)
        return W, (eliminated, W)

    def forwards(columns, layer):
        (_, below, _), eliminated, side = layer
        columns = dense.product(eliminated, side - dense.product(below, columns))
        return columns, columns

    def backwards(columns, layer):
        W, reduced = layer
        columns = reduced - dense.product(W, columns)
        return columns, columns

    eliminated, Ws = scan_by_scalars(factorise, none, matrix)[1]
    sides = jnp.eye(whole, dtype=none.dtype).reshape(count, size, whole)
    no_columns = jnp.zeros_like(sides[0])
    reduced = jax.lax.scan(forwards, no_columns, (matrix, eliminated, sides))[1]
    return jax.lax.scan(backwards, no_columns, (Ws, reduced), reverse=True)[1].reshape(whole, whole)
