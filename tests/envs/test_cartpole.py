"""The cart-pole of DiffRL, against the Lagrangian, independent numbers and its reward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs
from pods_jax.envs import cartpole
from pods_jax.envs.cartpole import State

MASS = {"cart": 1000 * 0.5 * 0.5 * 0.2, "pole": 1000 * 0.05 * 0.05 * 1.0}
"""[kg] boxes of `cartpole.urdf` at the density of DiffRL's simulator."""

STATES = np.array([[0.3, 2.5, -1.0, 4.0], [-2.0, -0.4, 3.0, -7.0], [4.7, 9.0, 0.5, 0.2]])
"""Position, angle and their velocities; the last is beyond the end of the rail."""


@pytest.fixture(scope="module")
def env():
    return envs.make("cartpole")


def state_of(numbers):
    return State(*map(jnp.asarray, numbers))


def test_masses_are_those_of_the_boxes(env):
    parameters = env.parameters
    np.testing.assert_allclose([parameters.cart_mass, parameters.pole_mass], [MASS["cart"], MASS["pole"]])
    np.testing.assert_allclose(parameters.pole_inertia, MASS["pole"] / 12 * (0.05**2 + 1.0**2))


@pytest.mark.parametrize("numbers", STATES)
def test_accelerations_follow_from_the_lagrangian(env, numbers):
    """d/dt dL/dq' - dL/dq = u - damping q', with the pole as its 1000 slices, and armature as kinetic energy."""
    slices = (np.arange(1000) + 0.5) / 1000
    thickness = MASS["pole"] / 12 * (0.05**2 + 0.001**2)  # what the slices have about their own centres

    def lagrangian(place, speed):
        x_speed = speed[0] + slices * jnp.cos(place[1]) * speed[1]
        z_speed = -slices * jnp.sin(place[1]) * speed[1]
        kinetic = MASS["pole"] * jnp.mean(x_speed**2 + z_speed**2) + thickness * speed[1] ** 2
        kinetic += MASS["cart"] * speed[0] ** 2 + 0.1 * jnp.sum(speed**2)
        weight = MASS["pole"] * 9.81 * jnp.mean(slices) * jnp.cos(place[1])
        end = 100.0 * jnp.maximum(jnp.abs(place[0]) - 4.0, 0.0) ** 2 / 2
        return kinetic / 2 - weight - end

    @jax.jit
    def balance(place, speed):
        """The mass matrix, and the forces but for damping and the push."""
        mixed = jax.jacfwd(jax.grad(lagrangian, 1), 0)(place, speed)
        return jax.hessian(lagrangian, 1)(place, speed), jax.grad(lagrangian)(place, speed) - mixed @ speed

    speed, force = jnp.asarray(numbers[2:]), 300.0
    mass, free = balance(jnp.asarray(numbers[:2]), speed)
    expected = free - 1.0 * speed + jnp.asarray([force, 0.0])
    found = jnp.stack(cartpole.acceleration(env.parameters, state_of(numbers), jnp.asarray(force)))
    np.testing.assert_allclose(mass @ found, expected, rtol=1e-9)


def test_a_step_is_four_of_semi_implicit_euler_with_the_force_held(env):
    """Written out in NumPy, with the constants of DiffRL; the mass matrix is solved, not inverted by hand."""
    x, q, v, w = STATES[0]
    force, time = -450.0, 1 / 240
    for _ in range(4):
        inertia = MASS["pole"] / 12 * (0.05**2 + 1) + MASS["pole"] * 0.25 + 0.1
        coupling = MASS["pole"] * 0.5 * np.cos(q)
        matrix = np.array([[MASS["cart"] + MASS["pole"] + 0.1, coupling], [coupling, inertia]])
        push = force - v + MASS["pole"] * 0.5 * w**2 * np.sin(q)
        v, w = np.array([v, w]) + time * np.linalg.solve(matrix, [push, MASS["pole"] * 9.81 * 0.5 * np.sin(q) - w])
        x, q = x + time * v, q + time * w
    after = env.step(state_of(STATES[0]), jnp.asarray([force]))
    np.testing.assert_allclose([after.position, after.angle, after.velocity, after.angular_velocity], [x, q, v, w])


@pytest.mark.parametrize("numbers", STATES)
def test_the_reward_is_that_of_diffrl(env, numbers):
    x, q, v, w = numbers
    wrapped = (q + np.pi) % (2 * np.pi) - np.pi
    expected = -(wrapped**2) - 0.1 * w**2 - 0.05 * x**2 - 0.1 * v**2
    np.testing.assert_allclose(env.reward(state_of(numbers), jnp.asarray([700.0])), expected, rtol=1e-12)


def test_it_starts_as_in_diffrl(env):
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 1000))
    for values, centre, half in (
        (starts.position, 0.0, np.pi / 2),
        (starts.angle, np.pi, np.pi / 2),
        (starts.velocity, 0.0, 0.25),
        (starts.angular_velocity, 0.0, 0.25),
    ):
        assert np.all(np.abs(values - centre) <= half)
        np.testing.assert_allclose(np.std(values), half / np.sqrt(3), rtol=0.1)
    upright = envs.make("cartpole", initial_angle=0.0, initial_range=0.1)
    assert env.horizon == 240
    assert abs(upright.reset(jax.random.key(0)).angle) <= 0.1


def test_without_damping_energy_is_conserved_to_order_one():
    def drift(substeps):
        env = envs.make("cartpole", damping=0.0, substeps=substeps)
        state = start = state_of([3.8, 2.0, 1.5, 3.0])  # runs into the end of its rail
        for _ in range(30):
            state = env.step(state, jnp.zeros(1))
        before, after = env.energy(start), env.energy(state)
        return abs(float(after.kinetic + after.potential - before.kinetic - before.potential))

    coarse, fine = drift(16), drift(32)
    assert fine < 0.3
    assert 1.6 < coarse / fine < 2.6


def test_the_cart_is_pushed_back_beyond_its_rail_only(env):
    for position, expected in ((3.9, 0.0), (4.5, 0.5), (-6.0, -2.0)):
        np.testing.assert_allclose(cartpole.beyond(env.parameters, jnp.asarray(position)), expected)
