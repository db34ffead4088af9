"""Forces against energies, against NumPy, and against the laws that they obey.

The networks have one handle (point 0) and three free points (1, 2, 3), joined to a ring by four springs.
"""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pods_jax import sim
from pods_jax.sim import forces, springs
from tests.tiers import slow_but

ENDS = ((0, 1), (1, 2), (2, 3), (3, 0))
STIFFNESS, LENGTH, DAMPING, DRAG, BLEND = 120.0, 0.8, 3.0, 0.7, 0.1
MASSES = (1.0, 2.0, 0.5)
KINDS = {"springs": (False,) * 4, "cables": (True,) * 4, "mixed": (True, False, True, False)}

seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["springs", "mixed"])


@cache
def ring(kind="springs", dimension=3, ends=ENDS, gravity=sim.STANDARD_GRAVITY):
    return sim.make_system(
        mass=MASSES,
        springs=[
            sim.Spring(first, second, STIFFNESS, LENGTH, DAMPING, cable, BLEND)
            for (first, second), cable in zip(ends, KINDS[kind], strict=False)
        ],
        handles=[sim.Handle([0.0] * dimension, np.eye(dimension))],
        time_step=0.01,
        drag=DRAG,
        gravity=gravity,
        dimension=dimension,
    )


@cache
def one_spring(cable, dimension=2, dtype=jnp.float64):
    """A mass of 1 kg on a spring or cable."""
    system = sim.make_system(
        mass=[1.0],
        springs=[sim.Spring(0, 1, STIFFNESS, LENGTH, cable=cable, slack_blend=BLEND)],
        handles=[sim.Handle([0.0] * dimension, np.eye(dimension))],
        time_step=0.01,
        dimension=dimension,
    )
    return jax.tree.map(lambda leaf: leaf.astype(dtype), system)


def random_motion(seed, dimension, spread=1.0):
    """Positions and velocities of the free points, then of the handle; some springs are stretched, some not."""
    generator = np.random.default_rng(seed)
    shapes = ((3, dimension), (3, dimension), (1, dimension), (1, dimension))
    return tuple(jnp.asarray(generator.uniform(-spread, spread, shape)) for shape in shapes)


def undamped(system):
    springs = dataclasses.replace(system.springs, damping=jnp.zeros_like(system.springs.damping))
    return dataclasses.replace(system, springs=springs, drag=jnp.zeros_like(system.drag))


force = jax.jit(sim.force)
energy = jax.jit(sim.potential_energy)
energy_slope = jax.jit(jax.grad(sim.potential_energy, argnums=1))
newton_matrix = jax.jit(forces.newton_matrix)


@jax.jit
def tension(system, stretch):
    """Of a single spring that lies along the first axis; the pull on the free point is towards the handle."""
    position = (jnp.eye(1, system.dimension, dtype=system.mass.dtype)) * (LENGTH + stretch)
    zero = jnp.zeros_like(position)
    return -sim.force(system, position, zero, zero, zero)[0, 0]


@jax.jit
def tension_derivatives(system, stretch):
    orders = [tension]
    for _ in range(3):
        orders.append(jax.grad(orders[-1], argnums=1))
    return [derivative(system, stretch) for derivative in orders]


def force_by_hand(kind, dimension, position, velocity, handle_position, handle_velocity):
    """In NumPy, from the definitions in the documentation."""
    points = np.concatenate([handle_position, position])
    velocities = np.concatenate([handle_velocity, velocity])
    mass = np.asarray(MASSES)[:, None]
    total = np.zeros((4, dimension))
    total[1:, -1] -= 9.81 * mass[:, 0]
    total[1:] -= DRAG * velocity
    for (first, second), cable in zip(ENDS, KINDS[kind], strict=True):
        edge = points[second] - points[first]
        length = np.linalg.norm(edge)
        stretch = length - LENGTH
        rate = edge @ (velocities[second] - velocities[first]) / length
        effective, slope = stretch, 1.0
        if cable:
            t = min(max(stretch / BLEND, 0.0), 1.0)
            effective = stretch - BLEND / 2 if t == 1.0 else BLEND * (t**3 - t**4 / 2)
            slope = 3 * t**2 - 2 * t**3
        pull = (STIFFNESS * effective + DAMPING * slope * rate) * edge / length
        total[first] += pull
        total[second] -= pull
    return total[1:]


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", ["springs", "mixed"])
class TestTheForce:
    def test_is_that_of_the_definitions(self, kind, dimension):
        for seed in range(10):
            motion = random_motion(seed, dimension)
            found = force(ring(kind, dimension), *motion)
            expected = force_by_hand(kind, dimension, *map(np.asarray, motion))
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)

    def test_is_minus_the_slope_of_the_energy(self, kind, dimension):
        system = undamped(ring(kind, dimension))
        for seed in range(10):
            position, velocity, handle, handle_velocity = random_motion(seed, dimension)
            found = force(system, position, velocity, handle, handle_velocity)
            np.testing.assert_allclose(found, -energy_slope(system, position, handle), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("cable", [False, True])
@pytest.mark.parametrize("stretch", [-0.5, -0.01, 0.02, 0.05, 0.09, 0.11, 0.5])
def test_a_single_spring_pulls_with_the_slope_of_its_energy(cable, dimension, stretch):
    """In compression, inside the blend of a cable (0 to 0.1 m), and in tension."""
    system = one_spring(cable, dimension)
    direction = np.asarray([0.6, 0.8] if dimension == 2 else [0.48, 0.64, 0.6])
    position, zero = jnp.asarray((LENGTH + stretch) * direction)[None], jnp.zeros((1, dimension))
    found = force(system, position, zero, zero, zero)
    np.testing.assert_allclose(found, -energy_slope(system, position, zero), rtol=1e-12, atol=1e-12)
    if not cable:
        weight = np.asarray([[0.0] * (dimension - 1) + [-9.81]])
        np.testing.assert_allclose(found - weight, -STIFFNESS * stretch * direction[None], rtol=1e-12, atol=1e-12)


class TestACable:
    @pytest.mark.parametrize("stretch", [-LENGTH / 2, -1e-12, 0.0])
    def test_carries_exactly_nothing_when_slack(self, stretch):
        assert tension(one_spring(cable=True), stretch) == 0.0

    @pytest.mark.parametrize("stretch", [BLEND, 2 * BLEND, 1.0])
    def test_is_half_a_blend_longer_than_a_spring_under_the_same_load(self, stretch):
        assert tension(one_spring(cable=True), stretch) == pytest.approx(STIFFNESS * (stretch - BLEND / 2), rel=1e-12)

    def test_never_pushes_and_pulls_harder_the_longer_it_is(self):
        stretches = jnp.linspace(-2 * BLEND, 2 * BLEND, 201)
        pulls = np.asarray(jax.vmap(tension, in_axes=(None, 0))(one_spring(cable=True), stretches))
        assert np.all(pulls >= 0)
        assert np.all(np.diff(pulls[101:]) > 0)

    @pytest.mark.slow
    @pytest.mark.parametrize("end", [0.0, BLEND])
    def test_has_a_continuous_second_derivative(self, end):
        step = 1e-6 * BLEND
        below, at, above = (self.derivatives(end + offset) for offset in (-step, 0.0, step))
        for order, scale in enumerate((STIFFNESS * BLEND, STIFFNESS, 1.5 * STIFFNESS / BLEND)):
            assert below[order] == pytest.approx(above[order], abs=1e-5 * scale)
            assert at[order] == pytest.approx(above[order], abs=1e-5 * scale)

    def test_has_a_jump_in_the_third_derivative(self):
        """So that the test above is able to see a jump."""
        assert self.derivatives(-1e-9)[3] == 0.0
        assert self.derivatives(1e-9)[3] == pytest.approx(6 * STIFFNESS / BLEND**2, rel=1e-6)

    @staticmethod
    def derivatives(stretch):
        """The tension and its first three derivatives."""
        return [float(value) for value in tension_derivatives(one_spring(cable=True), stretch)]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("cable", [False, True])
def test_coincident_points_give_finite_forces_and_derivatives(cable, dtype):
    system = one_spring(cable, 3, dtype)
    zero = jnp.zeros((1, 3), dtype)

    def force_at(position):
        return sim.force(system, position, zero, zero, zero)

    slope = jax.jacfwd(force_at)

    @jax.jit
    def values(position):
        by_hand = forces.newton_matrix(system, position, zero, zero, zero, 1.5, 1.0)
        return slope(position), jax.jacrev(force_at)(position), jax.jacfwd(slope)(position), by_hand

    np.testing.assert_allclose(force(system, zero, zero, zero, zero), [[0.0, 0.0, -9.81]], rtol=1e-6)
    for value in (energy(system, zero, zero), *values(zero)):
        assert value.dtype == dtype
        assert np.all(np.isfinite(value))


@pytest.mark.parametrize("cable", [False, True])
def test_a_mass_at_rest_stretches_its_spring_by_weight_over_stiffness(cable):
    system, zero = one_spring(cable), jnp.zeros((1, 2))
    stretch = 9.81 / STIFFNESS + (BLEND / 2 if cable else 0.0)
    balanced = force(system, jnp.asarray([[0.0, -LENGTH - stretch]]), zero, zero, zero)
    np.testing.assert_allclose(balanced, 0.0, atol=1e-12)
    if not cable:  # on a spring, but not on a cable, it can also stand
        balanced = force(system, jnp.asarray([[0.0, LENGTH - stretch]]), zero, zero, zero)
        np.testing.assert_allclose(balanced, 0.0, atol=1e-12)


class TestLaws:
    @given(seed=seeds, kind=kinds)
    def test_internal_forces_and_their_moments_sum_to_zero(self, seed, kind):
        """Of three points that are joined to each other and to no handle, in damped motion without gravity."""
        system = ring(kind, ends=((1, 2), (2, 3), (3, 1)), gravity=0.0)
        system = dataclasses.replace(system, drag=jnp.zeros_like(system.drag))
        motion = random_motion(seed, 3)
        found = np.asarray(force(system, *motion))
        assert np.max(np.abs(found)) > 0 or kind != "springs"
        np.testing.assert_allclose(np.sum(found, axis=0), 0.0, atol=1e-11)
        np.testing.assert_allclose(np.sum(np.cross(motion[0], found), axis=0), 0.0, atol=1e-11)

    @given(seed=seeds, kind=kinds, shift=st.tuples(*[st.floats(-10, 10)] * 3))
    def test_shifting_everything_changes_nothing(self, seed, kind, shift):
        position, velocity, handle, handle_velocity = random_motion(seed, 3)
        shift = jnp.asarray(shift)[None]
        before = force(ring(kind), position, velocity, handle, handle_velocity)
        after = force(ring(kind), position + shift, velocity, handle + shift, handle_velocity)
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)

    @given(seed=seeds, kind=kinds, angle=st.floats(0, 2 * np.pi), mirror=st.booleans())
    def test_turning_or_mirroring_about_the_vertical_turns_the_force(self, seed, kind, angle, mirror):
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.asarray([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        turn[0] *= -1 if mirror else 1
        motion = [np.asarray(part) for part in random_motion(seed, 3)]
        turned = force(ring(kind), *(part @ turn for part in motion))
        np.testing.assert_allclose(turned, np.asarray(force(ring(kind), *motion)) @ turn, rtol=1e-9, atol=1e-9)

    @given(seed=seeds, kind=kinds)
    def test_damping_and_drag_take_energy_away(self, seed, kind):
        position, velocity, handle, _ = random_motion(seed, 3)
        still = jnp.zeros_like(velocity)
        moving = force(ring(kind), position, velocity, handle, jnp.zeros((1, 3)))
        friction = moving - force(ring(kind), position, still, handle, jnp.zeros((1, 3)))
        drag_alone = -DRAG * np.sum(np.square(velocity))
        assert np.sum(friction * velocity) <= drag_alone + 1e-12
        if kind == "springs":
            assert np.sum(friction * velocity) < drag_alone - 1e-9

    def test_a_slack_cable_does_not_damp(self):
        position = jnp.asarray([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0], [0.1, 0.1, 0.0]])
        velocity = random_motion(0, 3)[1]
        zero = jnp.zeros((1, 3))
        system = dataclasses.replace(ring("cables"), drag=jnp.zeros(3))
        np.testing.assert_array_equal(
            force(system, position, velocity, zero, zero), force(system, position, 0 * velocity, zero, zero)
        )


def test_the_kinetic_energy():
    velocity = jnp.asarray([[1.0, 2.0, 2.0], [0.0, 3.0, 4.0], [0.0, 0.0, 2.0]])
    assert sim.kinetic_energy(ring(), velocity) == pytest.approx(0.5 * (1.0 * 9 + 2.0 * 25 + 0.5 * 4))


class TestNewtonMatrix:
    """The matrix of a step with x = base + position_weight * v and a momentum that changes by velocity_weight m v."""

    WEIGHTS = (1.5 / 0.01, 2 / 3 * 0.01)

    @staticmethod
    @jax.jit
    def jacobian(system, position, handle, weights):
        velocity_weight, position_weight = weights

        def residual(velocity):
            # At velocity zero the position is the given one, and damped springs do not turn.
            momentum = velocity_weight * system.mass[:, None] * velocity
            moved = position + position_weight * velocity
            return (momentum - sim.force(system, moved, velocity, handle, jnp.zeros_like(handle))).reshape(-1)

        jacobian = jax.jacfwd(residual)(jnp.zeros_like(position))
        return jacobian.reshape(position.size, position.size)

    @pytest.mark.parametrize("dimension", [2, 3])
    @pytest.mark.parametrize("kind", slow_but(["springs", "mixed"], "mixed"))
    def test_is_the_jacobian_of_a_step_where_all_springs_are_stretched(self, kind, dimension):
        system = ring(kind, dimension)
        square = np.asarray([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])[:, :dimension]
        for seed in range(5):
            points = square + np.random.default_rng(seed).uniform(-0.09, 0.09, (4, dimension))
            lengths = [np.linalg.norm(points[second] - points[first]) for first, second in ENDS]
            assert min(lengths) > LENGTH, "the test wants stretched springs"
            handle, position = jnp.asarray(points[:1]), jnp.asarray(points[1:])
            found = newton_matrix(system, position, 0 * position, handle, 0 * handle, *self.WEIGHTS)
            expected = self.jacobian(system, position, handle, self.WEIGHTS)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)

    @given(
        seed=seeds,
        kind=kinds,
        spread=st.floats(0.01, 10.0),
        time_step=st.floats(1e-4, 1.0),
    )
    def test_is_symmetric_and_positive_definite_wherever_the_points_are(self, seed, kind, spread, time_step):
        position, _, handle, _ = random_motion(seed, 3, spread)
        weights = (1.5 / time_step, 2 / 3 * time_step)
        matrix = np.asarray(newton_matrix(ring(kind), position, 0 * position, handle, 0 * handle, *weights))
        np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-13 * np.max(np.abs(matrix)))
        lowest = np.min(np.linalg.eigvalsh(matrix))
        smallest = (1 - springs.CARRIED) * (min(MASSES) * weights[0] + DRAG)
        assert lowest >= smallest - 1e-12 * np.max(np.abs(matrix))

    @given(seed=seeds, kind=kinds)
    def test_is_the_jacobian_of_a_step_in_any_motion_where_damping_is_strong(self, seed, kind):
        system = ring(kind)
        springs = dataclasses.replace(system.springs, damping=jnp.full(len(ENDS), 100.0))
        system = sim.derived(dataclasses.replace(system, springs=springs))
        assert system.springs.strongly_damped
        position, velocity, handle, handle_velocity = random_motion(seed, 3)
        found = newton_matrix(system, position, velocity, handle, handle_velocity, *self.WEIGHTS)
        expected = self.jacobian_in_motion(system, position, velocity, handle, handle_velocity)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-9 * np.max(np.abs(expected)))

    @staticmethod
    @jax.jit
    def jacobian_in_motion(system, position, velocity, handle, handle_velocity):
        velocity_weight, position_weight = TestNewtonMatrix.WEIGHTS

        def residual(change):
            change = change.reshape(position.shape)
            force = sim.force(system, position + position_weight * change, velocity + change, handle, handle_velocity)
            return (velocity_weight * system.mass[:, None] * change - force).reshape(-1)

        return jax.jacfwd(residual)(jnp.zeros(position.size))

    def test_is_the_jacobian_of_a_step_where_inertia_carries_compressed_springs(self):
        position, handle = jnp.asarray([[0.3, 0.0, 0.0], [0.6, 0.0, 0.0], [0.3, 0.3, 0.0]]), jnp.zeros((1, 3))
        weights = (1e4, 1.0)
        found = newton_matrix(ring(), position, 0 * position, handle, 0 * handle, *weights)
        np.testing.assert_allclose(found, self.jacobian(ring(), position, handle, weights), rtol=1e-11, atol=1e-9)

    def test_differs_from_the_jacobian_where_inertia_does_not_carry_a_compressed_spring(self):
        """There the exact Jacobian is not positive definite if the time step is long."""
        position, handle = jnp.asarray([[0.3, 0.0, 0.0], [0.6, 0.0, 0.0], [0.3, 0.3, 0.0]]), jnp.zeros((1, 3))
        weights = (1.0, 1.0)
        assert np.min(np.linalg.eigvalsh(self.jacobian(ring(), position, handle, weights))) < 0
        assert (
            np.min(np.linalg.eigvalsh(newton_matrix(ring(), position, 0 * position, handle, 0 * handle, *weights)))
            > 0
        )
