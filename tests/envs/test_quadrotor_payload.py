"""The cable of the load, and what hangs on it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs
from pods_jax.envs import quadrotor_payload


@pytest.fixture(scope="module")
def env():
    return envs.make("quadrotor_payload")


@pytest.fixture(scope="module")
def state(env):
    return env.reset(jax.random.key(0))


def with_load(state, position, velocity=(0.0, 0.0, 0.0)):
    """The load at a place and velocity relative to the body."""
    return dataclasses.replace(
        state,
        load_position=state.body.position + jnp.asarray(position),
        load_velocity=state.body.velocity + jnp.asarray(velocity),
    )


def test_a_slack_cable_exerts_no_force(env, state):
    close = with_load(state, [0.1, 0.2, -0.3])
    stretch, pull = quadrotor_payload.cable(env.parameters, close)
    assert stretch < 0
    np.testing.assert_array_equal(pull, 0.0)
    after = env.step(close, jnp.zeros(4))
    time, falling = 0.005, np.array([0.0, 0.0, -9.81])
    velocity = np.asarray(close.load_velocity)
    for _ in range(10):
        velocity = velocity + time * (falling - 0.1 * velocity)
    np.testing.assert_allclose(after.load_velocity, velocity, rtol=1e-12)


@pytest.mark.parametrize(
    ("length", "rate", "tension"),
    [(0.61, 0.0, 6.0), (0.61, 0.5, 7.5), (0.61, -1.0, 3.0), (0.61, -4.0, 0.0), (0.59, 4.0, 0.0)],
)
def test_the_tension_is_that_of_a_damped_spring_that_only_pulls(env, state, length, rate, tension):
    direction = np.array([0.6, 0.0, -0.8])
    _, pull = quadrotor_payload.cable(env.parameters, with_load(state, length * direction, rate * direction))
    np.testing.assert_allclose(pull, -tension * direction, atol=1e-5)


def test_the_cable_only_moves_momentum_from_one_to_the_other(env, state):
    """Of both together, without drag and thrust, the velocity of the centre of mass changes by gravity only."""
    free = envs.make("quadrotor_payload", drag=0.0)
    after = free.step(state, -free.action_limit)

    def momentum(state):
        return np.asarray(1.0 * state.body.velocity + 0.3 * state.load_velocity)

    expected = momentum(state) - 1.3 * 9.81 * 0.05 * np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(momentum(after), expected, atol=1e-10)
    assert np.linalg.norm(np.asarray(after.load_velocity - state.load_velocity)) > 0.01


def test_it_starts_hanging_taut_with_the_weight_of_the_load(env):
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 200))
    lengths = np.linalg.norm(np.asarray(starts.load_position - starts.body.position), axis=1)
    np.testing.assert_allclose(lengths, 0.6 + 0.3 * 9.81 / 600, rtol=1e-10)
    assert np.all(np.asarray(starts.load_position - starts.body.position)[:, 2] < -0.4)
    assert np.all(np.abs(np.asarray(starts.body.position)) <= 1.5)
    assert np.all(np.abs(np.asarray(starts.load_velocity - starts.body.velocity)) <= 0.5)


def test_a_load_that_is_heavier_than_the_rotors_carry_asks_for_more_thrust():
    """The limits are of the weight of body and load together."""
    light, heavy = (envs.make("quadrotor_payload", load_mass=mass) for mass in (0.3, 1.0))
    np.testing.assert_allclose(light.action_limit, 1.3 * 9.81 / 4)
    np.testing.assert_allclose(heavy.action_limit, 2.0 * 9.81 / 4)


def test_pictures_show_the_slack(env, state):
    taut, slack = env.draw(with_load(state, [0.0, 0.0, -0.61])), env.draw(with_load(state, [0.0, 0.0, -0.4]))
    assert taut.slack.tolist() == [False] * 5
    assert slack.slack.tolist() == [False] * 4 + [True]
    assert env.measure(with_load(state, [0.0, 0.0, -0.4]))["slack"] == 1.0
