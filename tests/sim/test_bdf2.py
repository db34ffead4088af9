"""One step and many: order, energy, momentum, solver health and derivatives, against references written here."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.test_util import check_grads
from scipy.integrate import solve_ivp

from pods_jax import envs, sim
from tests.tiers import slow_but

GRAVITY = 9.81
LENGTH = 0.5


def make_chain(count, time_step, stiffness, rest_length=LENGTH, **spring):
    """Unit masses in a plane, hung one below the other from a handle that moves along the first axis."""
    return sim.make_system(
        mass=[1.0] * count,
        springs=[sim.Spring(i, i + 1, stiffness, rest_length, **spring) for i in range(count)],
        handles=[sim.Handle.on_axis([0.0, 0.0])],
        time_step=time_step,
        dimension=2,
    )


def start_of(system, position, velocity):
    return sim.initial_state(system, jnp.zeros(1), jnp.asarray(position), jnp.asarray(velocity))


def simulate(system, state, actions):
    """All states, every leaf (T, ...)."""

    def advance(state, action):
        state = sim.step(system, state, action)
        return state, state

    return jax.lax.scan(advance, state, actions)[1]


def chain_acceleration(position, handle, stiffness, rest_length):
    """(P, 2) of unit masses, in NumPy."""
    points = np.concatenate([handle[None], position])
    edge = np.diff(points, axis=0)
    length = np.linalg.norm(edge, axis=1, keepdims=True)
    pull = stiffness * (length - rest_length) * edge / length
    acceleration = -pull
    acceleration[:-1] += pull[1:]
    acceleration[:, 1] -= GRAVITY
    return acceleration


class TestOrder:
    """Planar pendulums whose handle rests or moves at constant speed, against SciPy."""

    DURATION, STIFFNESS, HANDLE_SPEEDS = 0.5, 200.0, (0.0, 0.5)
    STEPS = (80, 160, 320, 640, 1280)
    STARTS = {  # hanging askew, a little stretched, in motion
        1: ([[0.4, -0.35]], [[0.5, 0.3]]),
        2: ([[0.4, -0.35], [0.8, -0.75]], [[0.5, 0.3], [-0.4, 0.2]]),
    }

    @classmethod
    def reference(cls, count, handle_speed):
        def rates(time, values):
            position, velocity = values.reshape(2, count, 2)
            handle = np.asarray([handle_speed * time, 0.0])
            acceleration = chain_acceleration(position, handle, cls.STIFFNESS, LENGTH)
            return np.concatenate([velocity, acceleration]).reshape(-1)

        start = np.asarray(cls.STARTS[count]).reshape(-1)
        solution = solve_ivp(rates, (0.0, cls.DURATION), start, method="DOP853", rtol=1e-12, atol=1e-12)
        assert solution.success
        return solution.y[:, -1]

    @classmethod
    def finals(cls, count):
        """(steps, 2, speeds, 4 P): the ends; the second half starts without the initial acceleration."""

        @jax.jit
        def run_all(time_step, num_steps):
            # A time step that is not static: one compilation serves all.
            system = dataclasses.replace(make_chain(count, 1.0, cls.STIFFNESS), time_step=time_step)
            state = start_of(system, *cls.STARTS[count])
            naive = dataclasses.replace(
                state,
                previous_position=state.position - time_step * state.velocity,
                previous_velocity=state.velocity,
            )

            def run(state, speed):
                end = jax.lax.fori_loop(0, num_steps, lambda _, state: sim.step(system, state, speed[None]), state)
                return jnp.concatenate([end.position.reshape(-1), end.velocity.reshape(-1)])

            both = jax.tree.map(lambda *leaves: jnp.stack(leaves), state, naive)
            over_speeds = jax.vmap(run, in_axes=(None, 0))
            return jax.vmap(over_speeds, in_axes=(0, None))(both, jnp.asarray(cls.HANDLE_SPEEDS))

        return np.stack([run_all(cls.DURATION / num_steps, num_steps) for num_steps in cls.STEPS])

    @pytest.mark.parametrize("count", slow_but([1, 2], 2))
    def test_is_two_from_the_first_step_thanks_to_the_initial_acceleration(self, count):
        expected = np.stack([self.reference(count, speed) for speed in self.HANDLE_SPEEDS])
        errors = np.linalg.norm(self.finals(count) - expected, axis=-1).reshape(len(self.STEPS), -1)
        orders = -np.polyfit(np.log(self.STEPS), np.log(errors), 1)[0].reshape(2, -1)
        np.testing.assert_allclose(orders[0], 2.0, atol=0.1)
        np.testing.assert_allclose(orders[1], 1.1, atol=0.2)


class TestEnergy:
    """An undamped pendulum of 1 m on a stiff spring, let go at 60 degrees: 10 s at 60 steps per second.

    What is lost grows with the fourth power of (angular frequency times time step): at half the length it is 4 %.
    """

    LENGTH, STIFFNESS, TIME_STEP, NUM_STEPS = 1.0, 5e3, 1 / 60, 600
    POSITION, VELOCITY = np.asarray([np.sin(np.pi / 3), -np.cos(np.pi / 3)]), np.zeros(2)

    def energy(self, position, velocity):
        """[J] above that of hanging at rest."""
        spring = self.STIFFNESS * (np.linalg.norm(position, axis=-1) - self.LENGTH) ** 2 / 2
        lowest = -GRAVITY * self.LENGTH - GRAVITY**2 / (2 * self.STIFFNESS)
        return np.sum(np.square(velocity), axis=-1) / 2 + spring + GRAVITY * position[..., 1] - lowest

    def implicit_euler(self):
        h, position, velocity = self.TIME_STEP, self.POSITION, self.VELOCITY
        for _ in range(self.NUM_STEPS):
            new = velocity
            for _ in range(10):
                moved = position + h * new
                length = np.linalg.norm(moved)
                along = np.outer(moved, moved) / length**2
                stiffness = self.STIFFNESS * (along + (1 - self.LENGTH / length) * (np.eye(2) - along))
                force = chain_acceleration(moved[None], np.zeros(2), self.STIFFNESS, self.LENGTH)[0]
                new = new - np.linalg.solve(np.eye(2) + h**2 * stiffness, new - velocity - h * force)
            position, velocity = position + h * new, new
        return position, velocity

    @pytest.mark.slow
    def test_at_least_98_percent_is_kept_where_implicit_euler_keeps_little(self):
        system = make_chain(1, self.TIME_STEP, self.STIFFNESS, rest_length=self.LENGTH)
        start = start_of(system, self.POSITION[None], self.VELOCITY[None])
        states = jax.jit(simulate)(system, start, jnp.zeros((self.NUM_STEPS, 1)))
        before = self.energy(self.POSITION, self.VELOCITY)
        kept = self.energy(np.asarray(states.position)[:, 0], np.asarray(states.velocity)[:, 0]) / before
        assert kept[-1] >= 0.98
        assert np.all(kept <= 1.0 + 1e-3)
        assert self.energy(*self.implicit_euler()) / before < 0.3


def make_free(drag=0.0):
    """A mass without springs, below nothing."""
    return sim.make_system(
        mass=[2.0], springs=[], handles=[sim.Handle.in_space([0.0, 0.0, 0.0])], time_step=0.02, drag=drag
    )


class TestFreeMotion:
    VELOCITY = np.asarray([[1.0, -2.0, 3.0]])

    def run(self, system):
        state = sim.initial_state(system, jnp.zeros(3), jnp.ones((1, 3)), jnp.asarray(self.VELOCITY))
        return jax.jit(simulate)(system, state, jnp.zeros((50, 3)))

    def test_free_fall_is_exact(self):
        """A parabola is within the reach of a second-order method."""
        states = self.run(make_free())
        time = 0.02 * np.arange(1, 51)[:, None, None]
        gravity = np.asarray([0.0, 0.0, -GRAVITY])
        np.testing.assert_allclose(states.velocity, self.VELOCITY + gravity * time, rtol=1e-11, atol=1e-11)
        expected = 1.0 + self.VELOCITY * time + gravity * time**2 / 2
        np.testing.assert_allclose(states.position, expected, rtol=1e-11, atol=1e-11)

    def test_drag_slows_exponentially(self):
        """Towards the terminal velocity m g / c, at the rate c / m."""
        drag, mass = 1.0, 2.0
        states = self.run(make_free(drag))
        time = 0.02 * np.arange(1, 51)[:, None, None]
        terminal = np.asarray([0.0, 0.0, -GRAVITY * mass / drag])
        expected = terminal + (self.VELOCITY - terminal) * np.exp(-drag / mass * time)
        np.testing.assert_allclose(states.velocity, expected, atol=1e-3)


@pytest.mark.slow
def test_an_isolated_network_keeps_its_momentum():
    """Springs, a cable and damping between three points; the handle is driven, but joined to none of them."""
    pairs = ((1, 2, False), (2, 3, True), (3, 1, False))
    system = sim.make_system(
        mass=[1.0, 2.0, 0.5],
        springs=[sim.Spring(*ends, 300.0, LENGTH, damping=2.0, cable=cable) for *ends, cable in pairs],
        handles=[sim.Handle.on_axis([0.0, 0.0])],
        time_step=0.02,
        gravity=0.0,
        dimension=2,
    )
    generator = np.random.default_rng(0)
    position, velocity = generator.uniform(-1, 1, (2, 3, 2))
    states = jax.jit(simulate)(system, start_of(system, position, velocity), jnp.full((100, 1), 3.0))
    mass = np.asarray([1.0, 2.0, 0.5])[:, None]
    momentum = np.sum(mass * np.asarray(states.velocity), axis=1)
    before = np.broadcast_to(np.sum(mass * velocity, axis=0), momentum.shape)
    np.testing.assert_allclose(momentum, before, atol=1e-9)
    assert np.max(np.abs(states.velocity[-1] - velocity)) > 0.1, "the test wants internal forces"


@pytest.mark.parametrize("cable", slow_but([False, True], True))
def test_hanging_at_rest_is_a_fixed_point(cable):
    system = make_chain(2, 0.05, 400.0, cable=cable)
    slack = 1e-3 / 2 if cable else 0.0
    lengths = LENGTH + slack + np.asarray([2.0, 1.0]) * GRAVITY / 400.0
    position = np.stack([np.zeros(2), -np.cumsum(lengths)], axis=1)
    states = jax.jit(simulate)(system, start_of(system, position, np.zeros((2, 2))), jnp.zeros((20, 1)))
    np.testing.assert_allclose(states.position, np.broadcast_to(position, (20, 2, 2)), atol=1e-11)
    np.testing.assert_allclose(states.velocity, 0.0, atol=1e-10)


@pytest.mark.slow
def test_a_step_remembers_the_one_before():
    system = make_chain(1, 0.05, 400.0)
    state = start_of(system, [[0.3, -0.4]], [[1.0, 2.0]])
    after = sim.step(system, state, jnp.asarray([2.0]))
    np.testing.assert_array_equal(after.previous_position, state.position)
    np.testing.assert_array_equal(after.previous_velocity, state.velocity)
    np.testing.assert_allclose(after.handle, [0.05 * 2.0], rtol=1e-15)


@pytest.mark.parametrize("dtype", slow_but([jnp.float32, jnp.float64], jnp.float32))
class TestSolverHealth:
    """Of a double pendulum whose handle is shaken at full speed."""

    NUM_ROLLOUTS, NUM_STEPS = 200, 50

    @pytest.mark.slow
    def test_every_step_is_solved(self, dtype):
        env = jax.tree.map(lambda leaf: leaf.astype(dtype), envs.make("double_pendulum_3d"))
        key_state, key_action = jax.random.split(jax.random.key(0))
        actions = env.action_limit[None, None] * jax.random.uniform(
            key_action, (self.NUM_ROLLOUTS, self.NUM_STEPS, 3), dtype, -1.0, 1.0
        )

        @jax.jit
        @jax.vmap
        def run(key, actions):
            def advance(state, action):
                after = env.step(state, action)
                return after, env.step_error(state, action, after)

            return jax.lax.scan(advance, env.reset(key), actions)[1]

        errors = np.asarray(run(jax.random.split(key_state, self.NUM_ROLLOUTS), actions))
        assert errors.dtype == dtype
        assert np.max(errors) <= 1

    @pytest.mark.slow
    def test_what_is_not_a_solution_is_seen(self, dtype):
        system = jax.tree.map(lambda leaf: leaf.astype(dtype), make_chain(1, 1 / 30, 5e3))
        state = jax.tree.map(lambda leaf: leaf.astype(dtype), start_of(system, [[0.3, -0.4]], [[1.0, 2.0]]))
        action = jnp.ones(1, dtype)
        after = jax.jit(sim.step)(system, state, action)

        def error_with(velocity):
            return sim.step_error(system, state, action, dataclasses.replace(after, velocity=velocity))

        visible = {jnp.float32: 1e-2, jnp.float64: 1e-10}[dtype]
        assert error_with(after.velocity) <= 1
        assert error_with(after.velocity + visible) > 1
        assert np.isnan(error_with(after.velocity * jnp.nan))


TIME_STEP, STIFFNESS = 1 / 30, 500.0


def step_of_a_pendulum(count):
    """(a step of the whole state and the action as one vector, a point in motion, how to take the vector apart)."""
    system = make_chain(count, TIME_STEP, STIFFNESS)
    position, velocity = [[0.4, -0.45], [0.7, -0.75]], [[0.5, 1.0], [-2.0, 0.3]]  # one spring is compressed
    state = start_of(system, position[:count], velocity[:count])
    point, unravel = ravel_pytree((state, jnp.asarray([1.5])))

    def flat_step(vector):
        return ravel_pytree(sim.step(system, *unravel(vector)))[0]

    return flat_step, point, unravel


def unrolled_step(state, action):
    """The same step by a plain Newton iteration on an equation and an energy of its own."""
    handle = state.handle + TIME_STEP * action

    def energy(position):
        points = jnp.concatenate([jnp.stack([handle[0], 0.0])[None], position])
        stretch = jnp.linalg.norm(jnp.diff(points, axis=0), axis=1) - LENGTH
        return STIFFNESS * jnp.sum(stretch**2) / 2 + GRAVITY * jnp.sum(position[:, 1])

    def position_at(velocity):
        return (4 * state.position - state.previous_position + 2 * TIME_STEP * velocity) / 3

    def equation(flat):
        velocity = flat.reshape(state.velocity.shape)
        change = (3 * velocity - 4 * state.velocity + state.previous_velocity) / (2 * TIME_STEP)
        return (change + jax.grad(energy)(position_at(velocity))).reshape(-1)

    def improve(flat, _):
        return flat - jnp.linalg.solve(jax.jacfwd(equation)(flat), equation(flat)), None

    flat = jax.lax.scan(improve, state.velocity.reshape(-1), length=10)[0]
    velocity = flat.reshape(state.velocity.shape)
    after = (position_at(velocity), velocity, state.position, state.velocity)
    return jnp.concatenate([handle, *(leaf.reshape(-1) for leaf in after)])


@pytest.mark.slow
def test_the_slope_of_a_step_is_that_of_an_unrolled_iteration():
    flat_step, point, unravel = step_of_a_pendulum(2)

    @jax.jit
    def value_and_slope(vector):
        def unrolled(vector):
            return unrolled_step(*unravel(vector))

        return [(step(vector), jax.jacfwd(step)(vector)) for step in (flat_step, unrolled)]

    (value, slope), (expected_value, expected_slope) = value_and_slope(point)
    np.testing.assert_allclose(value, expected_value, rtol=1e-10)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-9, atol=1e-10)


@pytest.mark.slow
def test_first_and_second_derivatives_of_a_step_are_those_of_differences():
    flat_step, point, _ = step_of_a_pendulum(1)
    weight = jnp.asarray(np.random.default_rng(0).normal(size=point.size - 1))
    gradient = jax.grad(lambda vector: weight @ flat_step(vector))
    check_grads(jax.jit(flat_step), (point,), order=2, modes=("fwd",), atol=1e-5, rtol=1e-5, eps=1e-6)
    check_grads(jax.jit(flat_step), (point,), order=1, modes=("rev",), atol=1e-6, rtol=1e-6, eps=1e-6)
    check_grads(jax.jit(gradient), (point,), order=1, modes=("fwd",), atol=1e-6, rtol=1e-6, eps=1e-6)


NESTINGS = ((jax.jacfwd,) * 4, (jax.jacrev,) * 4, (jax.jacfwd, jax.jacrev, jax.jacfwd, jax.jacrev))


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("modes", NESTINGS)
def test_four_nested_derivatives_are_those_of_an_unrolled_iteration(modes):
    flat_step, point, unravel = step_of_a_pendulum(1)
    direction, weight = np.random.default_rng(1).normal(size=(2, point.size))

    def fourth(step):
        def along(shift):
            end = step(point + shift * direction)
            return jnp.sum(weight[: end.size] * end)

        for mode in modes:
            along = mode(along)
        return jax.jit(along)(0.0)

    expected = fourth(lambda vector: unrolled_step(*unravel(vector)))
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(fourth(flat_step), expected, rtol=1e-7)
