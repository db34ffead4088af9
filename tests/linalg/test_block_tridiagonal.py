"""Elimination from layer to layer, beside numpy with the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.linalg import block_tridiagonal
from pods_jax.thresholds import MAX_BLOCK_SIZE


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, MAX_BLOCK_SIZE, MAX_BLOCK_SIZE + 1])
def test_block_tridiagonal_systems(size):
    generator = np.random.default_rng(1)
    count = 5
    lower, upper, diagonal = generator.normal(size=(3, count, size, size))
    diagonal += 8 * size * np.eye(size)
    lower[0], upper[-1] = 0.0, 0.0
    matrix = np.zeros((count, size, count, size))
    for index in range(count):
        matrix[index, :, index] = diagonal[index]
        if index:
            matrix[index, :, index - 1], matrix[index - 1, :, index] = lower[index], upper[index - 1]
    right_side = generator.normal(size=(count, size))
    rows, matrix = (diagonal, lower, upper), matrix.reshape(count * size, -1)
    found = jax.jit(block_tridiagonal.block_tridiagonal)(rows, right_side)
    expected = np.linalg.solve(matrix, right_side.reshape(-1))
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-12, atol=1e-14)
    if size <= MAX_BLOCK_SIZE:
        found = jax.jit(block_tridiagonal.block_tridiagonal_inverse)(jax.tree.map(jnp.asarray, rows))
        np.testing.assert_allclose(found, np.linalg.inv(matrix), rtol=1e-12, atol=1e-14)
