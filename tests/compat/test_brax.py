"""An Environment with Brax's interface: the same physics and rewards, and Brax's own wrappers around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import compat, envs

pytest.importorskip("brax")

HORIZON = 4


@pytest.fixture(scope="module")
def env():
    return envs.make("pendulum_2d", "stop", horizon=HORIZON)


def played(env, actions):
    """The states of Brax's interface under actions relative to their limits."""
    from brax.envs.base import Env

    theirs = compat.to_brax(env)
    assert isinstance(theirs, Env)
    state = theirs.reset(jax.random.key(0))
    assert (theirs.observation_size, theirs.action_size) == (env.observation_size, env.action_size)
    states = [state]
    for action in actions:
        states.append(theirs.step(states[-1], action))
    return states


def test_it_is_a_replay_of_the_scaled_actions(env):
    relative = jnp.array([[0.3], [-0.7], [1.5], [-1.0]])  # beyond the limit counts as the limit
    states = played(env, relative)
    actions = jnp.clip(relative, -1, 1) * env.action_limit[None]
    expected = pods_jax.replay(env, env.reset(jax.random.key(0)), actions)
    np.testing.assert_allclose([state.reward for state in states[1:]], expected.reward, rtol=1e-12)
    np.testing.assert_allclose([state.obs for state in states[:-1]], expected.observation, rtol=1e-12)
    assert [int(state.pipeline_state.num_steps) for state in states] == [0, 1, 2, 3, 4]
    assert not any(float(state.done) for state in states)


def test_only_the_last_reward_counts_where_the_environment_says_so(env):
    rewards = [float(state.reward) for state in played(env.replace(terminal_only=True), jnp.zeros((HORIZON, 1)))]
    assert rewards[:-1] == [0.0] * HORIZON
    assert rewards[-1] < 0


def test_the_time_limit_is_a_truncation_and_a_reset_starts_the_count_anew(env):
    from brax.envs.wrappers import training

    wrapped = training.wrap(compat.to_brax(env), episode_length=HORIZON)
    state = wrapped.reset(jax.random.split(jax.random.PRNGKey(0), 2))  # its wrappers ask for keys of the old kind
    step = jax.jit(wrapped.step)
    for _ in range(HORIZON):
        np.testing.assert_array_equal(state.info["truncation"], 0.0)
        state = step(state, jnp.zeros((2, 1)))
    np.testing.assert_array_equal(state.info["truncation"], 1.0)
    np.testing.assert_array_equal(state.pipeline_state.num_steps, 0)
