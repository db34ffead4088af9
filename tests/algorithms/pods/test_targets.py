import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, envs, improve
from pods_jax.algorithms.pods.targets import flatten_samples, is_healthy, reaction_targets, regression_targets
from pods_jax.policies.regression import Samples
from pods_jax.rollouts import flatten_states, rollout, step_starts

HORIZON = 10


@pytest.fixture(scope="module")
def episode():
    env = envs.make("pendulum_3d", "stop_at_origin", horizon=HORIZON)
    state = env.reset(jax.random.key(0))
    visited = rollout(env, lambda observation: 0.1 * observation[:3], state)
    return env, state, visited, improve(env, state, visited.action, method="riccati")


@pytest.mark.slow
def test_improved_states_are_those_of_the_improved_rollout(episode):
    env, state, visited, better = episode
    samples = regression_targets(env, state, visited, better.feedback, "improved", 0.5)
    np.testing.assert_array_equal(samples.target, better.actions)
    np.testing.assert_array_equal(samples.weight, np.broadcast_to(np.eye(3), (HORIZON, 3, 3)))
    second = env.observe(jax.tree.map(lambda leaf: leaf[0], better.state))
    np.testing.assert_array_equal(samples.observation[1], second)
    assert not np.allclose(samples.observation[2:], visited.observation[2:])


@pytest.mark.slow
def test_visited_states_react_to_the_deviation_within_the_limits(episode):
    env, state, visited, better = episode
    samples = regression_targets(env, state, visited, better.feedback, "visited", 0.25)
    assert samples.target.shape == (2 * HORIZON, 3)
    np.testing.assert_array_equal(samples.observation[:HORIZON], visited.observation)
    here = np.asarray(flatten_states(step_starts(state, visited.state)))
    there = np.asarray(flatten_states(step_starts(state, better.state)))
    reaction = np.stack([K @ d for K, d in zip(np.asarray(better.gains), here - there, strict=True)])
    expected = np.clip(np.asarray(better.actions) + reaction, -3.0, 3.0)
    np.testing.assert_allclose(samples.target[:HORIZON], expected, atol=1e-12)
    np.testing.assert_allclose(samples.weight[:HORIZON], 1.5 * better.action_hessian, rtol=1e-12)
    np.testing.assert_allclose(samples.weight[HORIZON:], 0.5 * better.action_hessian, rtol=1e-12)


def test_from_the_first_step_beyond_reach_on_visited_states_weigh_nothing(episode):
    env, state, visited, better = episode
    far = dataclasses.replace(better.feedback, actions=better.actions.at[4, 1].set(100.0))
    near = reaction_targets(env, state, visited, far)
    samples = reaction_targets(env, state, visited, far, reach=2.0)
    asked = np.abs(np.asarray(better.actions))[:4]
    assert np.all(asked < 6.0), "the rest of the feedback is within reach"
    assert np.all(np.trace(np.asarray(samples.weight), axis1=1, axis2=2)[:4] > 0)
    assert not np.any(samples.weight[4:])
    np.testing.assert_array_equal(samples.target, near.target)
    np.testing.assert_array_equal(near.weight, better.action_hessian)


@pytest.mark.parametrize("states", ["visited_states", "improved_states", "both"])
def test_other_words_for_the_states_are_refused(episode, states):
    env, state, visited, better = episode
    with pytest.raises(InputError, match=f"states = '{states}': .*must be one of visited, improved"):
        regression_targets(env, state, visited, better.feedback, states, 0.5)


@pytest.mark.slow
def test_the_weighted_error_on_visited_states_is_the_loss_of_return():
    """The performance-difference lemma, on a problem so close to linear that second order is exact enough."""
    env = envs.make("pendulum_2d", "stop", horizon=HORIZON, initial_speed=1e-3, action_limit=100.0)
    state = env.reset(jax.random.key(1))
    zero = jnp.zeros((HORIZON, 1))
    for _ in range(3):
        better = improve(env, state, zero, method="riccati")
        zero = better.actions

    def policy(observation):
        return 1e-4 * jnp.sin(1e4 * observation[:1] + 3.0)

    visited = rollout(env, policy, state)
    samples = regression_targets(env, state, visited, better.feedback, "visited", 0.0)
    error = visited.action - samples.target[:HORIZON]
    predicted = 0.5 * jnp.sum(jnp.einsum("ta,tab,tb->t", error, better.action_hessian, error))
    lost = better.value - jnp.sum(visited.reward)
    assert lost > 0
    np.testing.assert_allclose(predicted, lost, rtol=2e-2)


def test_a_rollout_with_a_nan_or_an_unsolved_step_is_not_healthy(episode):
    env, state, visited, better = episode
    feedback, value = better.feedback, better.value
    assert is_healthy(env, state, visited, feedback, value)
    assert not is_healthy(env, state, visited, feedback.replace(actions=feedback.actions.at[3].set(jnp.nan)), value)
    assert not is_healthy(env, state, visited, feedback.replace(gains=feedback.gains * jnp.inf), value)
    assert not is_healthy(env, state, visited, feedback, jnp.nan)
    bent = jax.tree.map(lambda leaf: leaf, visited.state)
    bent = bent.replace(velocity=bent.velocity.at[4].add(1e-2))
    assert not is_healthy(env, state, visited.replace(state=bent), feedback, value)
    assert not is_healthy(env, state, visited, feedback.replace(states=bent), value)


def test_unhealthy_rollouts_weigh_nothing_and_the_rest_one_on_average():
    keys = jax.random.split(jax.random.key(0), 3)
    samples = Samples(
        observation=jax.random.normal(keys[0], (3, 4, 5)).at[1].set(jnp.nan),
        target=jax.random.normal(keys[1], (3, 4, 2)).at[1].set(jnp.nan),
        weight=jnp.abs(jax.random.normal(keys[2], (3, 4, 2, 2))),
    )
    flat = flatten_samples(samples, jnp.asarray([True, False, True]))
    assert flat.observation.shape == (12, 5)
    assert np.all(np.isfinite(flat.observation))
    assert not np.any(flat.weight[4:8])
    healthy = np.concatenate([flat.weight[:4], flat.weight[8:]])
    np.testing.assert_allclose(np.trace(healthy, axis1=1, axis2=2).mean(), 2.0, rtol=1e-12)


def test_no_healthy_rollout_at_all_gives_weight_zero_and_no_nan():
    samples = Samples(jnp.full((2, 3, 5), jnp.nan), jnp.full((2, 3, 1), jnp.nan), jnp.full((2, 3, 1, 1), jnp.nan))
    flat = flatten_samples(samples, jnp.asarray([False, False]))
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(flat))
