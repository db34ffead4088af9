"""The flying body, and with it the quadrotors: free fall, momentum, torques, and thrusts that could not lift it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.envs.robots import multirotor


@pytest.fixture(scope="module")
def env():
    return envs.make("quadrotor", drag=0.0)


@pytest.fixture(scope="module")
def body(env):
    return env.reset(jax.random.key(3))


def no_thrust(env):
    return -env.action_limit


def test_without_thrust_it_falls_freely_whatever_it_turns(env, body):
    after = env.step(body, no_thrust(env))
    np.testing.assert_allclose(after.velocity, body.velocity - np.array([0.0, 0.0, 9.81 * 0.05]), atol=1e-12)
    count, sub = 10, 0.005  # semi-implicit Euler: positions move with the velocities at the ends of its steps
    fallen = 9.81 * sub**2 * count * (count + 1) / 2
    expected = np.asarray(body.position) + 0.05 * np.asarray(body.velocity) - [0.0, 0.0, fallen]
    np.testing.assert_allclose(after.position, expected, atol=1e-12)


def test_without_torque_angular_momentum_stays_in_space(env):
    """And the energy of turning, both to order one in the time step."""

    def momentum(body):
        return Rotation.from_quat(body.attitude, scalar_first=True).apply(
            np.asarray(env.parameters.rotor.inertia) * np.asarray(body.angular_velocity)
        )

    start = dataclasses.replace(env.reset(jax.random.key(0)), angular_velocity=jnp.asarray([3.0, -1.0, 2.0]))
    errors = []
    for substeps in (50, 100):
        fine = envs.make("quadrotor", drag=0.0, substeps=substeps)
        after = start
        for _ in range(6):
            after = fine.step(after, no_thrust(env))
        errors.append(np.linalg.norm(momentum(after) - momentum(start)) / np.linalg.norm(momentum(start)))
    assert errors[1] < 2e-3
    assert 1.8 < errors[0] / errors[1] < 2.2
    assert np.linalg.norm(np.asarray(after.angular_velocity) - np.asarray(start.angular_velocity)) > 0.3


def test_each_rotor_pushes_along_z_and_turns_it_about_where_it_stands(env):
    """The torque is r x f of a thrust f at r, and about z by the drag of the rotor."""
    rotor = env.parameters.rotor
    for index, (place, sense) in enumerate(zip([(1, 0), (0, 1), (-1, 0), (0, -1)], [1, -1, 1, -1], strict=True)):
        action = no_thrust(env).at[index].add(2.0)
        thrust, torque = multirotor.wrench(rotor, action)
        np.testing.assert_allclose(thrust, 2.0, atol=1e-12)
        expected = np.cross([0.17 * place[0], 0.17 * place[1], 0.0], [0.0, 0.0, 2.0])
        np.testing.assert_allclose(torque, expected + np.array([0.0, 0.0, sense * 0.016 * 2.0]), atol=1e-12)


def test_it_is_pushed_where_its_z_axis_points(env, body):
    direction = Rotation.from_quat(body.attitude, scalar_first=True).apply([0.0, 0.0, 1.0])
    still = dataclasses.replace(body, angular_velocity=jnp.zeros(3))
    gained = env.step(still, jnp.zeros(4)).velocity - env.step(still, no_thrust(env)).velocity
    np.testing.assert_allclose(gained, 0.05 * 9.81 * direction, rtol=1e-10)


@pytest.mark.parametrize(("task", "far", "tilt"), [("hover", 3.0, np.pi / 2), ("waypoint", 8.0, 0.0)])
def test_initial_states_fill_their_box_and_are_tilted_to_any_side(task, far, tilt):
    env = envs.make("quadrotor", task)
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 500))
    assert np.all(np.abs(starts.position) <= far)
    assert np.max(np.abs(starts.position)) > 0.98 * far
    np.testing.assert_allclose(np.linalg.norm(starts.attitude, axis=1), 1.0, rtol=1e-12)
    z = Rotation.from_quat(starts.attitude, scalar_first=True).apply([0.0, 0.0, 1.0])
    angles = np.arccos(np.clip(z[:, 2], -1, 1))
    assert np.all(angles <= tilt + 1e-6)
    if tilt:
        np.testing.assert_allclose(np.mean(angles), tilt / 2, rtol=0.1)
        np.testing.assert_allclose(np.mean(z[:, :2], axis=0), 0.0, atol=0.1)


@pytest.mark.parametrize("name", ["quadrotor", "quadrotor_payload"])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_thrusts_that_cannot_lift_it_are_refused(name, ratio):
    with pytest.raises(InputError, match=rf"env.thrust_to_weight = {ratio}: must be greater than 1, or the rotors"):
        envs.make(name, thrust_to_weight=ratio)


def test_an_inertia_of_zero_is_refused():
    with pytest.raises(InputError, match=r"inertia = .* must be three numbers greater than 0"):
        envs.make("quadrotor", inertia=(0.01, 0.0, 0.01))


def test_stronger_rotors_hover_below_the_middle_of_their_range():
    env = envs.make("quadrotor", thrust_to_weight=3.0)
    np.testing.assert_allclose(env.action_limit, 1.5 * 9.81 / 4)
    level = jax.tree.map(jnp.zeros_like, env.reset(jax.random.key(0)))
    level = dataclasses.replace(level, attitude=jnp.asarray([1.0, 0.0, 0.0, 0.0]))
    hovering = jnp.full(4, 9.81 / 4) - env.action_limit
    np.testing.assert_allclose(env.step(level, hovering).velocity, 0.0, atol=1e-12)
    np.testing.assert_allclose(env.reward(level, hovering), 0.0, atol=1e-24)
    assert env.reward(level, jnp.zeros(4)) < -1e-4
