import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pods_jax import algorithms, envs
from pods_jax.algorithms.pods import metrics
from pods_jax.algorithms.pods.fine_tuning import fine_tune
from pods_jax.policies.policy_model import make_policy_model, sample_states
from pods_jax.policies.regression import init_learner
from pods_jax.rollouts import rollout
from tests.algorithms.linear import make_linear

SETTINGS = {"batch_size": 16, "guard_size": 8, "hidden_sizes": (16,), "gradient_steps": 20, "minibatch_size": 80}


def start(env, seed=0):
    actor = make_policy_model(env, (16,))
    optimizer = optax.scale_by_adam()
    params, key, _ = actor.init(jax.random.key(seed))
    return actor, optimizer, init_learner(optimizer, params), key


def constant(_):
    return jnp.asarray(1e-2)


def test_the_cost_of_the_policy_itself_falls():
    env = make_linear()
    actor, optimizer, learner, key = start(env)
    polished, losses = jax.jit(lambda learner: fine_tune(actor, optimizer, constant, learner, key, 60, 16))(learner)
    assert losses.shape == (60,)
    assert polished.num_steps == 60
    starts = sample_states(env, jax.random.key(7), 64)
    before, after = (-jnp.mean(actor.returns(each.average, starts)) for each in (learner, polished))
    assert 0 < after < before / 2


def test_a_step_is_one_of_adam_along_the_clipped_gradient():
    env = envs.make("pendulum_2d", "stop", horizon=6)
    actor, optimizer, learner, key = start(env)
    polished, losses = jax.jit(lambda learner: fine_tune(actor, optimizer, constant, learner, key, 1, 3))(learner)
    starts = sample_states(env, jax.random.split(key, 1)[0], 3)
    loss, gradient = jax.value_and_grad(lambda params: -jnp.mean(actor.returns(params, starts)))(learner.params)
    np.testing.assert_allclose(losses, [loss], rtol=1e-9)
    both = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    updates, _ = both.update(gradient, both.init(learner.params))
    expected = jax.tree.map(lambda leaf, update: leaf - 1e-2 * update, learner.params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8), polished.params, expected)


def test_a_gradient_that_is_not_finite_changes_nothing_but_the_count():
    env = make_linear().with_reward(lambda state, action: jnp.nan * jnp.sum(state) * jnp.sum(action))
    actor, optimizer, learner, key = start(env)
    polished, losses = jax.jit(lambda learner: fine_tune(actor, optimizer, constant, learner, key, 4, 3))(learner)
    assert np.all(np.isnan(losses))
    assert polished.num_steps == 4
    for part in ("params", "average", "optimizer_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(polished, part), getattr(learner, part))


def test_the_books_of_what_is_not_improved_have_its_return_and_what_was_simulated_beside_it():
    env = make_linear()
    states = sample_states(env, jax.random.key(1), 5)
    visited = jax.vmap(lambda state: rollout(env, lambda _: jnp.zeros(env.action_size), state))(states)
    healthy = jnp.arange(5) != 2
    made = metrics.visited(env, visited, healthy, 7)
    expected = np.mean(np.sum(visited.reward, axis=1)[np.asarray(healthy)])
    np.testing.assert_allclose([made["value"], made["value_improved"]], expected, rtol=1e-12)
    assert made["improved_fraction"] == made["largest_action_ratio"] == 0
    assert made["unhealthy_rollouts"] == 1
    assert made["environment_steps"] == (5 + 7) * env.horizon


@pytest.fixture(scope="module")
def epochs():
    """States and metrics of six epochs, the last four of them polishing."""
    algorithm = algorithms.make("pods", make_linear(), polish_after=2, **SETTINGS)
    update, states, rows = jax.jit(algorithm.update), [algorithm.init(jax.random.key(0))], []
    for _ in range(6):
        state, metrics = update(states[-1])
        states.append(state)
        rows.append(metrics)
    return algorithm, states, rows


def test_pods_improves_trajectories_first_and_polishes_afterwards(epochs):
    algorithm, states, rows = epochs
    assert [int(row["improved_fraction"] > 0) for row in rows] == [1, 1, 0, 0, 0, 0]
    assert [int(state.learner.num_steps) for state in states] == [0, 20, 40, 60, 80, 100, 120]
    horizon = algorithm.env.horizon
    # Of the policy before and after, and a minibatch's worth of them for each gradient step.
    num_rollouts = 2 * SETTINGS["batch_size"] + SETTINGS["gradient_steps"] * (SETTINGS["minibatch_size"] // horizon)
    assert all(row["environment_steps"] == horizon * num_rollouts for row in rows[2:])
    assert np.all(np.diff([row["guard_value"] for row in rows]) >= 0)
    assert rows[-1]["guard_value"] > rows[1]["guard_value"]
    for row in rows[2:]:
        assert row["value_improved"] == row["value"]
        assert row["unhealthy_rollouts"] == 0
        assert 0 < row["fit_loss"] < 10 * -row["value"]  # a mean cost, of a few other rollouts


def test_polishing_is_off_unless_asked_for_and_waits_for_its_epoch(epochs):
    """Two epochs with and without are the same."""
    _, states, _ = epochs
    plain = algorithms.make("pods", make_linear(), **SETTINGS)
    update, state = jax.jit(plain.update), plain.init(jax.random.key(0))
    for expected in states[1:3]:
        state, _ = update(state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), state.params, expected.params
        )


def test_a_rollout_that_is_not_finite_is_counted_and_never_reaches_the_policy(epochs):
    algorithm, states, _ = epochs
    poisoned = jax.tree.map(lambda leaf: leaf.at[2].set(jnp.nan), states[3].guard_states)
    state, metrics = jax.jit(algorithm.update)(dataclasses.replace(states[3], guard_states=poisoned))
    assert metrics["unhealthy_rollouts"] == 1
    assert metrics["guard_acted"]
    assert np.isfinite(metrics["value"])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params))


def test_a_reward_that_is_not_finite_counts_as_unhealthy_while_polishing():
    def rarely(state, action):
        return jnp.where(state[0] > 0.5, jnp.nan, -jnp.sum(state**2) - 0.1 * jnp.sum(action**2))

    algorithm = algorithms.make("pods", make_linear().with_reward(rarely), polish_after=1, **SETTINGS)
    update, state = jax.jit(algorithm.update), algorithm.init(jax.random.key(0))
    for _ in range(2):
        state, metrics = update(state)
        assert 0 < metrics["unhealthy_rollouts"] < SETTINGS["batch_size"]
        assert np.isfinite(metrics["value"])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params))


def test_a_policy_that_polishing_made_worse_is_left_behind(epochs):
    """While trajectories are improved the learner goes on instead."""
    algorithm, states, _ = epochs
    update = jax.jit(algorithm.update)
    for state, restarts in ((states[1], False), (states[4], True)):
        ahead = dataclasses.replace(state, guard_value=jnp.asarray(0.0))  # nothing is as good
        after, metrics = update(ahead)
        assert metrics["guard_acted"]
        jax.tree.map(np.testing.assert_array_equal, after.params, state.params)
        same = jax.tree.map(lambda a, b: bool(np.all(a == b)), after.learner.average, state.params)
        assert all(jax.tree.leaves(same)) == restarts
        assert after.learner.num_steps == state.learner.num_steps + SETTINGS["gradient_steps"]
