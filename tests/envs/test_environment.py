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

SIZES = {"pendulum_2d": (5, 1), "pendulum_3d": (9, 3), "double_pendulum_3d": (15, 3)}
"""Of observation and action."""

NUM_STEPS = 50


def random_actions(env, seed=0, count=NUM_STEPS):
    """(count, A), full range."""
    return env.action_limit[None] * np.random.default_rng(seed).uniform(-1, 1, (count, env.action_size))


def rest_state(env):
    payload = env.parameters
    zero = jnp.zeros_like(payload.rest_position)
    return sim.initial_state(payload.system, jnp.zeros(env.action_size), payload.rest_position, zero)


def assert_close(tree, expected, tolerance=1e-10):
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    for leaf, expected_leaf in zip(jax.tree.leaves(tree), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, expected_leaf, rtol=tolerance, atol=tolerance)


def test_the_sizes_of_all_environments_are_given_here():
    assert tuple(SIZES) == envs.names()


@pytest.fixture(
    scope="module", params=[(name, task) for name in envs.names() for task in envs.tasks(name)], ids="-".join
)
def env(request):
    return envs.make(request.param[0], task=request.param[1])


@pytest.fixture(scope="module")
def start(env):
    return env.reset(jax.random.key(1))


@pytest.fixture(scope="module")
def trajectory(env, start):
    return pods_jax.replay(env, start, random_actions(env))


class TestEveryTask:
    def test_has_the_sizes_of_its_system(self, env, start):
        assert (env.observation_size, env.action_size) == SIZES[env.name]
        assert env.observe(start).shape == (env.observation_size,)
        assert env.step(start, jnp.zeros(env.action_size)).position.shape == start.position.shape
        assert env.reward(start, jnp.zeros(env.action_size)).shape == ()
        assert np.all(env.action_limit > 0)

    def test_a_plain_loop_gives_the_trajectory_of_a_replay(self, env, start, trajectory):
        state = start
        for t, action in enumerate(random_actions(env)[:5]):
            np.testing.assert_allclose(trajectory.observation[t], env.observe(state), rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(trajectory.action[t], action)
            state = env.step(state, action)
            np.testing.assert_allclose(trajectory.reward[t], env.reward(state, action), rtol=1e-9)
            assert_close(jax.tree.map(lambda leaf, t=t: leaf[t], trajectory.state), state)

    def test_a_batch_gives_the_trajectories_of_its_members(self, env, start, trajectory):
        @jax.jit
        @jax.vmap
        def play(key, actions):
            return pods_jax.replay(env, env.reset(key), actions)

        actions = np.stack([random_actions(env, seed) for seed in (2, 0, 3)])
        keys = jnp.stack([jax.random.key(seed) for seed in (4, 1, 5)])
        batch = play(keys, actions)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(batch))
        assert_close(jax.tree.map(lambda leaf: leaf[1], batch), trajectory, tolerance=1e-8)

    def test_the_reward_is_minus_the_square_of_the_residual(self, env, trajectory):
        residual = jax.vmap(env.residual)(trajectory.state, trajectory.action)
        np.testing.assert_allclose(trajectory.reward, -np.sum(np.square(residual), axis=1), rtol=1e-12)
        assert np.all(trajectory.reward < 0)

    def test_hanging_at_rest_is_a_fixed_point_without_cost(self, env):
        state, still = rest_state(env), jnp.zeros(env.action_size)
        for _ in range(3):
            after = env.step(state, still)
            assert_close(after, state, tolerance=1e-11)
            np.testing.assert_allclose(env.reward(after, still), 0.0, atol=1e-20)
            state = after
        assert all(abs(value) < 1e-11 for value in env.measure(state).values())

    def test_equal_states_have_equal_futures(self, env, trajectory):
        """The state alone decides: going on from a copy of a later state repeats the rest of the trajectory."""
        later = jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf[9])), trajectory.state)
        rest = random_actions(env)[10:]
        again = pods_jax.replay(env, later, np.concatenate([rest, np.zeros((10, env.action_size))]))
        assert_close(
            jax.tree.map(lambda leaf: leaf[:40], again),
            jax.tree.map(lambda leaf: leaf[10:], trajectory),
            tolerance=1e-9,
        )

    def test_the_observation_is_made_of_the_present_only(self, env, trajectory):
        state = jax.tree.map(lambda leaf: leaf[7], trajectory.state)
        observation = env.observe(state)
        other_past = dataclasses.replace(
            state, previous_position=state.position + 1.0, previous_velocity=state.velocity - 1.0
        )
        np.testing.assert_array_equal(env.observe(other_past), observation)
        hung_from = sim.handle_position(env.parameters.system, state.handle)
        relative = np.asarray(state.position) - np.asarray(hung_from)
        expected = np.concatenate([state.handle, relative.reshape(-1), np.asarray(state.velocity).reshape(-1)])
        np.testing.assert_allclose(observation, expected, rtol=1e-12, atol=1e-14)

    def test_the_past_matters_to_the_next_step(self, env, start):
        """Otherwise there would be nothing to leave out of the observation."""
        other_past = dataclasses.replace(start, previous_velocity=start.velocity - 1.0)
        still = jnp.zeros(env.action_size)
        assert np.max(np.abs(env.step(other_past, still).velocity - env.step(start, still).velocity)) > 0.1

    def test_shifting_handle_and_payload_shifts_the_trajectory(self, env, start, trajectory):
        shift = jnp.linspace(0.3, -0.7, env.action_size)
        system = env.parameters.system
        moved = (sim.handle_position(system, shift) - system.handle_origin)[0]
        shifted = dataclasses.replace(
            start,
            handle=start.handle + shift,
            position=start.position + moved[None],
            previous_position=start.previous_position + moved[None],
        )
        found = pods_jax.replay(env, shifted, random_actions(env))
        handle_size = env.action_size
        np.testing.assert_allclose(
            found.observation[:, handle_size:], trajectory.observation[:, handle_size:], rtol=1e-7, atol=1e-8
        )
        same = np.allclose(found.reward, trajectory.reward, rtol=1e-7)
        assert same == (env.task == "stop")

    def test_another_action_shape_is_refused_with_both_shapes(self, env, start):
        size = env.action_size
        for wrong in (jnp.zeros(size + 1), jnp.zeros((1, size)), jnp.zeros(())):
            for use in (env.step, env.residual, env.reward):
                with pytest.raises(InputError) as caught:
                    use(start, wrong)
                message = str(caught.value)
                assert f"action has shape {wrong.shape}: must have shape ({size},)" in message
        with pytest.raises(InputError) as caught:
            pods_jax.replay(env, start, jnp.zeros((3, size + 1)))
        assert f"(3, {size + 1}): must have shape (T, {size})" in str(caught.value)


@pytest.mark.parametrize("name", envs.names())
class TestEverySystem:
    def test_single_precision_follows_double_precision(self, name):
        env = envs.make(name)
        state, actions = env.reset(jax.random.key(0)), random_actions(env)
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (env, state, jnp.asarray(actions)))
        expected, found = pods_jax.replay(env, state, actions), pods_jax.replay(*single)
        for leaf, exact in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert leaf.dtype == jnp.float32
            assert np.linalg.norm(leaf - exact) < 1e-3 * np.linalg.norm(exact)

    def test_derivatives_of_a_step_agree_with_each_other_and_with_differences(self, name):
        env = envs.make(name)
        point, unravel = ravel_pytree((env.reset(jax.random.key(0)), jnp.asarray(random_actions(env, count=1)[0])))

        def flat_step(vector):
            return ravel_pytree(env.step(*unravel(vector)))[0]

        @jax.jit
        def derivatives(vector):
            offsets = 1e-5 * jnp.eye(vector.size)
            rise = jax.vmap(lambda offset: flat_step(vector + offset) - flat_step(vector - offset))(offsets)
            return jax.jacfwd(flat_step)(vector), jax.jacrev(flat_step)(vector), rise.T / 2e-5

        forward, backward, differences = derivatives(point)
        np.testing.assert_allclose(backward, forward, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(forward, differences, rtol=1e-6, atol=1e-6)


class TestAnEnvironmentAsAnArgument:
    """A function of the stiffness of the spring."""

    @staticmethod
    def with_stiffness(env, stiffness):
        system = env.parameters.system
        springs = dataclasses.replace(system.springs, stiffness=stiffness[None])
        system = dataclasses.replace(system, springs=springs)
        return dataclasses.replace(env, parameters=dataclasses.replace(env.parameters, system=system))

    def total_reward(self, stiffness):
        env = envs.make("pendulum_2d")
        state = env.reset(jax.random.key(0))
        return jnp.sum(pods_jax.replay(self.with_stiffness(env, stiffness), state, random_actions(env)).reward)

    def test_the_return_has_a_slope(self):
        value_and_slope = jax.jit(jax.vmap(jax.value_and_grad(self.total_reward)))
        values, slopes = value_and_slope(jnp.asarray([199.99, 200.0, 200.01]))
        assert np.all(np.isfinite(slopes))
        assert abs(slopes[1]) > 1e-6
        np.testing.assert_allclose(slopes[1], (values[2] - values[0]) / 0.02, rtol=1e-4)

    def test_environments_of_one_kind_are_compiled_once(self):
        traces = []

        @jax.jit
        def value(env, state, actions):
            traces.append(None)
            return jnp.sum(pods_jax.replay(env, state, actions).reward)

        env = envs.make("pendulum_2d")
        state, actions = env.reset(jax.random.key(0)), random_actions(env)
        soft = self.with_stiffness(env, jnp.asarray(100.0))
        assert value(env, state, actions) != value(soft, state, actions)
        assert value(envs.make("pendulum_2d", mass=2.0), state, actions) != value(env, state, actions)
        assert len(traces) == 1
