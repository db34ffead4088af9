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

GRAVITY = 9.81
LENGTH = 0.5


def make_chain(count, time_step, stiffness, dimension=2, **spring):
    """Unit masses hung one below the other from a handle that moves along the first axis."""
    return sim.make_system(
        mass=[1.0] * count,
        springs=[sim.Spring(i, i + 1, stiffness, LENGTH, **spring) for i in range(count)],
        handles=[sim.Handle.on_axis([0.0] * dimension)],
        time_step=time_step,
        dimension=dimension,
    )


def start_of(system, position, velocity):
    return sim.initial_state(system, jnp.zeros(1), jnp.asarray(position), jnp.asarray(velocity))


def forget_acceleration(system, state):
    """The history that a start without the initial acceleration would have."""
    return dataclasses.replace(
        state,
        previous_position=state.position - system.time_step * state.velocity,
        previous_velocity=state.velocity,
    )


def simulate(system, state, actions):
    """All states, every leaf (T, ...)."""

    def advance(state, action):
        state = sim.step(system, state, action)
        return state, state

    return jax.lax.scan(advance, state, actions)[1]


def chain_acceleration(position, handle, stiffness):
    """(P, 2) of unit masses, in NumPy."""
    points = np.concatenate([handle[None], position])
    edge = np.diff(points, axis=0)
    length = np.linalg.norm(edge, axis=1, keepdims=True)
    pull = stiffness * (length - LENGTH) * edge / length
    acceleration = -pull
    acceleration[:-1] += pull[1:]
    acceleration[:, 1] -= GRAVITY
    return acceleration


class TestOrder:
    """Planar pendulums whose handle rests or moves at constant speed, against SciPy."""

    DURATION, STIFFNESS, HANDLE_SPEEDS = 1.0, 200.0, (0.0, 0.5)
    STEPS = (80, 160, 320, 640, 1280)
    STARTS = {  # hanging askew, a little stretched, in motion
        1: ([[0.4, -0.35]], [[0.5, 0.3]]),
        2: ([[0.4, -0.35], [0.8, -0.75]], [[0.5, 0.3], [-0.4, 0.2]]),
    }

    def reference(self, count, handle_speed):
        def rates(time, values):
            position, velocity = values.reshape(2, count, 2)
            handle = np.asarray([handle_speed * time, 0.0])
            return np.concatenate([velocity, chain_acceleration(position, handle, self.STIFFNESS)]).reshape(-1)

        start = np.asarray(self.STARTS[count]).reshape(-1)
        solution = solve_ivp(rates, (0.0, self.DURATION), start, method="DOP853", rtol=1e-12, atol=1e-12)
        assert solution.success
        return solution.y[:, -1]

    def final(self, count, num_steps, start):
        """(speeds, 4 P): positions and velocities at the end."""
        system = make_chain(count, self.DURATION / num_steps, self.STIFFNESS)
        state = start_of(system, *self.STARTS[count])
        if start == "without acceleration":
            state = forget_acceleration(system, state)

        @jax.jit
        @jax.vmap
        def run(speed):
            end = jax.tree.map(lambda leaf: leaf[-1], simulate(system, state, jnp.full((num_steps, 1), speed)))
            return jnp.concatenate([end.position.reshape(-1), end.velocity.reshape(-1)])

        return run(jnp.asarray(self.HANDLE_SPEEDS))

    def orders(self, count, start):
        """One for each handle speed, by regression."""
        expected = np.stack([self.reference(count, speed) for speed in self.HANDLE_SPEEDS])
        errors = [np.linalg.norm(self.final(count, steps, start) - expected, axis=1) for steps in self.STEPS]
        slopes = np.polyfit(np.log(self.STEPS), np.log(errors), 1)[0]
        return -slopes

    @pytest.mark.parametrize("count", [1, 2])
    def test_is_two_from_the_first_step(self, count):
        np.testing.assert_allclose(self.orders(count, "with acceleration"), 2.0, atol=0.1)

    def test_would_be_one_without_the_initial_acceleration(self):
        np.testing.assert_allclose(self.orders(1, "without acceleration"), 1.1, atol=0.2)


class TestEnergy:
    """An undamped pendulum on a stiff spring, 10 s at 60 steps per second."""

    STIFFNESS, TIME_STEP, NUM_STEPS = 5e3, 1 / 60, 600

    def energy(self, position, velocity):
        """[J] above that of hanging at rest."""
        stretch = np.linalg.norm(position, axis=-1) - LENGTH
        lowest = -GRAVITY * LENGTH - GRAVITY**2 / (2 * self.STIFFNESS)
        spring = self.STIFFNESS * stretch**2 / 2
        return np.sum(np.square(velocity), axis=-1) / 2 + spring + GRAVITY * position[..., 1] - lowest

    def start(self):
        """Swinging through the lowest point, the spring as long as it has to be for that."""
        speed = 3.0
        length = LENGTH
        for _ in range(50):
            length = LENGTH + (GRAVITY + speed**2 / length) / self.STIFFNESS
        return np.asarray([0.0, -length]), np.asarray([speed, 0.0])

    def implicit_euler(self, position, velocity):
        h = self.TIME_STEP
        for _ in range(self.NUM_STEPS):
            new = velocity
            for _ in range(20):
                moved = position + h * new
                length = np.linalg.norm(moved)
                along = np.outer(moved, moved) / length**2
                stiffness = self.STIFFNESS * (along + (1 - LENGTH / length) * (np.eye(2) - along))
                force = chain_acceleration(moved[None], np.zeros(2), self.STIFFNESS)[0]
                new = new - np.linalg.solve(np.eye(2) + h**2 * stiffness, new - velocity - h * force)
            position, velocity = position + h * new, new
        return position, velocity

    def test_at_least_98_percent_is_kept_where_implicit_euler_keeps_little(self):
        position, velocity = self.start()
        before = self.energy(position, velocity)
        system = make_chain(1, self.TIME_STEP, self.STIFFNESS)
        states = jax.jit(simulate)(
            system, start_of(system, position[None], velocity[None]), jnp.zeros((self.NUM_STEPS, 1))
        )
        kept = self.energy(np.asarray(states.position)[:, 0], np.asarray(states.velocity)[:, 0]) / before
        assert kept[-1] >= 0.98
        assert np.all(kept <= 1.0 + 1e-3)
        assert self.energy(*self.implicit_euler(position, velocity)) / before < 0.3


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


def test_an_isolated_network_keeps_its_momentum():
    """Springs, a cable and damping between three points; the handle is driven, but joined to none of them."""
    pairs = ((1, 2, False), (2, 3, True), (3, 1, False))
    system = sim.make_system(
        mass=[1.0, 2.0, 0.5],
        springs=[sim.Spring(*ends, 300.0, LENGTH, damping=2.0, cable=cable) for *ends, cable in pairs],
        handles=[sim.Handle.on_axis([0.0, 0.0, 0.0])],
        time_step=0.02,
        gravity=0.0,
    )
    generator = np.random.default_rng(0)
    position, velocity = generator.uniform(-1, 1, (2, 3, 3))
    states = jax.jit(simulate)(system, start_of(system, position, velocity), jnp.full((100, 1), 3.0))
    mass = np.asarray([1.0, 2.0, 0.5])[:, None]
    momentum = np.sum(mass * np.asarray(states.velocity), axis=1)
    before = np.broadcast_to(np.sum(mass * velocity, axis=0), momentum.shape)
    np.testing.assert_allclose(momentum, before, atol=1e-9)
    assert np.max(np.abs(states.velocity[-1] - velocity)) > 0.1, "the test wants internal forces"


@pytest.mark.parametrize("cable", [False, True])
def test_hanging_at_rest_is_a_fixed_point(cable):
    system = make_chain(2, 0.05, 400.0, cable=cable)
    slack = 1e-3 / 2 if cable else 0.0
    lengths = LENGTH + slack + np.asarray([2.0, 1.0]) * GRAVITY / 400.0
    position = np.stack([np.zeros(2), -np.cumsum(lengths)], axis=1)
    states = jax.jit(simulate)(system, start_of(system, position, np.zeros((2, 2))), jnp.zeros((20, 1)))
    np.testing.assert_allclose(states.position, np.broadcast_to(position, (20, 2, 2)), atol=1e-11)
    np.testing.assert_allclose(states.velocity, 0.0, atol=1e-10)


def test_a_step_remembers_the_one_before():
    system = make_chain(1, 0.05, 400.0)
    state = start_of(system, [[0.3, -0.4]], [[1.0, 2.0]])
    after = sim.step(system, state, jnp.asarray([2.0]))
    np.testing.assert_array_equal(after.previous_position, state.position)
    np.testing.assert_array_equal(after.previous_velocity, state.velocity)
    np.testing.assert_allclose(after.handle, [0.05 * 2.0], rtol=1e-15)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
class TestSolverHealth:
    """Of a double pendulum whose handle is shaken at full speed."""

    NUM_ROLLOUTS, NUM_STEPS = 200, 50

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


class TestDerivatives:
    """Of one step of a double pendulum by its whole state and the action, as one vector."""

    TIME_STEP, STIFFNESS = 1 / 30, 500.0

    def problem(self):
        """(a step as a function of one vector, a point where one spring is stretched and one compressed)."""
        system = make_chain(2, self.TIME_STEP, self.STIFFNESS)
        state = start_of(system, [[0.4, -0.45], [0.7, -0.75]], [[0.5, 1.0], [-2.0, 0.3]])
        point, unravel = ravel_pytree((state, jnp.asarray([1.5])))

        def flat_step(vector):
            return ravel_pytree(sim.step(system, *unravel(vector)))[0]

        return flat_step, point, unravel

    def unrolled(self, vector, unravel):
        """The same step by a plain Newton iteration on an equation and an energy of its own."""
        state, action = unravel(vector)
        h = self.TIME_STEP
        handle = state.handle + h * action

        def energy(position):
            points = jnp.concatenate([jnp.stack([handle[0], 0.0])[None], position])
            stretch = jnp.linalg.norm(jnp.diff(points, axis=0), axis=1) - LENGTH
            return self.STIFFNESS * jnp.sum(stretch**2) / 2 + GRAVITY * jnp.sum(position[:, 1])

        def position_at(velocity):
            return (4 * state.position - state.previous_position + 2 * h * velocity) / 3

        def equation(flat):
            velocity = flat.reshape(2, 2)
            change = (3 * velocity - 4 * state.velocity + state.previous_velocity) / (2 * h)
            return (change + jax.grad(energy)(position_at(velocity))).reshape(-1)

        flat = state.velocity.reshape(-1)
        for _ in range(10):
            flat = flat - jnp.linalg.solve(jax.jacfwd(equation)(flat), equation(flat))
        velocity = flat.reshape(2, 2)
        after = (position_at(velocity), velocity, state.position, state.velocity)
        return jnp.concatenate([handle, *(leaf.reshape(-1) for leaf in after)])

    def test_value_and_slope_are_those_of_an_unrolled_newton_iteration(self):
        flat_step, point, unravel = self.problem()
        np.testing.assert_allclose(flat_step(point), self.unrolled(point, unravel), rtol=1e-10)
        found = jax.jit(jax.jacfwd(flat_step))(point)
        expected = jax.jit(jax.jacfwd(lambda vector: self.unrolled(vector, unravel)))(point)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)

    def test_forward_and_backward_agree_and_so_do_differences(self):
        flat_step, point, _ = self.problem()
        forward = jax.jit(jax.jacfwd(flat_step))(point)
        np.testing.assert_allclose(jax.jit(jax.jacrev(flat_step))(point), forward, rtol=1e-10, atol=1e-12)
        check_grads(jax.jit(flat_step), (point,), order=1, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6)

    def test_second_derivatives(self):
        flat_step, point, _ = self.problem()
        check_grads(jax.jit(flat_step), (point,), order=2, modes=("fwd",), atol=1e-5, rtol=1e-5, eps=1e-6)
        weight = jnp.asarray(np.random.default_rng(0).normal(size=point.shape))
        slope = jax.grad(lambda vector: weight @ flat_step(vector))
        hessian = np.asarray(jax.jit(jax.jacfwd(slope))(point))  # forward over reverse
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-9 * np.max(np.abs(hessian)))
        by_forward = jax.jit(jax.jacfwd(jax.jacfwd(lambda vector: weight @ flat_step(vector))))(point)
        np.testing.assert_allclose(hessian, by_forward, rtol=1e-9, atol=1e-9 * np.max(np.abs(hessian)))
