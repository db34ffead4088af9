"""The estimate against what XLA itself reports, and the refusal."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pods_jax import algorithms, envs, memory, train
from pods_jax.checks import InputError
from pods_jax.training import compile_chunk
from tests.algorithms.linear import make_linear

GIGABYTE = 10**9


def test_a_program_needs_at_least_its_arguments_and_its_result():
    square = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))
    compiled = square.lower(jnp.ones((300, 300))).compile()
    array = 8 * 300**2
    assert 2 * array <= memory.needed(compiled) <= 5 * array


def test_a_cpu_has_what_the_machine_has_left():
    assert 0 < memory.available(jax.devices()[0]) <= psutil.virtual_memory().total


def test_a_device_with_a_limit_has_what_is_left_of_it():
    device = types.SimpleNamespace(memory_stats=lambda: {"bytes_limit": 16 * GIGABYTE, "bytes_in_use": GIGABYTE})
    assert memory.available(device) == 15 * GIGABYTE


def test_a_training_that_cannot_fit_is_refused_with_the_setting_to_change(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    algorithm = algorithms.make("bptt", make_linear(), batch_size=2, minibatch_size=1, hidden_sizes=(4,))
    with pytest.raises(
        InputError, match=r"an epoch needs .* GB of memory, and .* algorithm.chunk_size, for example 50"
    ):
        train(algorithm, jax.random.key(0), 1)


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_on_a_cpu_as_many_rollouts_are_computed_together_as_caches_hold(count, numbers):
    together = memory.at_once(count, numbers)
    possible = max(1, min(count, memory.NEAR_BY // numbers, memory.MOST))
    assert possible / 2 <= together <= possible


@pytest.mark.parametrize(
    ("backend", "count", "chosen", "expected"), [("cpu", 4000, 7, 7), ("cpu", 4, 7, 4), ("gpu", 4000, 0, 4000)]
)
def test_what_is_chosen_counts_and_a_gpu_takes_all(monkeypatch, backend, count, chosen, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert memory.at_once(count, 100, chosen) == expected


def test_chunks_are_put_together_again():
    numbers = jnp.arange(12.0).reshape(6, 2)
    together = memory.in_chunks(lambda row: {"sum": jnp.sum(row)}, numbers, memory.NEAR_BY // 2)
    np.testing.assert_array_equal(together["sum"], jnp.sum(numbers, axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", envs.names())
def test_four_thousand_rollouts_fit_into_16_gigabytes_through_chunks(name):
    """In single precision, as users have it; compiled only, not run."""
    env = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), envs.make(name))
    method = "gauss_newton" if name == "cloth_3d" else "riccati"
    algorithm = algorithms.make("pods", env, batch_size=4000, chunk_size=50, method=method)
    assert memory.needed(compile_chunk(algorithm, 1).run) < 16 * GIGABYTE
