import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import linalg
from pods_jax.thresholds import MAX_INVERSE_SIZE, MAX_SCALARIZED_SIZE

SMALL = (1, 2, 3, 5, 8)
LARGE = (MAX_SCALARIZED_SIZE + 1, 30)


def random_matrices(size, count=20, seed=0, symmetric=False):
    """(count, size, size) with a dominant diagonal, whose signs are mixed."""
    generator = np.random.default_rng(seed)
    matrices = generator.uniform(-1, 1, (count, size, size))
    if symmetric:
        matrices = (matrices + np.swapaxes(matrices, 1, 2)) / 2
    diagonal = (size + generator.uniform(0, 1, (count, size))) * generator.choice([-1, 1], (count, size))
    return matrices + diagonal[:, :, None] * np.eye(size)


def random_vectors(size, count=20, seed=1):
    return np.random.default_rng(seed).normal(size=(count, size))


def exact(matrices, right_sides):
    return np.linalg.solve(matrices, right_sides[..., None])[..., 0]


@pytest.mark.parametrize("size", SMALL + LARGE)
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_batch_of_solves_agrees_with_numpy(size, symmetric):
    matrices, right_sides = random_matrices(size, symmetric=symmetric), random_vectors(size)
    found = jax.jit(jax.vmap(linalg.solve))(matrices, right_sides)
    np.testing.assert_allclose(found, exact(matrices, right_sides), rtol=1e-10, atol=1e-12)


def test_in_single_precision_it_is_as_exact_as_single_precision():
    matrices, right_sides = random_matrices(6).astype(np.float32), random_vectors(6).astype(np.float32)
    found = jax.vmap(linalg.solve)(matrices, right_sides)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact(matrices, right_sides), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [4, LARGE[0]])
class TestDerivatives:
    """With A x = b: A dx = db - dA x, and b_bar = A^-T x_bar, A_bar = -b_bar x^T."""

    def test_jvp(self, size):
        (matrix, change), (side, side_change) = random_matrices(size, 2), random_vectors(size, 2)
        x, x_change = jax.jvp(linalg.solve, (matrix, side), (change, side_change))
        np.testing.assert_allclose(x, np.linalg.solve(matrix, side), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(x_change, np.linalg.solve(matrix, side_change - change @ x), rtol=1e-9, atol=1e-12)

    def test_vjp(self, size):
        (matrix,), (side, weight) = random_matrices(size, 1), random_vectors(size, 2)
        x, pull_back = jax.vjp(linalg.solve, matrix, side)
        by_matrix, by_side = pull_back(jnp.asarray(weight))
        expected = np.linalg.solve(matrix.T, weight)
        np.testing.assert_allclose(by_side, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(by_matrix, -np.outer(expected, x), rtol=1e-9, atol=1e-12)

    def test_transposition(self, size):
        (matrix,), (side, weight) = random_matrices(size, 1), random_vectors(size, 2)
        (found,) = jax.linear_transpose(lambda side: linalg.solve(jnp.asarray(matrix), side), side)(
            jnp.asarray(weight)
        )
        np.testing.assert_allclose(found, np.linalg.solve(matrix.T, weight), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("terms", [1, 3, MAX_INVERSE_SIZE, MAX_INVERSE_SIZE + 1])
def test_products_of_any_number_of_terms_agree_with_numpy(terms):
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(20, 5, terms)), generator.normal(size=(20, terms, 4))
    found = jax.jit(jax.vmap(linalg.product))(left, right)
    np.testing.assert_allclose(found, left @ right, rtol=1e-12, atol=1e-13)
