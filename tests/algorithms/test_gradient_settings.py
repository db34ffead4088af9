import pytest

from pods_jax.algorithms.gradient_settings import whole_minibatches


@pytest.mark.parametrize(("batch", "minibatch", "expected"), [(100, 30, (90, 30)), (8, 80, (8, 8)), (9, 3, (9, 3))])
def test_batches_are_whole_minibatches(batch, minibatch, expected):
    assert whole_minibatches(batch, minibatch) == expected
