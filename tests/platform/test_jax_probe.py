"""Faults of jax itself that would make every number wrong; pyproject.toml excludes the versions that have them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.mark.parametrize(("dtype", "rows"), [(jnp.float32, 40_000), (jnp.float64, 20_001)])
def test_batches_of_tiny_products_are_computed_correctly(dtype, rows):
    """jax 0.10.2 on the CPU gets one row in five wrong (jax#39103), without a sign of it."""
    matrix = jax.random.normal(jax.random.key(0), (3, 3), dtype)
    vectors = jax.random.normal(jax.random.key(1), (rows, 3), dtype)

    def squares(vectors):  # in full precision: GPUs multiply with ten bits of a float32 unless told otherwise
        with jax.default_matmul_precision("highest"):
            return jax.vmap(lambda vector: jnp.sum((matrix @ vector) ** 2))(vectors)

    expected = np.sum((np.asarray(vectors) @ np.asarray(matrix).T) ** 2, axis=1)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(squares(vectors), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(jax.jit(squares)(vectors), expected, rtol=tolerance, atol=tolerance)
