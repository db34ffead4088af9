"""How many rollouts are computed together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pods_jax.devices import chunking
from pods_jax.thresholds import MAX_CACHED_NUMBERS, MAX_CPU_ROLLOUTS


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_on_a_cpu_as_many_rollouts_are_computed_together_as_caches_hold(count, numbers):
    together = chunking.at_once(count, numbers)
    possible = max(1, min(count, MAX_CACHED_NUMBERS // numbers, MAX_CPU_ROLLOUTS))
    assert possible / 2 <= together <= possible


@pytest.mark.parametrize(
    ("backend", "count", "chosen", "expected"), [("cpu", 4000, 7, 7), ("cpu", 4, 7, 4), ("gpu", 4000, 0, 4000)]
)
def test_what_is_chosen_counts_and_a_gpu_takes_all(monkeypatch, backend, count, chosen, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert chunking.at_once(count, 100, chosen) == expected


def test_chunks_are_put_together_again():
    numbers = jnp.arange(12.0).reshape(6, 2)
    together = chunking.in_chunks(lambda row: {"sum": jnp.sum(row)}, numbers, MAX_CACHED_NUMBERS // 2)
    np.testing.assert_array_equal(together["sum"], jnp.sum(numbers, axis=1))
