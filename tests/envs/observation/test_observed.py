"""Environments of which a policy sees less than the state."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import algorithms, envs, sensors
from pods_jax.checks import InputError
from pods_jax.envs.observation.noise import noise
from pods_jax.improvement import optimize
from pods_jax.rollouts import replay, rollout, sample_states
from pods_jax.trajopt import flatten, linearize
from tests.tiers import slow_but

EPISODE = 12


@pytest.fixture
def base():
    return envs.make("pendulum_2d", task="stop", horizon=EPISODE)


def actions_of(env, seed=3):
    return 0.5 * env.action_limit[None] * jax.random.normal(jax.random.key(seed), (env.horizon, env.action_size))


@pytest.mark.slow
def test_an_observation_is_the_history_of_readings_and_the_last_actions_newest_first(base):
    env = envs.observed(base, {"p": sensors.positions(), "v": sensors.velocities()}, history=3, delay=2)
    start, actions = env.reset(jax.random.key(0)), actions_of(env)
    simple = replay(base, start.inner, actions)
    seen = envs.split(env, env.observe(jax.tree.map(lambda leaf: leaf[-1], replay(env, start, actions).state)))
    true = envs.split(base, jax.vmap(base.observe)(simple.state))
    readings = [-1 - 2 - lag for lag in range(3)]  # two steps late
    np.testing.assert_allclose(seen["p"], true["position"][jnp.asarray(readings)], rtol=1e-6)
    np.testing.assert_allclose(seen["v"], true["velocity"][jnp.asarray(readings)], rtol=1e-6)
    np.testing.assert_array_equal(seen["actions"], actions[jnp.asarray([-1, -2])])


@pytest.mark.slow
def test_what_is_observed_moves_and_pays_as_it_did_before(base):
    env = envs.observed(base, {"p": sensors.positions()}, history=2)
    start, actions = env.reset(jax.random.key(0)), actions_of(env)
    seen, simple = replay(env, start, actions), replay(base, start.inner, actions)
    np.testing.assert_allclose(seen.reward, simple.reward, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), seen.state.inner, simple.state)


def test_before_an_episode_without_warm_up_the_past_is_the_initial_state(base):
    env = envs.observed(base, {"p": sensors.positions()}, history=3)
    seen = envs.split(env, env.observe(env.reset(jax.random.key(0))))["p"]
    np.testing.assert_array_equal(seen, jnp.broadcast_to(seen[0], seen.shape))


@pytest.mark.slow
def test_a_warm_up_makes_a_past_that_happened_and_hides_how_long_ago_it_began(base):
    env = envs.observed(base, {"p": sensors.positions(), "v": sensors.velocities()}, history=2, warm_up=20)
    states = sample_states(env, jax.random.key(1), 30)
    still = jnp.zeros_like(base.action_limit)
    unflatten = flatten(base.reset(jax.random.key(0)))[1]
    again = jax.vmap(lambda row: base.step(unflatten(row), still))(states.past[:, 0])
    np.testing.assert_allclose(again.position, states.inner.position, atol=1e-5)
    # Hanging at the start, a pendulum would tell its speed by its place after any fixed number of steps.
    place, speed = states.inner.position[:, 0, 0], jnp.abs(states.inner.velocity[:, 0, 0])
    assert abs(np.corrcoef(jnp.abs(place), speed)[0, 1]) < 0.9


@pytest.mark.slow
def test_noise_is_the_same_whenever_a_reading_is_seen_and_other_in_another_episode(base):
    env = envs.observed(base, {"p": sensors.positions()}, history=2, noise={"p": 0.1})
    start, actions = env.reset(jax.random.key(0)), actions_of(env)
    seen = envs.split(env, replay(env, start, actions).observation)["p"]
    np.testing.assert_array_equal(seen[1:, 1], seen[:-1, 0])
    other = dataclasses.replace(start, key=jax.random.key(7))
    assert np.all(envs.split(env, replay(env, other, actions).observation)["p"] != seen)


@pytest.mark.slow
def test_other_noise_leaves_the_rest_as_it_is(base):
    env = envs.observed(base, {"p": sensors.positions(), "v": sensors.velocities()}, noise={"p": 0.1})
    state = env.reset(jax.random.key(0))
    other = env.with_noise(state, jax.random.key(1))
    first, second = (envs.split(env, env.observe(each)) for each in (state, other))
    assert np.all(first["p"] != second["p"])
    np.testing.assert_array_equal(first["v"], second["v"])
    simple = base.reset(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, base.with_noise(simple, jax.random.key(1)), simple)


@pytest.mark.slow
def test_noise_has_the_deviation_and_the_bias_that_were_asked_for(base):
    readings = jnp.zeros((400, 2))
    keys = jax.random.split(jax.random.key(0), 300)
    times = jnp.arange(400, dtype=jnp.int32)
    seen = jax.vmap(lambda key: noise(0.3, bias=0.2).seen(readings, key, times))(keys)
    biases = jnp.mean(seen, axis=1)
    np.testing.assert_allclose(jnp.std(seen - biases[:, None]), 0.3, rtol=0.02)
    np.testing.assert_allclose(jnp.std(biases), 0.2, rtol=0.1)


@pytest.mark.slow
def test_a_reading_that_is_dropped_is_seen_as_the_one_before(base):
    readings = jnp.arange(401.0)[:, None]
    seen = noise(dropped=0.3).seen(readings, jax.random.key(0), jnp.arange(400, dtype=jnp.int32))
    lost = seen[:, 0] - readings[:-1, 0]
    assert set(np.unique(lost)) == {0.0, 1.0}
    np.testing.assert_allclose(jnp.mean(lost), 0.3, atol=0.08)


@pytest.mark.parametrize("delay", slow_but((0, 2), 2))
def test_the_derivative_of_a_step_is_that_of_the_whole_state(base, delay):
    with jax.enable_x64(True):
        base = envs.make("pendulum_2d", task="stop", horizon=EPISODE)
        env = envs.observed(base, {"p": sensors.positions()}, history=3, delay=delay)
        start, actions = env.reset(jax.random.key(0)), actions_of(env)
        state = jax.tree.map(lambda leaf: leaf[-1], replay(env, start, actions).state)
        action = actions[0]
        vector, unflatten = flatten(state)
        found = env.linearize(state, action, env.step(state, action))
        dense = linearize(lambda vector, action: flatten(env.step(unflatten(vector), action))[0], vector, action)
        num_real = flatten(dataclasses.replace(state, key=jnp.zeros(0), time=jnp.zeros(0)))[0].size
        by_state = jax.random.normal(jax.random.key(1), (vector.size, 3)).at[num_real:].set(0.0)
        by_action = jax.random.normal(jax.random.key(2), (env.action_size, 3))
        np.testing.assert_allclose(found.product(by_state, by_action), dense.product(by_state, by_action), atol=1e-10)
        for own, theirs in zip(found.transpose_product(by_state), dense.transpose_product(by_state), strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-10)


@pytest.mark.slow
def test_trajectories_are_improved_in_the_simulator_to_the_same_optimum(base):
    env = envs.observed(base, {"image": sensors.camera(size=8)}, history=2, delay=1, noise={"image": 0.1})
    start, actions = env.reset(jax.random.key(0)), actions_of(env)
    seen, converged = optimize(env, start, actions)
    simple, _ = optimize(base, start.inner, actions)
    assert converged
    np.testing.assert_array_equal(seen.actions, simple.actions)
    assert jax.tree.structure(seen.state) == jax.tree.structure(simple.state)


def test_environments_can_be_observed_of_which_another_one_was_observed(base):
    inner = envs.observed(base, {"p": sensors.positions(), "v": sensors.velocities()}, delay=1)
    env = envs.observed(inner, {"p": sensors.part("p")}, history=2)
    state = env.reset(jax.random.key(0))
    assert env.simulator.name == base.name
    assert env.simulator.functions == base.functions
    core, full = env.core(state)
    np.testing.assert_array_equal(full.position, state.inner.inner.position)
    assert core.functions == base.functions
    assert envs.split(env, env.observe(state))["p"].shape == (2, 2)


def test_a_function_of_the_state_is_a_sensor(base):
    env = envs.observed(base, {"height": lambda state: state.position[:, -1]})
    state = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(env.observe(state), state.inner.position[:, -1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pods", "ppo", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("bptt", "shac", "sac"))]
)
def test_every_algorithm_that_needs_no_full_state_trains_on_observations(base, name):
    if name in ("ppo", "sac"):
        pytest.importorskip("brax", reason="an extra of its own")
    env = envs.observed(base, {"p": sensors.positions()}, history=2, delay=1, noise={"p": 0.01}, warm_up=5)
    algorithm = algorithms.make(name, env, batch_size=8, hidden_sizes=(8,))
    train_state, history = pods_jax.train(algorithm, jax.random.key(0), num_epochs=2)
    assert all(np.isfinite(number) for number in jax.tree.leaves(history[-1]))
    metrics = pods_jax.evaluate(env, algorithm.policy(train_state), num_rollouts=4)
    assert metrics["optimality_gap"] >= 0
    assert metrics["nonconverged_steps"] == 0


@pytest.mark.slow
def test_fine_tuning_follows_the_gradient_of_the_return_through_observations(base):
    from pods_jax.algorithms.pods.fine_tuning import mean_cost_gradient
    from pods_jax.policies.policy_model import make_policy_model

    with jax.enable_x64(True):
        base = envs.make("pendulum_2d", task="stop", horizon=EPISODE)
        env = envs.observed(base, {"p": sensors.positions()}, history=3, delay=1, noise={"p": 0.01}, warm_up=5)
        model = make_policy_model(env, (8,))
        params, _, _ = model.init(jax.random.key(0))
        params = jax.tree.map(lambda leaf: leaf + 0.1, params)
        starts = sample_states(env, jax.random.key(1), 4)
        value, gradient = mean_cost_gradient(model, params, starts)
        (expected, _), slope = jax.value_and_grad(model.loss, has_aux=True)(params, starts)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9), gradient, slope)


@pytest.mark.exhaustive
def test_a_policy_that_sees_positions_only_learns_to_stop_the_pendulum(base):
    base = envs.make("pendulum_2d", task="stop")
    env = envs.observed(base, {"p": sensors.positions(), "handle": sensors.handle()}, history=3, warm_up=40)
    algorithm = algorithms.make("pods", env, batch_size=100)
    train_state, _ = pods_jax.train(algorithm, jax.random.key(0), num_epochs=12)
    learned = pods_jax.evaluate(env, algorithm.policy(train_state), num_rollouts=50)
    assert learned["optimality_gap"] < 0.2


@pytest.mark.slow
def test_an_unstable_robot_learns_from_late_readings():
    base = envs.make("acrobot", task="balance", horizon=20)
    env = envs.observed(base, {"all": sensors.part(base.observation_layout[0].name)}, history=2)
    algorithm = algorithms.make(
        "pods",
        env,
        batch_size=8,
        hidden_sizes=(8,),
        guard={"size": 4},
        teacher={"search_epochs": 2, "imitation_epochs": 2},
    )
    assert algorithm.phases[0].name == "search"
    _, history = pods_jax.train(algorithm, jax.random.key(0), num_epochs=4)
    assert all(np.isfinite(row["value_fitted"]) for row in history)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sensors": {}}, "at least one sensor"),
        ({"sensors": {"p": sensors.part("positon")}}, "did you mean 'position'"),
        ({"sensors": {"p": 3}}, r"sensors\['p'\]"),
        ({"sensors": {"p": lambda state: state.place}}, "cannot be read"),
        ({"sensors": {"actions": sensors.positions()}}, "choose another"),
        ({"history": 0}, "history"),
        ({"delay": EPISODE}, "delay"),
        ({"warm_up": -1}, "warm_up"),
        ({"noise": {"q": 0.1}}, "noise"),
        ({"noise": {"p": -0.1}}, "noise"),
        ({"noise": 0.1}, "noise"),
    ],
)
def test_what_cannot_be_observed_is_refused(base, wrong, says):
    arguments = {"sensors": {"p": sensors.positions()}} | wrong
    with pytest.raises(InputError, match=says):
        envs.observed(base, **arguments)


def test_what_would_be_lost_is_refused(base):
    env = envs.observed(base, {"p": sensors.positions()})
    with pytest.raises(InputError, match="before it is wrapped"):
        env.with_reward(lambda state, action: 0.0)
    with pytest.raises(InputError, match="full state"):
        algorithms.make("gps", env)
    with pytest.raises(InputError, match="last axis"):
        envs.split(env, jnp.zeros(3))


@pytest.mark.slow
def test_a_rollout_of_an_observed_environment_is_compiled_once(base):
    """Two environments that observe alike are one to `jit`."""
    first, second = (envs.observed(base, {"p": sensors.positions()}, history=2) for _ in range(2))
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert hash(jax.tree.structure(first)) == hash(jax.tree.structure(second))
    policy = jax.tree_util.Partial(jnp.dot, jnp.ones((1, first.observation_size)))
    start = first.reset(jax.random.key(0))
    np.testing.assert_array_equal(rollout(first, policy, start).reward, rollout(second, policy, start).reward)
