"""The matrices of a rollout, beside those of differences and of a linear problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, envs, replay
from pods_jax.visual.jacobians import jacobians
from tests.algorithms.linear import RESIDUAL, A, B, make_linear


def test_of_a_linear_problem_both_hessians_are_the_exact_one():
    env = make_linear(horizon=4)
    parts = jacobians(env, jnp.array([0.3, -0.2]), jnp.ones((4, 1)))
    blocks = [
        [np.linalg.matrix_power(A, row - column) @ B if row >= column else np.zeros((2, 1)) for column in range(4)]
        for row in range(4)
    ]
    np.testing.assert_allclose(parts.jacobian, np.block(blocks), rtol=1e-12, atol=1e-14)
    weighted = np.kron(np.eye(4), np.diag(RESIDUAL)) @ np.block(blocks)
    expected = 2 * (weighted.T @ weighted + 0.3**2 * np.eye(4))
    np.testing.assert_allclose(parts.gauss_newton, expected, rtol=1e-12)
    np.testing.assert_allclose(parts.hessian, expected, rtol=1e-12)


@pytest.mark.exhaustive
def test_the_hessian_of_a_long_rollout_is_right_in_single_precision():
    """Forwards over backwards is off by half of the largest entry here."""
    env = envs.make("pendulum_2d", horizon=40)
    state, actions = env.reset(jax.random.key(0)), jnp.full((40, 1), 0.1)
    exact = np.asarray(jacobians(env, state, actions).hessian)
    gradient = jax.jit(jax.grad(lambda actions: -jnp.sum(replay(env, state, actions).reward)))
    step = jnp.zeros((40, 1)).at[3].set(1e-5)
    differences = (gradient(actions + step) - gradient(actions - step))[:, 0] / 2e-5
    np.testing.assert_allclose(exact[3], differences, rtol=1e-5, atol=1e-7 * np.max(np.abs(exact)))
    with jax.enable_x64(False):
        single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (env, state, actions))
        error = np.abs(np.asarray(jacobians(*single).hessian) - exact)
    assert np.max(error) < 1e-3 * np.max(np.abs(exact))


@pytest.mark.slow
def test_another_reward_is_refused():
    env = make_linear().with_reward(lambda state, action: jnp.sum(state) * jnp.sum(action))
    parts = jacobians(env, jnp.array([0.3, -0.2]), jnp.ones((env.horizon, 1)))
    assert np.linalg.eigvalsh(parts.hessian)[0] < 0
    own = envs.from_step(
        lambda state, action: state + action,
        lambda key: jax.random.normal(key, (1,)),
        lambda state: state,
        reward=lambda state, action: -jnp.sum(state**2),
        action_limit=[1.0],
        horizon=3,
    )
    with pytest.raises(InputError, match="a reward and no residual"):
        jacobians(own, jnp.ones(1), jnp.zeros((3, 1)))
