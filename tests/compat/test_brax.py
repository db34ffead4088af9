"""An Environment with Brax's interface: the same physics and rewards, and Brax's own wrappers around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import InputError, compat, envs

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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_actions_are_checked_before_brax_scales_them():
    theirs = compat.to_brax(envs.make("pendulum_3d", "stop", horizon=HORIZON))
    state = theirs.reset(jax.random.key(0))
    for wrong in (jnp.zeros(1), 0.5, jnp.zeros((1, 3))):
        with pytest.raises(InputError, match=r"action has shape .*: must have shape \(3,\)"):
            theirs.step(state, wrong)
    with pytest.raises(InputError, match="action is of type bool: must be real numbers"):
        jax.jit(theirs.step)(state, jnp.ones(3, bool))


def test_beyond_the_limit_is_the_limit_and_nan_stays_visible(env):
    theirs = compat.to_brax(env)
    state = theirs.reset(jax.random.key(0))
    most = theirs.step(state, jnp.ones(1))
    for beyond in (1e30, jnp.inf, 1):
        np.testing.assert_array_equal(theirs.step(state, [beyond]).obs, most.obs)
    after = theirs.step(state, jnp.full(1, jnp.nan))
    assert np.isnan(after.reward)
    assert np.isnan(theirs.step(after, jnp.zeros(1)).reward)


def test_a_reset_by_brax_leads_each_copy_back_to_a_start_of_its_own(env):
    from brax.envs.wrappers import training

    wrapped = training.wrap(compat.to_brax(env), episode_length=HORIZON)
    first = wrapped.reset(jax.random.split(jax.random.PRNGKey(0), 3))
    assert len(np.unique(np.asarray(first.obs), axis=0)) == 3
    state, step = first, jax.jit(wrapped.step)
    for _ in range(HORIZON):
        state = step(state, jnp.zeros((3, 1)))
    np.testing.assert_array_equal(state.obs, first.obs)  # Brax's wrapper keeps the first state of each


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_the_trainer_of_brax_learns_from_it(monkeypatch):
    """Its PPO, in single precision; Brax 0.14 calls a function that jax 0.10 no longer has."""
    from brax.training.agents.ppo import train as ppo

    def replicated(tree, devices):
        stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(devices)), tree)
        return jax.pmap(lambda leaves: leaves)(stacked)

    monkeypatch.setattr(jax, "device_put_replicated", replicated, raising=False)
    returns = []
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        env = envs.make("pendulum_2d", "stop", horizon=20)
        ppo.train(
            compat.to_brax(env),
            num_timesteps=100_000,
            episode_length=env.horizon,
            num_envs=128,
            unroll_length=20,
            batch_size=32,
            num_minibatches=4,
            num_updates_per_batch=4,
            learning_rate=1e-3,
            entropy_cost=1e-3,
            discounting=0.99,
            normalize_observations=True,
            reward_scaling=0.1,
            num_evals=2,
            progress_fn=lambda steps, metrics: returns.append(float(metrics["eval/episode_reward"])),
        )
    assert returns[-1] > 0.8 * returns[0]  # both are negative
