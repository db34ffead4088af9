import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pods_jax import envs
from pods_jax.trajopt import linearize, simulate

HORIZON = 6


@pytest.fixture(
    scope="module", params=["pendulum_2d", pytest.param("double_pendulum_3d", marks=pytest.mark.exhaustive)]
)
def swing(request):
    """A trajectory on flat states, its linearization, and the sensitivities of all states to all actions."""
    env = envs.make(request.param)
    state, unravel = ravel_pytree(env.reset(jax.random.key(0)))
    actions = jax.random.uniform(jax.random.key(1), (HORIZON, env.action_size), minval=-3, maxval=3)

    @jax.jit
    def dynamics(state, action):
        return ravel_pytree(env.step(unravel(state), action))[0]

    @jax.jit
    def derivatives(state, actions):
        states = simulate(dynamics, state, actions)
        starts = jnp.concatenate([state[None], states[:-1]])
        model = jax.vmap(functools.partial(linearize, dynamics))(starts, actions)
        return states, model, jax.jacfwd(lambda a: simulate(dynamics, state, a))(actions)

    states, model, sensitivities = derivatives(state, actions)
    return types.SimpleNamespace(
        dynamics=dynamics, state=state, actions=actions, states=states, model=model, sensitivities=sensitivities
    )


def central_differences(function, point, step=1e-5):
    axes = step * np.eye(point.size)
    return np.stack([(function(point + axis) - function(point - axis)) / (2 * step) for axis in axes], axis=1)


@pytest.mark.slow
def test_blocks_are_the_derivatives_of_one_step(swing):
    for step, start in ((0, swing.state), (3, swing.states[2])):
        action = swing.actions[step]
        by_state = central_differences(lambda x, action=action: swing.dynamics(x, action), start)
        by_action = central_differences(lambda a, start=start: swing.dynamics(start, a), action)
        np.testing.assert_allclose(swing.model.A[step], by_state, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(swing.model.B[step], by_action, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_products_of_the_blocks_are_the_sensitivities_of_the_trajectory(swing):
    expected = np.zeros(swing.sensitivities.shape)
    for cause in range(HORIZON):
        effect = np.asarray(swing.model.B[cause])
        expected[cause, :, cause] = effect
        for later in range(cause + 1, HORIZON):
            effect = np.asarray(swing.model.A[later]) @ effect
            expected[later, :, cause] = effect
    np.testing.assert_allclose(swing.sensitivities, expected, rtol=1e-9, atol=1e-10)


def test_sensitivities_are_causal_and_the_last_action_moves_the_last_state(swing):
    """The lower triangular structure of ds/da in the paper."""
    for cause in range(HORIZON):
        assert not np.any(swing.sensitivities[:cause, :, cause])
        assert np.max(np.abs(swing.sensitivities[cause, :, cause])) > 1e-3


def linear_toy():
    random = np.random.default_rng(0)
    A, B, offset = random.normal(size=(3, 3)), random.normal(size=(3, 2)), random.normal(size=3)
    return A, B, lambda state, action: A @ state + B @ action + offset


def test_linear_dynamics_are_their_own_linearization():
    A, B, dynamics = linear_toy()
    model = linearize(dynamics, jnp.asarray([0.3, -1.0, 2.0]), jnp.asarray([0.1, 0.7]))
    np.testing.assert_allclose(model.A, A, atol=1e-14)
    np.testing.assert_allclose(model.B, B, atol=1e-14)


def test_products_with_the_model_are_products_with_its_matrices():
    A, B, dynamics = linear_toy()
    model = linearize(dynamics, jnp.zeros(3), jnp.zeros(2))
    by_next, columns, inputs = (np.random.default_rng(1).normal(size=shape) for shape in ((3, 4), (3, 5), (2, 5)))
    by_state, by_action = model.transpose_product(by_next)
    np.testing.assert_allclose(by_state, A.T @ by_next, atol=1e-14)
    np.testing.assert_allclose(by_action, B.T @ by_next, atol=1e-14)
    np.testing.assert_allclose(model.product(columns, inputs), A @ columns + B @ inputs, atol=1e-14)
