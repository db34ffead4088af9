"""Leg, ground and flight of the hopper."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, envs
from pods_jax.envs import hopper_slip


@pytest.fixture(scope="module")
def env():
    return envs.make("hopper_slip")


@pytest.fixture(scope="module")
def state(env):
    return env.reset(jax.random.key(0))


def ground(env, height, velocity):
    return np.asarray(hopper_slip.contact(env.parameters, jnp.asarray([0.0, height]), jnp.asarray(velocity)))


def test_a_foot_in_the_air_feels_no_ground(env):
    np.testing.assert_array_equal(ground(env, 1e-6, [3.0, -2.0]), 0.0)


def test_the_ground_pushes_by_depth_more_on_the_way_in_and_against_the_slip(env):
    np.testing.assert_allclose(ground(env, -0.01, [0.0, 0.0]), [0.0, 200.0])
    np.testing.assert_allclose(ground(env, -0.01, [0.0, -1.0])[1], 200.0 * 1.3)
    np.testing.assert_allclose(ground(env, -0.01, [0.0, 1.0])[1], 200.0 * 0.7)
    np.testing.assert_allclose(ground(env, -0.01, [0.0, 10.0])[1], 0.0)  # it does not pull
    np.testing.assert_allclose(ground(env, -0.01, [1.0, 0.0]), [-0.9 * 200.0, 200.0])
    np.testing.assert_allclose(ground(env, -0.01, [-1.0, 0.0]), [0.9 * 200.0, 200.0])
    assert abs(ground(env, -0.01, [0.001, 0.0])[0]) < 20.0  # it sticks by creeping


def test_contact_that_begins_over_a_width_comes_close_to_one_that_begins_at_once(env):
    soft = envs.make("hopper_slip", contact_width=1e-3)
    assert ground(soft, 1e-3, [0.0, 0.0])[1] > 1.0
    np.testing.assert_allclose(ground(soft, 0.02, [0.0, 0.0])[1], 0.0, atol=1e-6)
    np.testing.assert_allclose(ground(soft, -0.02, [0.0, 0.0]), ground(env, -0.02, [0.0, 0.0]), rtol=1e-6)
    slope = jax.grad(
        lambda width: (
            soft.replace(parameters=soft.parameters.replace(contact_width=width))
            .step(soft.reset(jax.random.key(0)), jnp.zeros(2))
            .foot[1]
        )
    )(jnp.asarray(0.0))
    assert np.isfinite(slope)


def test_in_flight_the_centre_of_mass_falls_freely_and_angular_momentum_stays(env, state):
    """Whatever leg and hip do: they act between body and foot."""
    actions = jax.random.uniform(jax.random.key(1), (4, 2), minval=-1.0)
    high = dataclasses.replace(state, position=state.position + jnp.asarray([0.0, 3.0]))
    high = dataclasses.replace(high, foot=state.foot + jnp.asarray([0.0, 3.0]))

    def momenta(state):
        m, f = 3.0, 0.3
        linear = m * np.asarray(state.velocity) + f * np.asarray(state.foot_velocity)
        apart = np.asarray(state.foot - state.position)
        relative = np.asarray(state.foot_velocity - state.velocity)
        reduced = m * f / (m + f)
        # The pitch grows where the foot, below the body, moves forwards: x cross z has the other sign.
        spin = reduced * (apart[0] * relative[1] - apart[1] * relative[0]) + 0.05 * float(state.pitch_rate)
        return linear, spin

    after = high
    for action in actions:
        after = env.step(after, action)
    (linear, spin), (linear_after, spin_after) = momenta(high), momenta(after)
    np.testing.assert_allclose(linear_after, linear - 3.3 * 9.81 * np.array([0.0, 4 * 0.02]), atol=1e-9)
    assert abs(float(after.pitch_rate - high.pitch_rate)) > 1.0
    np.testing.assert_allclose(spin_after, spin, atol=0.02)  # to order one in the time step


def test_the_first_action_lengthens_the_leg_and_the_second_turns_it(env, state):
    at_rest = dataclasses.replace(
        jax.tree.map(jnp.zeros_like, state), position=jnp.asarray([0.0, 3.0]), foot=jnp.asarray([0.0, 2.4])
    )
    push, _ = hopper_slip.leg(env.parameters, at_rest, jnp.asarray([0.5, 0.0]))
    np.testing.assert_allclose(push, [0.0, -800.0 * 0.5 * 0.1], atol=1e-4)
    turn, torque = hopper_slip.leg(env.parameters, at_rest, jnp.asarray([0.0, 0.4]))
    np.testing.assert_allclose([*turn, torque], [15.0 * 0.4 / 0.6, 0.0, 6.0], atol=1e-4)


def test_it_starts_in_the_air_with_its_leg_at_rest(env):
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 300))
    assert np.all(np.asarray(starts.foot)[:, 1] > 0.04)
    lengths = np.linalg.norm(np.asarray(starts.foot - starts.position), axis=1)
    np.testing.assert_allclose(lengths, 0.6, rtol=1e-12)
    np.testing.assert_array_equal(starts.foot_velocity, starts.velocity)
    assert np.all((np.asarray(starts.velocity) >= -0.5) & (np.asarray(starts.velocity) <= 1.0))
    assert np.all(np.abs(np.asarray(starts.pitch)) <= 0.15)


def test_it_is_up_or_not(env, state):
    assert env.measure(state)["up"] == 1.0
    low = dataclasses.replace(state, position=jnp.asarray([0.0, 0.44]))
    turned = dataclasses.replace(state, pitch=jnp.asarray(0.61))
    assert env.measure(low)["up"] == env.measure(turned)["up"] == 0.0


def test_where_it_is_along_the_ground_is_not_observed(env, state):
    moved = dataclasses.replace(state, position=state.position.at[0].add(2.0), foot=state.foot.at[0].add(2.0))
    np.testing.assert_allclose(env.observe(moved), env.observe(state), atol=1e-12)


def test_a_bounce_loses_energy(env, state):
    """Ground, leg, hip and friction only take."""
    before = env.energy(state)
    for _ in range(30):
        state = env.step(state, jnp.zeros(2))
    after = env.energy(state)
    assert float(after.kinetic + after.potential) < float(before.kinetic + before.potential) - 0.1


def test_a_leg_that_cannot_carry_the_weight_is_refused():
    with pytest.raises(InputError, match=r"env\.leg_stiffness = 40.0: must be greater than 49.05, or the leg cannot"):
        envs.make("hopper_slip", leg_stiffness=40.0)
    assert envs.make("hopper_slip", leg_stiffness=50.0).name == "hopper_slip"
