"""Operations counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, replay
from pods_jax.benchmarks import cases
from pods_jax.benchmarks.count import operations

X = np.linspace(0.1, 1.0, 6)
M = np.ones((4, 6))


def halve_until_small(x):
    return jax.lax.while_loop(lambda x: x[0] > 1.0, lambda x: x * 0.5, x)


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (lambda x: jnp.sin(x) * x + 1.0, (X,), 3 * 6),
        (lambda x: jnp.where(x > 0.5, x, 0.0).reshape(2, 3), (X,), 0),
        (lambda m, x: m @ x, (M, X), 2 * 4 * 6),
        (lambda m: jnp.einsum("ij,kj->ik", m, m), (M,), 2 * 4 * 6 * 4),
        (jnp.sum, (X,), 6),
        (lambda x: jax.lax.scan(lambda c, _: (c * 2.0, c + x), x, length=7)[1], (X,), 7 * 2 * 6),
        (lambda x: jax.lax.scan(lambda c, y: (c + y, None), 0.0, x, reverse=True)[0], (X,), 6),
        (halve_until_small, (np.array([8.0, 1.0]),), 3 * 2),
        (jax.vmap(halve_until_small), (np.array([[8.0], [2.0]]),), 3 * 2),  # a batch goes on for its slowest
        (lambda x: jax.lax.cond(x[0] > 0.5, lambda x: x * 2.0, lambda x: x + jnp.sqrt(x), x), (X,), 2 * 6),
        (jax.jit(lambda x: jax.jit(jnp.exp)(x) / 3.0), (X,), 2 * 6),
        (jax.checkpoint(lambda x: x - 1.0), (X,), 6),
        (jax.nn.relu, (X,), 6),
        (lambda n: n * 2, (np.arange(5),), 0),  # integers
    ],
)
def test_it_counts_what_is_executed(function, args, expected):
    assert operations(function, *args) == expected


@pytest.mark.slow
def test_of_a_step_it_counts_the_passes_of_newton():
    env = envs.make("pendulum_2d", horizon=4)
    states, actions = cases.inputs(env, 3)
    simulate = jax.vmap(lambda state, actions: replay(env, state, actions).reward)
    one, many = operations(simulate, states, actions[:, :1]), operations(simulate, states, actions)
    assert 3 * 50 < one < many < 10 * one
    still = operations(simulate, jax.tree.map(jnp.zeros_like, states), 0 * actions)
    assert np.isfinite(still)
