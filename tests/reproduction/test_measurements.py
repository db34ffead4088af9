import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs, replay
from pods_jax.evaluation import heldout_states
from pods_jax.reproduction import measurements
from tests.algorithms.linear import A, B, make_linear


@pytest.mark.slow
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


@pytest.mark.exhaustive
def test_a_pendulum_is_measured():
    numbers = measurements.measure(envs.make("pendulum_2d", "stop", horizon=6), num_rollouts=4)
    assert 0 <= numbers["indefinite_share"] <= 1
    assert numbers["jacobian_ratio"] > 0


@pytest.mark.slow
def test_the_best_actions_of_a_linear_problem_are_a_least_squares_solution():
    env, count = make_linear(), 5

    def residuals(actions, state):
        states = replay(env, state, actions[:, None]).state
        return jax.vmap(env.residual)(states, actions[:, None]).reshape(-1)

    zero, found = jnp.zeros(env.horizon), []
    for state in heldout_states(env, count):
        matrix, offset = jax.jacfwd(residuals)(zero, state), residuals(zero, state)
        actions = np.linalg.lstsq(matrix, -offset)[0]
        found.append((-jnp.sum((matrix @ actions + offset) ** 2), np.mean(np.abs(actions))))
    numbers = measurements.best(env, count)
    expected = np.mean(found, axis=0)
    np.testing.assert_allclose([numbers["return_mean"], numbers["action_magnitude"]], expected, rtol=1e-5)


@pytest.mark.slow
def test_the_best_of_several_local_optima_counts():
    """Zero actions are the top between two wells, which no search leaves; random ones are in a well already."""
    env = make_linear(limit=1.0)
    wells = dataclasses.replace(
        env.functions, residual=lambda _, state, action: jnp.append(action**2 - 0.25, action / 99)
    )
    env = dataclasses.replace(env, functions=wells)
    from_zero, from_several = (measurements.best(env, 3, num_draws)["return_mean"] for num_draws in (0, 1))
    np.testing.assert_allclose(from_zero, -env.horizon / 16)
    assert from_several > from_zero / 100


def test_the_fastest_call_counts_and_compiling_does_not():
    calls = []
    assert measurements.fastest(lambda value: calls.append(value) or jax.numpy.ones(3), 1) >= 0
    assert len(calls) == 1 + measurements.REPETITIONS
