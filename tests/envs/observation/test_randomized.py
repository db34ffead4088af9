"""Environments whose parameters are drawn in each episode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import algorithms, envs, sensors, sim
from pods_jax.checks import InputError
from pods_jax.rollouts import replay, sample_states
from pods_jax.trajopt import flatten, linearize

SHARE = 0.3


@pytest.fixture
def base():
    return envs.make("pendulum_2d", task="stop_at_origin", horizon=8)


@pytest.mark.slow
def test_factors_are_even_in_their_ranges_and_others_in_each_episode(base):
    env = envs.randomized(base, {"mass": SHARE, "gravity": (0.5, 1.0)})
    factors = sample_states(env, jax.random.key(0), 2000).factors
    np.testing.assert_allclose(jnp.mean(factors, axis=0), [1.0, 0.75], atol=0.01)
    np.testing.assert_allclose(jnp.std(factors, axis=0), [2 * SHARE / 12**0.5, 0.5 / 12**0.5], rtol=0.05)
    assert np.all((np.asarray(factors) >= [[0.7, 0.5]]) & (np.asarray(factors) <= [[1.3, 1.0]]))


@pytest.mark.slow
def test_an_episode_is_that_of_an_environment_made_with_its_parameters(base):
    env = envs.randomized(base, {"mass": SHARE, "link_length": SHARE, "stiffness": SHARE})
    start = env.reset(jax.random.key(3))
    mass, length, stiffness = start.factors
    plain = envs.make(
        "pendulum_2d",
        task="stop_at_origin",
        horizon=8,
        mass=float(mass),
        link_length=0.5 * float(length),
        stiffness=5e3 * float(stiffness),
    )
    core, state = env.core(start)
    np.testing.assert_allclose(core.parameters.rest_position, plain.parameters.rest_position, rtol=1e-5)
    actions = jax.random.normal(jax.random.key(1), (8, 1))
    random, known = replay(env, start, actions), replay(plain, state, actions)
    np.testing.assert_allclose(random.reward, known.reward, rtol=1e-3)
    np.testing.assert_allclose(random.state.inner.position, known.state.position, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["payload_2d", pytest.param("rope_3d", marks=pytest.mark.slow), "double_pendulum_3d"]
)
def test_what_hangs_differently_is_at_rest_at_the_start(name):
    base = envs.make(name, horizon=8)
    env = envs.randomized(base, {"mass": SHARE, "rest_length": SHARE, "stiffness": SHARE, "gravity": SHARE})

    def largest_force(state):
        core, _ = env.core(state)
        system, place = core.parameters.system, core.parameters.start_position
        handles = sim.handle_position(system, core.parameters.start_handle)
        slope = jax.grad(lambda position: sim.potential_energy(system, position, handles))(place)
        return jnp.max(jnp.abs(slope)) / jnp.max(system.mass * jnp.linalg.norm(system.gravity))

    assert jnp.max(jax.vmap(largest_force)(sample_states(env, jax.random.key(0), 30))) < 0.01


@pytest.mark.slow
def test_the_derivative_of_a_step_takes_parameters_as_constants():
    with jax.enable_x64(True):
        base = envs.make("pendulum_2d", horizon=8)
        env = envs.randomized(base, {"mass": SHARE})
        state, action = env.reset(jax.random.key(0)), jnp.asarray([0.3])
        vector, unflatten = flatten(state)
        size = flatten(state.inner)[0].size
        found = env.linearize(state, action, env.step(state, action))
        dense = linearize(lambda vector, action: flatten(env.step(unflatten(vector), action))[0], vector, action)
        by_state = jax.random.normal(jax.random.key(1), (vector.size, 2)).at[size:].set(0.0)
        by_action = jax.random.normal(jax.random.key(2), (1, 2))
        np.testing.assert_allclose(found.product(by_state, by_action), dense.product(by_state, by_action), atol=1e-10)
        own, theirs = found.transpose_product(by_state), dense.transpose_product(by_state)
        np.testing.assert_allclose(own[0][:size], theirs[0][:size], atol=1e-10)
        np.testing.assert_allclose(own[1], theirs[1], atol=1e-10)


@pytest.mark.slow
def test_parameters_are_hidden_unless_a_sensor_tells(base):
    env = envs.randomized(base, {"mass": SHARE, "gravity": SHARE})
    assert env.observation_size == base.observation_size
    seen = envs.observed(env, {"p": sensors.positions(), "factors": sensors.factors()})
    state = seen.reset(jax.random.key(0))
    np.testing.assert_array_equal(envs.split(seen, seen.observe(state))["factors"][0], state.inner.factors)
    with pytest.raises(InputError, match="not random"):
        envs.observed(base, {"factors": sensors.factors()})


def decay(rate):
    return envs.from_step(
        lambda state, action: rate * state + action,
        lambda key: 1 + jax.random.normal(key, (2,)),
        lambda state: state,
        residual=lambda state, action: jnp.concatenate([state, 0.1 * action]),
        action_limit=[1.0, 1.0],
        horizon=6,
    )


@pytest.mark.slow
def test_arguments_of_a_function_that_builds_an_environment_are_drawn():
    env = envs.randomized(decay, {"rate": (0.5, 0.9)})
    state = env.reset(jax.random.key(0))
    (rate,) = state.factors
    assert 0.5 <= rate <= 0.9
    after = env.step(state, jnp.asarray([0.1, 0.2]))
    np.testing.assert_allclose(after.inner, rate * state.inner + jnp.asarray([0.1, 0.2]), rtol=1e-6)
    better = pods_jax.improve(env, state, jnp.zeros((6, 2)), method="riccati")
    expected = pods_jax.improve(decay(float(rate)), state.inner, jnp.zeros((6, 2)), method="riccati")
    np.testing.assert_allclose(better.actions, expected.actions, atol=1e-5)


@pytest.mark.exhaustive
def test_a_policy_learns_a_pendulum_that_nobody_knows():
    base = envs.make("pendulum_2d", task="stop")
    env = envs.observed(
        envs.randomized(base, {"mass": SHARE, "link_length": SHARE}), {"p": sensors.positions()}, history=3
    )
    algorithm = algorithms.make("pods", env, batch_size=60)
    train_state, history = pods_jax.train(algorithm, jax.random.key(0), num_epochs=6)
    assert history[-1]["unhealthy_rollouts"] == 0
    assert history[-1]["value_fitted"] > history[0]["value"] / 2
    metrics = pods_jax.evaluate(env, algorithm.policy(train_state), num_rollouts=20)
    assert 0 <= metrics["optimality_gap"] < 1


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        ({}, "at least one parameter"),
        ({"mas": 0.1}, "did you mean"),
        ({"mass": 1.0}, "greater than 0"),
        ({"mass": (1.2, 0.8)}, "in this order"),
        ({"mass": -0.1}, "ranges"),
        ({"mass": "much"}, "ranges"),
        ({"mass": 0.1, "mass[0]": 0.2}, "another number"),
    ],
)
def test_ranges_that_cannot_be_are_refused(base, ranges, says):
    with pytest.raises(InputError, match=says):
        envs.randomized(base, ranges)


def test_what_is_built_needs_values_and_what_is_observed_comes_later(base):
    with pytest.raises(InputError, match="largest value"):
        envs.randomized(decay, {"rate": 0.3})
    with pytest.raises(InputError, match="randomise that one first"):
        envs.randomized(envs.observed(base, {"p": sensors.positions()}), {"mass": 0.1})
