"""What every environment and task of the registry promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import pods_jax
from pods_jax import envs, sim
from pods_jax.checks import InputError
from tests.tiers import slow_but

SIZES = {
    "pendulum_2d": (5, 1),
    "pendulum_3d": (9, 3),
    "double_pendulum_3d": (15, 3),
    "payload_2d": (18, 2),
    "rope_3d": (33, 3),
    "cloth_3d": (162, 6),
    "cartpole": (5, 1),
    "acrobot": (6, 1),
    "pendubot": (6, 1),
    "double_pendulum": (6, 2),
    "quadrotor": (18, 4),
    "quadrotor_payload": (24, 4),
    "hopper_slip": (9, 2),
}
"""Of observation and action."""

PAYLOADS, ROBOTS = envs.names()[:6], envs.names()[6:]
"""What hangs from handles, simulated by BDF2, and what moves by explicit steps; `test_robots.py` has their tasks."""

NUM_STARTS, NUM_ROLLOUTS, NUM_STEPS = 200, 10, 50


def random_actions(env):
    """(NUM_ROLLOUTS, NUM_STEPS, A), full range."""
    unit = np.random.default_rng(0).uniform(-1, 1, (NUM_ROLLOUTS, NUM_STEPS, env.action_size))
    return np.asarray(env.action_limit) * unit


@jax.jit
def reset_all(env, keys):
    return jax.vmap(env.reset)(keys)


@jax.jit
def play_all(env, states, actions):
    return jax.vmap(lambda state, actions: pods_jax.replay(env, state, actions))(states, actions)


def random_starts(env, seed=0):
    """NUM_STARTS of them; compiled once for all environments of one kind, like `play`."""
    return to_numpy(reset_all(env, jax.random.split(jax.random.key(seed), NUM_STARTS)))


def play(env, states, actions):
    return to_numpy(play_all(env, states, actions))


def to_numpy(tree):
    return jax.tree.map(np.asarray, tree)


def pick(tree, *index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def rest_state(env):
    payload = env.parameters
    zero = np.zeros(payload.start_position.shape)
    return sim.initial_state(payload.system, payload.start_handle, payload.start_position, zero)


def assert_close(tree, expected, tolerance=1e-10):
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    for leaf, expected_leaf in zip(jax.tree.leaves(tree), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, expected_leaf, rtol=tolerance, atol=tolerance)


def test_the_sizes_of_all_environments_are_given_here():
    assert tuple(SIZES) == envs.names()


QUICK = {"pendulum_2d": "stop", "pendulum_3d": "stop_at_origin"}
"""Environments that compile quickly, and the task of each that `make test` is to have."""


def tier(name, task=None, *, late=()):
    """The marks of the tests of an environment, by how long it takes to compile."""
    if name in late:
        return [pytest.mark.exhaustive]
    return [] if name in QUICK and task in (None, QUICK[name]) else [pytest.mark.slow]


def cases():
    """All payloads and tasks; of those that take longest to compile, one task is enough but for the last tier."""
    for name in PAYLOADS:
        for task in envs.tasks(name):
            late = ("payload_2d", "rope_3d") if task == "stop" else ()
            yield pytest.param((name, task), id=f"{name}-{task}", marks=tier(name, task, late=late))


@pytest.fixture(scope="module", params=cases())
def env(request):
    return envs.make(request.param[0], task=request.param[1])


@pytest.fixture(scope="module")
def many_starts(env):
    return random_starts(env)


@pytest.fixture(scope="module")
def starts(many_starts):
    return pick(many_starts, slice(NUM_ROLLOUTS))


@pytest.fixture(scope="module")
def trajectories(env, starts):
    return play(env, starts, random_actions(env))


class TestEveryReset:
    """Hanging from displaced handles, in random motion."""

    def test_is_finite_and_random(self, env, many_starts):
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(many_starts))
        velocities = many_starts.velocity.reshape(NUM_STARTS, -1)
        assert len(np.unique(velocities, axis=0)) == NUM_STARTS
        again, other = random_starts(env), random_starts(env, seed=1)
        assert_close(again, many_starts, tolerance=0.0)
        assert not np.any(np.isclose(other.velocity[..., 0], many_starts.velocity[..., 0], rtol=1e-6))

    def test_has_horizontal_velocities_up_to_the_initial_speed(self, env, many_starts):
        limit = float(env.parameters.initial_speed)
        modes = np.asarray(env.parameters.velocity_modes)
        speeds = np.linalg.norm(many_starts.velocity, axis=-1)
        assert np.all(many_starts.velocity[..., -1] == 0.0)
        assert np.all(speeds <= limit * np.sum(np.abs(modes), axis=0) * (1 + 1e-12))
        assert np.max(speeds) > 0.8 * limit
        planar = env.parameters.system.dimension == 2
        spread = limit / np.sqrt(3) if planar else limit / 2  # of each component: interval, disc
        components = many_starts.velocity[..., :-1]
        expected = spread * np.sqrt(np.sum(modes**2, axis=0))[:, None] * np.ones(components.shape[1:])
        np.testing.assert_allclose(np.std(components, axis=0), expected, rtol=0.2)
        np.testing.assert_allclose(np.mean(components, axis=0), 0.0, atol=0.3 * np.max(expected))

    def test_displaces_handles_up_to_the_initial_displacement_but_not_to_stop(self, env, many_starts):
        limit = env.parameters.initial_displacement
        moved = many_starts.handle - np.asarray(env.parameters.start_handle)
        displacements = np.abs(moved)
        assert np.all(displacements <= limit * (1 + 1e-12))
        if env.task == "stop":
            assert limit == 0.0
        else:
            assert np.all(np.max(displacements, axis=0) > 0.9 * limit)
            np.testing.assert_allclose(np.std(moved, axis=0), limit / np.sqrt(3), rtol=0.2)

    def test_hangs_the_payload_below_the_handle(self, env, many_starts):
        payload = env.parameters
        moved = many_starts.handle - np.asarray(payload.start_handle)
        shift = np.einsum("na,ahd->nhd", moved, payload.system.handle_axes)
        np.testing.assert_allclose(shift, shift[:, :1] + 0 * shift, atol=1e-12)  # all handles alike
        expected = shift[:, :1] + np.asarray(payload.start_position)
        np.testing.assert_allclose(many_starts.position, expected, rtol=1e-12, atol=1e-12)

    def test_starts_with_the_history_of_an_accelerated_motion(self, env, many_starts):
        """To second order, the previous position lies one step back: x - h v + h^2 a / 2."""
        h = env.time_step
        before = many_starts.position - h * many_starts.velocity
        acceleration = (many_starts.velocity - many_starts.previous_velocity) / h
        np.testing.assert_allclose(
            many_starts.previous_position, before + h**2 / 2 * acceleration, rtol=1e-12, atol=1e-12
        )


class TestEveryTask:
    @pytest.mark.slow
    def test_has_the_sizes_of_its_system(self, env, trajectories):
        assert (env.observation_size, env.action_size) == SIZES[env.name]
        shape = (NUM_ROLLOUTS, NUM_STEPS)
        assert trajectories.observation.shape == (*shape, env.observation_size)
        assert trajectories.action.shape == (*shape, env.action_size)
        assert trajectories.reward.shape == shape
        assert trajectories.state.position.shape == (*shape, *env.parameters.rest_position.shape)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trajectories))

    @pytest.mark.slow
    def test_a_plain_loop_gives_the_trajectory_of_a_replay(self, env, starts, trajectories):
        state = pick(starts, 1)
        for t, action in enumerate(random_actions(env)[1, :5]):
            np.testing.assert_allclose(trajectories.observation[1, t], env.observe(state), rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(trajectories.action[1, t], action)
            state = env.step(state, action)
            np.testing.assert_allclose(trajectories.reward[1, t], env.reward(state, action), rtol=1e-9)
            assert_close(pick(trajectories.state, 1, t), state)

    def test_the_reward_is_minus_the_square_of_the_residual(self, env, trajectories):
        for t in (0, 7, NUM_STEPS - 1):
            residual = env.residual(pick(trajectories.state, 2, t), trajectories.action[2, t])
            np.testing.assert_allclose(trajectories.reward[2, t], -np.sum(np.square(residual)), rtol=1e-12)
        assert np.all(trajectories.reward < 0)

    def test_hanging_at_rest_is_a_fixed_point(self, env):
        state, still = rest_state(env), jnp.zeros(env.action_size)
        for _ in range(3):
            after = env.step(state, still)
            assert_close(after, state, tolerance=1e-11)
            state = after
            if env.task == "lay":  # hanging is not where it should end
                assert env.reward(after, still) < -1.0
            else:
                np.testing.assert_allclose(env.reward(after, still), 0.0, atol=1e-18)
                assert all(abs(value) < 1e-10 for value in env.measure(state).values())

    def test_equal_states_have_equal_futures(self, env, trajectories):
        """The state alone decides: going on from copies of later states repeats the rest of the trajectories."""
        later = pick(trajectories.state, slice(None), 9)
        again = play(env, later, np.roll(random_actions(env), -10, axis=1))
        repeated, rest = slice(0, NUM_STEPS - 10), slice(10, NUM_STEPS)
        assert_close(pick(again, slice(None), repeated), pick(trajectories, slice(None), rest), tolerance=1e-10)

    def test_the_observation_is_made_of_the_present_only(self, env, trajectories):
        state = pick(trajectories.state, 0, 7)
        observation = env.observe(state)
        other_past = dataclasses.replace(
            state, previous_position=state.position + 1.0, previous_velocity=state.velocity - 1.0
        )
        np.testing.assert_array_equal(env.observe(other_past), observation)
        handles = np.asarray(sim.handle_position(env.parameters.system, state.handle))
        relative = state.position - np.mean(handles, axis=0)
        expected = np.concatenate([state.handle, relative.reshape(-1), state.velocity.reshape(-1)])
        np.testing.assert_allclose(observation, expected, rtol=1e-12, atol=1e-14)

    def test_the_past_matters_to_the_next_step(self, env, starts):
        """Otherwise there would be nothing to leave out of the observation."""
        start, still = pick(starts, 0), jnp.zeros(env.action_size)
        other_past = dataclasses.replace(start, previous_velocity=start.velocity - 1.0)
        assert np.max(np.abs(env.step(other_past, still).velocity - env.step(start, still).velocity)) > 0.1

    def test_shifting_handle_and_payload_shifts_the_trajectory(self, env, starts, trajectories):
        """Along a table if there is one."""
        translations = np.asarray(env.parameters.translations)
        amounts = np.linspace(0.3, -0.7, len(translations))
        if env.parameters.system.num_planes:
            amounts[-1] = 0.0
        shift = amounts @ translations
        system = env.parameters.system
        moved = np.asarray(sim.handle_position(system, shift) - system.handle_origin)[:1]
        shifted = dataclasses.replace(
            starts,
            handle=starts.handle + shift,
            position=starts.position + moved,
            previous_position=starts.previous_position + moved,
        )
        found = play(env, shifted, random_actions(env))
        seen, expected = (each.observation[..., env.action_size :] for each in (found, trajectories))
        np.testing.assert_allclose(seen, expected, rtol=1e-7, atol=1e-8)
        same_reward = np.allclose(found.reward, trajectories.reward, rtol=1e-7)
        assert same_reward == (env.task == "stop")

    def test_another_action_shape_is_refused_with_both_shapes(self, env, starts):
        start, size = pick(starts, 0), env.action_size
        for wrong in (jnp.zeros(size + 1), jnp.zeros((1, size)), jnp.zeros(())):
            for use in (env.step, env.residual, env.reward):
                with pytest.raises(InputError) as caught:
                    use(start, wrong)
                assert f"action has shape {wrong.shape}: must have shape ({size},)" in str(caught.value)
        with pytest.raises(InputError) as caught:
            pods_jax.replay(env, start, jnp.zeros((3, size + 1)))
        assert f"(3, {size + 1}): must have shape (T, {size})" in str(caught.value)


def names(*late):
    return [pytest.param(name, marks=tier(name, late=late)) for name in envs.names()]


class TestEverySystem:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", names("payload_2d", "rope_3d"))
    def test_single_precision_follows_double_precision(self, name):
        """For 20 steps and in the median; shaking a handle at full speed, or landing, multiplies errors."""
        env = envs.make(name)
        arguments = (env, pick(random_starts(env), slice(NUM_ROLLOUTS)), random_actions(env))
        exact, found = play(*arguments), play(*jax.tree.map(lambda leaf: leaf.astype(np.float32), arguments))
        for part in ("observation", "reward"):
            value, expected = (getattr(each, part)[:, :20].reshape(NUM_ROLLOUTS, -1) for each in (found, exact))
            assert value.dtype == np.float32
            errors = np.linalg.norm(value - expected, axis=1) / np.linalg.norm(expected, axis=1)
            assert np.median(errors) < 2e-3
            assert np.max(errors) < (0.1 if name == "hopper_slip" else 3e-2)

    @pytest.mark.parametrize("name", slow_but(envs.names(), *QUICK))
    def test_the_linearization_of_a_step_is_that_of_differences(self, name):
        flat_step, point, linearization = self.flattened(name)
        offsets = 1e-6 * np.eye(point.size)
        differences = [(flat_step(point + offset) - flat_step(point - offset)) / 2e-6 for offset in offsets]
        np.testing.assert_allclose(linearization().T, differences, rtol=1e-6, atol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", names("payload_2d", "rope_3d"))
    def test_the_linearization_of_a_step_is_the_derivative_both_ways(self, name):
        flat_step, point, linearization = self.flattened(name)
        forward, backward = jax.jit(jax.jacfwd(flat_step))(point), jax.jit(jax.jacrev(flat_step))(point)
        np.testing.assert_allclose(backward, forward, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(linearization(), forward, rtol=1e-9, atol=1e-9)

    @staticmethod
    def flattened(name):
        """A step of vectors of state and action, a vector, and the Jacobian there, when it is asked for."""
        env = envs.make(name)
        point, unravel = ravel_pytree((pick(random_starts(env), 0), random_actions(env)[0, 0]))
        state, action = unravel(point)

        def linearization():
            model = env.linearize(state, action, env.step(state, action))
            return np.concatenate(model.transpose_product(np.eye(point.size - action.size))).T

        return lambda vector: ravel_pytree(env.step(*unravel(vector)))[0], point, linearization


def with_stiffness(env, stiffness):
    system = env.parameters.system
    springs = dataclasses.replace(system.springs, stiffness=stiffness[None])
    system = dataclasses.replace(system, springs=springs)
    return dataclasses.replace(env, parameters=dataclasses.replace(env.parameters, system=system))


class TestAnEnvironmentAsAnArgument:
    @pytest.mark.slow
    def test_a_return_has_a_slope_with_respect_to_the_stiffness(self):
        env = envs.make("pendulum_2d")
        state, actions = pick(random_starts(env), 0), random_actions(env)[0]

        def total_reward(stiffness):
            return jnp.sum(pods_jax.replay(with_stiffness(env, stiffness), state, actions).reward)

        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(total_reward)))(jnp.asarray([199.99, 200.0, 200.01]))
        assert np.all(np.isfinite(slopes))
        assert abs(slopes[1]) > 1e-6
        np.testing.assert_allclose(slopes[1], (values[2] - values[0]) / 0.02, rtol=1e-4)
