"""Planes with friction: rest, sticking, sliding, energy, smoothness, and the Newton matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pods_jax import sim
from pods_jax.checks import InputError
from pods_jax.sim import contact, forces
from tests.tiers import slow_but

MASS, GRAVITY, STIFFNESS, BLEND = 0.5, 9.81, 2e3, 1e-3
SLIP = 1e-3


def block_on(normal, friction, time_step=0.005, count=1, **plane):
    """Loose points above a plane through the origin; a handle far away, because a system needs one."""
    normal = np.asarray(normal, dtype=float)
    return sim.make_system(
        mass=[MASS] * count,
        springs=[],
        handles=[sim.Handle.in_space([9.0, 9.0, 9.0])],
        planes=[sim.Plane([0, 0, 0], normal, STIFFNESS, friction, **{"slip_speed": SLIP, "blend": BLEND} | plane)],
        time_step=time_step,
    )


def incline(angle):
    """(normal, downhill) of a plane inclined by `angle` [rad] about the y axis."""
    normal = np.array([np.sin(angle), 0.0, np.cos(angle)])
    return normal, np.array([np.cos(angle), 0.0, -np.sin(angle)])


def rest_depth(load):
    """[m] below the plane at which it carries `load` [N], beyond the blend."""
    return load / STIFFNESS + BLEND / 2


@jax.jit
def slide(system, position, velocity, steps):
    """Final position and velocity of the first point."""
    state = sim.initial_state(system, jnp.zeros(3), position, velocity)
    state = jax.lax.fori_loop(0, steps, lambda _, state: sim.step(system, state, jnp.zeros(3)), state)
    return state.position[0], state.velocity[0]


@pytest.mark.slow
def test_a_point_rests_where_the_plane_carries_its_weight():
    system = block_on([0, 0, 2.0], friction=0.3)
    position = jnp.asarray([[0.2, 0.1, -rest_depth(MASS * GRAVITY)]])
    np.testing.assert_allclose(sim.force(system, position, 0 * position, *2 * (jnp.zeros((1, 3)),)), 0.0, atol=1e-9)
    end, velocity = slide(system, position, 0 * position, 100)
    np.testing.assert_allclose(end, position[0], atol=1e-9)
    np.testing.assert_allclose(velocity, 0.0, atol=1e-9)


@pytest.mark.parametrize("height", [0.0, 1e-9, 0.3])
def test_a_plane_out_of_touch_does_exactly_nothing(height):
    system = block_on([0, 0, 1], friction=0.8)
    position, velocity = jnp.asarray([[0.0, 0.0, height]]), jnp.asarray([[3.0, 1.0, -2.0]])
    np.testing.assert_array_equal(contact.contact_force(system, position, velocity), 0.0)


@pytest.mark.parametrize("friction", [0.2, 0.5])
def test_below_the_friction_angle_a_block_only_creeps(friction):
    """At s r / sqrt(1 - r^2), r the share of the friction that is needed."""
    angle = 0.8 * np.arctan(friction)
    normal, downhill = incline(angle)
    start = jnp.asarray(-rest_depth(MASS * GRAVITY * np.cos(angle)) * normal)[None]
    _, velocity = slide(block_on(normal, friction), start, 0 * start, 400)
    share = np.tan(angle) / friction
    np.testing.assert_allclose(velocity @ downhill, SLIP * share / np.sqrt(1 - share**2), rtol=1e-6)


@pytest.mark.parametrize("friction", [0.0, 0.2, 0.5])
def test_above_it_slides_with_g_sin_minus_mu_cos(friction):
    angle = np.arctan(friction) + 0.3
    normal, downhill = incline(angle)
    start = jnp.asarray(-rest_depth(MASS * GRAVITY * np.cos(angle)) * normal)[None]
    steps, h = 200, 0.005
    _, velocity = slide(block_on(normal, friction, h), start, 0 * start, steps)
    expected = GRAVITY * (np.sin(angle) - friction * np.cos(angle)) * steps * h
    np.testing.assert_allclose(velocity @ downhill, expected, rtol=0.01)


contact_force = jax.jit(contact.contact_force)
motions = st.lists(st.floats(-2.0, 2.0), min_size=6, max_size=6)


@pytest.mark.slow
@settings(max_examples=200)
@given(motion=motions, friction=st.floats(0.0, 2.0), tilt=st.floats(-1.5, 1.5))
def test_friction_never_does_positive_work_and_never_exceeds_its_share(motion, friction, tilt):
    normal, _ = incline(tilt)
    position, velocity = jnp.asarray(motion[:3])[None] / 100, jnp.asarray(motion[3:])[None]
    total = np.asarray(contact_force(block_on(normal, friction), position, velocity))[0]
    push = total @ normal
    rubbing = total - push * normal
    assert push >= 0
    assert rubbing @ np.asarray(velocity)[0] <= 1e-12
    assert np.linalg.norm(rubbing) <= friction * push * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("depth", slow_but([-0.1, 0.0, 1e-12, BLEND, 0.01], 0.0, 0.01))
def test_forces_and_their_derivatives_are_finite_at_rest_too(depth, dtype):
    system = jax.tree.map(lambda leaf: leaf.astype(dtype), block_on([0, 0, 1], friction=0.7))
    motion = jnp.asarray([0.0, 0.0, -depth, 0.0, 0.0, 0.0], dtype)

    def force(motion):
        return contact.contact_force(system, motion[None, :3], motion[None, 3:])[0]

    orders = (force, jax.jacfwd(force), jax.jacfwd(jax.jacfwd(force)), jax.jacrev(jax.jacfwd(force)))
    values = jax.jit(lambda motion: [derivative(motion) for derivative in orders])(motion)
    assert all(np.all(np.isfinite(value)) for value in values)


@pytest.mark.slow
def test_the_normal_force_is_minus_the_slope_of_the_energy():
    system = block_on([0.3, -0.2, 1.0], friction=0.0, count=3)
    position = jnp.asarray(np.random.default_rng(0).uniform(-2e-3, 2e-3, (3, 3)))
    slope = jax.jit(jax.grad(lambda position: contact.contact_energy(system, position)))(position)
    np.testing.assert_allclose(contact.contact_force(system, position, 0 * position), -slope, rtol=1e-12, atol=1e-12)


def test_the_newton_matrix_is_the_jacobian_of_a_step_and_not_symmetric():
    system = block_on([0.3, -0.2, 1.0], friction=0.6, count=2)
    generator = np.random.default_rng(1)
    position = jnp.asarray(generator.uniform(-5e-3, 0.0, (2, 3)))
    velocity = jnp.asarray(generator.uniform(-1.0, 1.0, (2, 3)))
    handle, weights = jnp.zeros((1, 3)), (150.0, 0.01)

    def residual(change):
        change = change.reshape(2, 3)
        force = sim.force(system, position + weights[1] * change, velocity + change, handle, handle)
        return (weights[0] * system.mass[:, None] * change - force).reshape(-1)

    expected = jax.jit(jax.jacfwd(residual))(jnp.zeros(6))
    found = jax.jit(forces.newton_matrix)(system, position, velocity, handle, handle, *weights)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert np.max(np.abs(found - found.T)) > 1e-3 * np.max(np.abs(found))


@pytest.mark.slow
def test_derivatives_of_a_sliding_step_agree_both_ways_and_with_differences():
    """The matrix is not symmetric: a transposed solve that forgot it would be off."""
    system = block_on([0.3, 0.0, 1.0], friction=0.6)
    start = sim.initial_state(system, jnp.zeros(3), jnp.asarray([[0.0, 0.0, -2e-3]]), jnp.asarray([[0.4, 0.2, 0.0]]))

    @jax.jit
    def velocity_after(velocity):
        state = start.replace(velocity=velocity.reshape(1, 3))
        return sim.step(system, sim.step(system, state, jnp.zeros(3)), jnp.zeros(3)).velocity.reshape(-1)

    point = start.velocity.reshape(-1)
    forward, backward = jax.jit(lambda x: (jax.jacfwd(velocity_after)(x), jax.jacrev(velocity_after)(x)))(point)
    np.testing.assert_allclose(backward, forward, rtol=1e-10, atol=1e-12)
    offsets = 1e-6 * np.eye(3)
    differences = [(velocity_after(point + o) - velocity_after(point - o)) / 2e-6 for o in offsets]
    np.testing.assert_allclose(forward.T, differences, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normal": [0, 0, 0]}, r"planes\[0\].normal = .*: must have a direction"),
        ({"normal": [0, 1]}, r"planes\[0\].normal has shape \(2,\)"),
        ({"friction": -0.1}, r"planes\[0\].friction = -0.1: .*at least 0"),
        ({"stiffness": 0.0}, r"planes\[0\].stiffness = 0.0: .*greater than 0"),
        ({"slip_speed": 0.0}, r"planes\[0\].slip_speed = 0.0: .*greater than 0"),
        ({"blend": np.nan}, r"planes\[0\].blend = nan: .*finite"),
    ],
)
def test_a_bad_plane_is_refused(changes, message):
    plane = {"point": [0, 0, 0], "normal": [0, 0, 1], "stiffness": 1.0} | changes
    with pytest.raises(InputError, match=message):
        sim.make_system(
            mass=[1.0],
            springs=[],
            handles=[sim.Handle.in_space([0, 0, 0])],
            planes=[sim.Plane(**plane)],
            time_step=0.1,
        )
