import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pods_jax import algorithms, envs
from pods_jax.algorithms.pods.fine_tuning import descend_mean_cost, mean_cost_gradient
from pods_jax.algorithms.pods.metrics import visited_metrics
from pods_jax.policies.policy_model import make_policy_model
from pods_jax.policies.regression import GradientSteps, init_learner
from pods_jax.rollouts import rollout, sample_states
from tests.algorithms.linear import make_linear

STEPS = {"gradient_steps": 20, "minibatch_size": 80}
SETTINGS = {"batch_size": 16, "guard": {"size": 8}, "hidden_sizes": (16,), "regression": STEPS}


def start(env, seed=0):
    model = make_policy_model(env, (16,))
    params, key, _ = model.init(jax.random.key(seed))
    return model, init_learner(optax.scale_by_adam(), params), key


def descend(model, learner, num_steps, num_rollouts, key):
    steps = GradientSteps(optax.scale_by_adam(), lambda _: jnp.asarray(1e-2), num_steps, 0, model.env.horizon)
    return jax.jit(lambda learner: descend_mean_cost(model, learner, steps, num_rollouts, key))(learner)


@pytest.mark.slow
def test_the_cost_of_the_policy_itself_falls():
    env = make_linear()
    model, learner, key = start(env)
    tuned, losses, _ = descend(model, learner, 60, 16, key)
    assert losses.shape == (60,)
    assert tuned.num_steps == 60
    starts = sample_states(env, jax.random.key(7), 64)
    before, after = (-jnp.mean(model.returns(each.average, starts)) for each in (learner, tuned))
    assert 0 < after < before / 2


@pytest.mark.slow
def test_a_step_is_one_of_adam_along_the_clipped_gradient():
    env = envs.make("pendulum_2d", "stop", horizon=6)
    model, learner, key = start(env)
    tuned, losses, failed = descend(model, learner, 1, 3, key)
    assert failed == 0
    starts = sample_states(env, jax.random.split(key, 1)[0], 3)
    loss, gradient = jax.value_and_grad(lambda params: -jnp.mean(model.returns(params, starts)))(learner.params)
    np.testing.assert_allclose(losses, [loss], rtol=1e-9)
    both = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    updates, _ = both.update(gradient, both.init(learner.params))
    expected = jax.tree.map(lambda leaf, update: leaf - 1e-2 * update, learner.params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8), tuned.params, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", pytest.param("payload_2d", marks=pytest.mark.exhaustive)])
def test_the_gradient_is_that_of_reverse_mode_through_whole_rollouts(name):
    env = make_linear() if name == "linear" else envs.make(name, "stop", horizon=8)
    model, learner, key = start(env)
    params = jax.tree.map(lambda leaf: 3 * leaf, learner.params)  # it moves
    starts = sample_states(env, key, 4)
    found = jax.jit(lambda params: mean_cost_gradient(model, params, starts))(params)
    expected = jax.jit(jax.value_and_grad(lambda params: -jnp.mean(model.returns(params, starts))))(params)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(expected[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8 * largest), found, expected)


@pytest.mark.slow
def test_a_simulator_without_reverse_mode_can_be_fine_tuned():
    """A loop of unknown length, as solvers of contacts have."""

    def push(state, action):
        def advance(carry):
            count, state = carry
            return count + 1, state + 0.1 * jnp.stack([state[1], action[0]])

        return jax.lax.while_loop(lambda carry: carry[0] < 2, advance, (0, state))[1]

    env = envs.from_step(
        push,
        lambda key: jax.random.uniform(key, (2,), minval=-1.0),
        observe=lambda state: state,
        residual=lambda state, action: jnp.concatenate([state, 0.3 * action]),
        action_limit=[5.0],
        horizon=6,
    )
    model, learner, key = start(env)
    starts = sample_states(env, jax.random.key(7), 64)
    with pytest.raises(ValueError, match="Reverse-mode"):
        jax.grad(lambda params: model.loss(params, starts)[0])(learner.params)
    tuned, _, _ = descend(model, learner, 60, 16, key)
    before, after = (-jnp.mean(model.returns(each.average, starts)) for each in (learner, tuned))
    assert 0 < after < 0.8 * before


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_changes_nothing_but_the_count():
    env = make_linear().with_reward(lambda state, action: jnp.nan * jnp.sum(state) * jnp.sum(action))
    model, learner, key = start(env)
    tuned, losses, failed = descend(model, learner, 4, 3, key)
    assert failed == 4
    assert np.all(np.isnan(losses))
    assert tuned.num_steps == 4
    for part in ("params", "optimizer_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(tuned.descent, part), getattr(learner.descent, part))
    jax.tree.map(np.testing.assert_array_equal, tuned.average, learner.average)


@pytest.mark.slow
def test_the_metrics_of_what_is_not_improved_have_its_return_and_what_was_simulated_besides():
    env = make_linear()
    states = sample_states(env, jax.random.key(1), 5)
    visited = jax.vmap(lambda state: rollout(env, lambda _: jnp.zeros(env.action_size), state))(states)
    healthy = jnp.arange(5) != 2
    made = visited_metrics(env, visited, healthy, 7, jnp.asarray(3))
    expected = np.mean(np.sum(visited.reward, axis=1)[np.asarray(healthy)])
    np.testing.assert_allclose([made["value"], made["value_improved"]], expected, rtol=1e-12)
    assert made["improved_fraction"] == made["largest_action_ratio"] == 0
    assert made["unhealthy_rollouts"] == 1
    assert made["nonfinite_derivatives"] == 3
    assert made["environment_steps"] == (5 + 7) * env.horizon


@pytest.fixture(scope="module")
def epochs():
    """States and metrics of six epochs, the last four of them fine-tuning."""
    algorithm = algorithms.make("pods", make_linear(), fine_tune_after=2, **SETTINGS)
    states, rows = [algorithm.init(jax.random.key(0))], []
    updates = [jax.jit(phase.update) for phase in algorithm.phases]
    for epoch in range(6):
        state, metrics = updates[epoch >= 2](states[-1])
        states.append(state)
        rows.append(metrics)
    return algorithm, updates, states, rows


@pytest.mark.slow
def test_fine_tuning_is_a_phase_of_its_own(epochs):
    algorithm, _, states, _ = epochs
    assert [(phase.name, phase.first_epoch) for phase in algorithm.phases] == [("training", 0), ("fine-tuning", 2)]
    assert [int(state.epoch) for state in states] == list(range(7))


@pytest.mark.slow
def test_pods_improves_trajectories_first_and_fine_tunes_afterwards(epochs):
    algorithm, _, states, rows = epochs
    assert [int(row["improved_fraction"] > 0) for row in rows] == [1, 1, 0, 0, 0, 0]
    assert [int(state.learner.num_steps) for state in states] == [0, 20, 40, 60, 80, 100, 120]
    horizon = algorithm.env.horizon
    # Of the policy before and after, and a minibatch's worth of them for each gradient step.
    num_rollouts = 2 * SETTINGS["batch_size"] + STEPS["gradient_steps"] * (STEPS["minibatch_size"] // horizon)
    assert all(row["environment_steps"] == horizon * num_rollouts for row in rows[2:])
    assert np.all(np.diff([row["guard_value"] for row in rows]) >= 0)
    assert rows[-1]["guard_value"] > rows[1]["guard_value"]
    for row in rows[2:]:
        assert row["value_improved"] == row["value"]
        assert row["unhealthy_rollouts"] == 0
        assert 0 < row["fit_loss"] < 10 * -row["value"]  # a mean cost, of a few other rollouts


@pytest.mark.slow
def test_fine_tuning_is_off_unless_asked_for_and_waits_for_its_epoch(epochs):
    """Two epochs with and without are the same."""
    _, _, states, _ = epochs
    plain = algorithms.make("pods", make_linear(), **SETTINGS)
    update, state = jax.jit(plain.update), plain.init(jax.random.key(0))
    for expected in states[1:3]:
        state, _ = update(state)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), state.params, expected.params
        )


def test_a_rollout_that_is_not_finite_is_counted_and_never_reaches_the_policy(epochs):
    _, updates, states, _ = epochs
    poisoned = jax.tree.map(lambda leaf: leaf.at[2].set(jnp.nan), states[3].guard_states)
    state, metrics = updates[1](dataclasses.replace(states[3], guard_states=poisoned))
    assert metrics["unhealthy_rollouts"] == 1
    assert metrics["guard_acted"]
    assert np.isfinite(metrics["value"])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params))


@pytest.mark.slow
def test_a_reward_that_is_not_finite_counts_as_unhealthy_in_fine_tuning():
    def rarely(state, action):
        return jnp.where(state[0] > 0.5, jnp.nan, -jnp.sum(state**2) - 0.1 * jnp.sum(action**2))

    algorithm = algorithms.make("pods", make_linear().with_reward(rarely), fine_tune_after=1, **SETTINGS)
    state = algorithm.init(jax.random.key(0))
    for phase in algorithm.phases:
        state, metrics = jax.jit(phase.update)(state)
        assert 0 < metrics["unhealthy_rollouts"] < SETTINGS["batch_size"]
        assert np.isfinite(metrics["value"])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params))


@pytest.mark.slow
def test_a_policy_that_fine_tuning_made_worse_is_left_behind(epochs):
    """While trajectories are improved the learner goes on instead."""
    _, updates, states, _ = epochs
    for state, update, restarts in ((states[1], updates[0], False), (states[4], updates[1], True)):
        ahead = dataclasses.replace(state, guard_value=jnp.asarray(0.0))  # nothing is as good
        after, metrics = update(ahead)
        assert metrics["guard_acted"]
        jax.tree.map(np.testing.assert_array_equal, after.params, state.params)
        same = jax.tree.map(lambda a, b: bool(np.all(a == b)), after.learner.average, state.params)
        assert all(jax.tree.leaves(same)) == restarts
        assert after.learner.num_steps == state.learner.num_steps + STEPS["gradient_steps"]
