"""The estimate against what XLA itself reports, and the refusal."""

import types

import jax
import jax.numpy as jnp
import psutil
import pytest

from pods_jax import algorithms, envs, train
from pods_jax.checks import InputError
from pods_jax.devices import memory
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


@pytest.mark.slow
def test_a_training_that_cannot_fit_is_refused_with_the_setting_to_change(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    algorithm = algorithms.make("bptt", make_linear(), batch_size=2, minibatch_size=1, hidden_sizes=(4,))
    with pytest.raises(
        InputError, match=r"an epoch needs .* GB of memory, and .* algorithm.improvement.chunk_size, for example 50"
    ):
        train(algorithm, jax.random.key(0), 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", envs.names())
def test_four_thousand_rollouts_fit_into_16_gigabytes_through_chunks(name):
    """In single precision, as users have it; compiled only, not run."""
    env = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), envs.make(name))
    method = "gauss_newton" if name == "cloth_3d" else "riccati"
    algorithm = algorithms.make("pods", env, batch_size=4000, improvement={"chunk_size": 50, "method": method})
    assert memory.needed(compile_chunk(algorithm, 1).run) < 16 * GIGABYTE
