"""Motions, free and in contact, converge at order two to SciPy's solution of the same equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pods_jax import envs, sim

DURATION, NUM_STEPS = 0.1, (200, 400)

SETTINGS = {  # soft enough that the steps above resolve the fastest vibration
    "payload_2d": {"stiffness": 200.0},
    "rope_3d": {"stiffness": 200.0},
    "cloth_3d": {"material": (0.02, 100.0, 0.05, 0.02)},
}


def acceleration(env, position, velocity, handles):
    """(P, d) in NumPy, from the definitions; nothing of it is used by the simulator."""
    system = env.parameters.system
    springs = jax.tree.map(np.asarray, system.springs)
    points, velocities = np.concatenate([handles, position]), np.concatenate([0 * handles, velocity])
    first, second = np.asarray(springs.ends).T
    edge = points[second] - points[first]
    length = np.linalg.norm(edge, axis=1)
    direction = edge / length[:, None]
    stretch, cable = length - springs.rest_length, np.asarray(springs.cable)
    t = np.clip(stretch / springs.slack_blend, 0, 1)
    beyond = np.maximum(stretch - springs.slack_blend, 0)
    effective = np.where(cable, springs.slack_blend * (t**3 - t**4 / 2) + beyond, stretch)
    slope = np.where(cable, 3 * t**2 - 2 * t**3, 1.0)
    rate = np.sum(direction * (velocities[second] - velocities[first]), axis=1)
    pull = (springs.stiffness * effective + springs.damping * slope * rate)[:, None] * direction
    force = np.zeros_like(points)
    np.add.at(force, first, pull)
    np.add.at(force, second, -pull)
    force = force[len(handles) :] - np.asarray(system.drag)[:, None] * velocity
    return force / np.asarray(system.mass)[:, None] + np.asarray(system.gravity)


@jax.jit
def final_position(system, handle, position, velocity, num_steps):
    still = jnp.zeros(system.action_size)
    start = sim.initial_state(system, handle, position, velocity)
    return jax.lax.fori_loop(0, num_steps, lambda _, state: sim.step(system, state, still), start).position


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cloth_3d" else [pytest.mark.exhaustive]) for name in SETTINGS]
)
def test_the_order_is_two(name):
    env = envs.make(name, **SETTINGS[name])
    start = env.reset(jax.random.key(3))
    handles = np.asarray(sim.handle_position(env.parameters.system, start.handle))
    shape = start.position.shape

    def slope(_, motion):
        position, velocity = motion.reshape(2, *shape)
        return np.concatenate([velocity, acceleration(env, position, velocity, handles)]).reshape(-1)

    motion = np.concatenate([start.position, start.velocity]).reshape(-1)
    exact = solve_ivp(slope, (0, DURATION), motion, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for count in NUM_STEPS:
        system = envs.make(name, **SETTINGS[name], time_step=DURATION / count).parameters.system
        found = final_position(system, start.handle, start.position, start.velocity, count)
        errors.append(np.linalg.norm(np.asarray(found).reshape(-1) - exact.reshape(2, -1)[0]))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders[-1], 2.0, atol=0.15)


def table_acceleration(env, position, velocity):
    """(P, d) [m/s^2] that the table and its friction give, in NumPy, from the definitions."""
    planes = jax.tree.map(lambda leaf: float(np.squeeze(leaf)), env.parameters.system.planes.replace(normal=0.0))
    depth = planes.offset - position[:, 2]
    t = np.clip(depth / planes.blend, 0, 1)
    push = planes.stiffness * (planes.blend * (t**3 - t**4 / 2) + np.maximum(depth - planes.blend, 0))
    sliding = velocity * [1.0, 1.0, 0.0]
    speed = np.sqrt(np.sum(sliding**2, axis=1) + planes.slip_speed**2)
    force = -(planes.friction * push / speed)[:, None] * sliding
    force[:, 2] += push
    return force / np.asarray(env.parameters.system.mass)[:, None]


@pytest.mark.slow
def test_the_order_is_two_in_contact_with_friction():
    """The contact force is C^2 in the depth and smooth in the velocity, which is what BDF2's order asks for; a step
    must resolve the blend (2 mm) and the slip speed for the order to show.
    """
    settings = {"rows": 2, "columns": 2, "held": ((0, 0), (0, 1)), "material": (0.02, 100.0, 0.1, 0.02)}
    env = envs.make("cloth_3d", **settings)
    start = env.reset(jax.random.key(3))
    handles = np.asarray(sim.handle_position(env.parameters.system, start.handle))
    # Two points just above the table, thrown down and sideways.
    position = np.asarray(start.position) * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.01]
    handles = handles - [0.0, 0.0, np.min(handles[:, 2]) - 0.1]
    handle = jnp.asarray((handles - np.asarray(env.parameters.system.handle_origin)).reshape(-1))
    velocity = np.tile([0.3, 0.1, -0.5], (len(position), 1))
    shape = position.shape

    def slope(_, motion):
        position, velocity = motion.reshape(2, *shape)
        total = acceleration(env, position, velocity, handles) + table_acceleration(env, position, velocity)
        return np.concatenate([velocity, total]).reshape(-1)

    motion = np.concatenate([position, velocity]).reshape(-1)
    solution = solve_ivp(slope, (0, DURATION), motion, method="DOP853", rtol=1e-11, atol=1e-12)
    heights = solution.y.reshape(2, *shape, -1)[0, :, 2]
    assert np.all(heights[:, 0] > 0)
    assert np.all(heights[:, -1] < 0)
    errors = []
    for count in NUM_STEPS:
        system = envs.make("cloth_3d", **settings, time_step=DURATION / count).parameters.system
        found = final_position(system, handle, jnp.asarray(position), jnp.asarray(velocity), count)
        errors.append(np.linalg.norm(np.asarray(found) - solution.y[:, -1].reshape(2, *shape)[0]))
    np.testing.assert_allclose(np.log2(errors[0] / errors[1]), 2.0, atol=0.15)
