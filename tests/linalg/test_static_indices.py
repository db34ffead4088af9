import numpy as np
import pytest

from pods_jax.linalg.static_indices import take


@pytest.mark.parametrize("index", [(0, 1, 2), (2, 3), (4,), (3, 1, 0), (1, 1)])
def test_values_are_taken_by_index(index):
    values = np.arange(10).reshape(5, 2)
    np.testing.assert_array_equal(take(values, index), values[list(index)])
