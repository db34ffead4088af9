import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, replay
from pods_jax.reproduction import measurements
from tests.algorithms.linear import A, B, make_linear


def test_the_hessian_of_a_linear_quadratic_problem_is_definite_and_that_of_a_concave_cost_is_not():
    env = make_linear()
    state, actions = jnp.array([0.3, -0.2]), jnp.zeros((env.horizon, 1))
    assert not measurements.is_indefinite(env, state, actions)
    saddle = env.with_reward(lambda state, action: 100 * state[0] ** 2 - jnp.sum(action**2))
    assert measurements.is_indefinite(saddle, state, actions)


def test_jacobians_are_those_of_the_steps():
    env = make_linear()
    state = jnp.array([0.3, -0.2])
    by_state, by_action = measurements.jacobians(env, state, replay(env, state, jnp.zeros((env.horizon, 1))))
    np.testing.assert_allclose(by_state, np.broadcast_to(A.T, by_state.shape))
    np.testing.assert_allclose(by_action, np.broadcast_to(B.T, by_action.shape))


@pytest.mark.slow
def test_a_pendulum_is_measured():
    numbers = measurements.measure(envs.make("pendulum_2d", "stop", horizon=6), num_rollouts=4)
    assert 0 <= numbers["indefinite_share"] <= 1
    assert numbers["jacobian_ratio"] > 0


def test_the_fastest_call_counts_and_compiling_does_not():
    calls = []
    assert measurements.fastest(lambda value: calls.append(value) or jax.numpy.ones(3), 1) >= 0
    assert len(calls) == 1 + measurements.REPETITIONS
