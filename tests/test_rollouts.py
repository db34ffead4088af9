import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.flatten_util import ravel_pytree

from pods_jax import InputError, envs, improve, replay
from pods_jax.policies.regression import Samples, regression_loss
from pods_jax.rollouts import as_pytree, flatten_states, rollout, step_starts
from tests.tiers import slow_but

HORIZON = 6  # of the environment in conftest.py


@struct.dataclass
class Bounded:
    """A policy with parameters, as an algorithm returns."""

    weights: jax.Array  # (O, A)

    def __call__(self, observation):
        return jnp.tanh(observation @ self.weights)


def bounded(env, seed=0):
    return Bounded(jax.random.normal(jax.random.key(seed), (env.observation_size, env.action_size)))


@pytest.mark.parametrize("name", slow_but(["pendulum_2d", "double_pendulum_3d"], "pendulum_2d"))
def test_a_rollout_is_a_loop_of_steps(name):
    env = envs.make(name, "stop_at_origin", horizon=HORIZON)
    state, policy = env.reset(jax.random.key(3)), bounded(env)
    trajectory = rollout(env, policy, state)
    for t in range(HORIZON):
        observation = env.observe(state)
        action = policy(observation)
        state = env.step(state, action)
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf, t=t: leaf[t], trajectory),
            trajectory.replace(observation=observation, action=action, reward=env.reward(state, action), state=state),
            rtol=1e-11,
            atol=1e-12,
        )
    assert trajectory.reward.shape == (HORIZON,)


def test_replaying_the_actions_of_a_rollout_repeats_it(env, state):
    trajectory = rollout(env, bounded(env), state)
    chex.assert_trees_all_close(replay(env, state, trajectory.action), trajectory, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_the_first_observation_is_of_the_start_and_the_last_action_counts(env, state, actions):
    trajectory = replay(env, state, actions)
    np.testing.assert_array_equal(trajectory.observation[0], env.observe(state))
    last = jax.tree.map(lambda leaf: leaf[-2], trajectory.state)
    np.testing.assert_allclose(trajectory.observation[-1], env.observe(last), rtol=1e-13)
    gradient = jax.grad(lambda a: jnp.sum(replay(env, state, a).reward))(actions)
    assert abs(float(gradient[-1, 0])) > 1e-2


def test_starts_and_flat_states_are_in_the_order_of_the_trajectory(env, state, actions):
    states = replay(env, state, actions).state
    begun = step_starts(state, states)
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[0], begun), state)
    chex.assert_trees_all_equal(
        jax.tree.map(lambda leaf: leaf[1:], begun), jax.tree.map(lambda leaf: leaf[:-1], states)
    )
    third = jax.tree.map(lambda leaf: leaf[2], states)
    np.testing.assert_array_equal(flatten_states(states)[2], ravel_pytree(third)[0])


POLICIES = {
    "function": lambda observation: -0.1 * observation[:1],
    "partial": jax.tree_util.Partial(lambda scale, observation: scale * observation[:1], np.full(1, 0.3)),
    "struct": Bounded(np.full((5, 1), 0.2)),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_any_callable_is_a_policy(env, state, policy):
    trajectory = rollout(env, policy, state)
    np.testing.assert_allclose(trajectory.action, jax.vmap(policy)(trajectory.observation), rtol=1e-13)


def test_a_policy_with_other_parameters_is_not_traced_again(env, state):
    traces = []

    @struct.dataclass
    class Counting(Bounded):
        def __call__(self, observation):
            traces.append(1)
            return super().__call__(observation)

    first = rollout(env, Counting(bounded(env, 0).weights), state)
    count = len(traces)
    second = rollout(env, Counting(bounded(env, 1).weights), state)
    assert len(traces) == count > 0
    assert not np.allclose(first.action, second.action)


def test_policies_of_two_classes_with_equal_fields_are_two_programs(env):
    @struct.dataclass
    class Other(Bounded):
        def __call__(self, observation):
            return -super().__call__(observation)

    @struct.dataclass
    class Scaled:
        policy: Bounded

        def __call__(self, observation):
            return 2.0 * self.policy(observation)

    weights = bounded(env).weights
    policies = [Bounded(weights), Other(weights), Scaled(Bounded(weights)), Scaled(Other(weights))]
    structures = [jax.tree.structure(as_pytree(policy)) for policy in policies]
    assert all((a == b) == (i == j) for i, a in enumerate(structures) for j, b in enumerate(structures))


def test_a_function_is_traced_once_as_long_as_it_is_the_same_object(env, state):
    traces = []

    def policy(observation):
        traces.append(1)
        return observation[:1]

    rollout(env, policy, state)
    count = len(traces)
    rollout(env, policy, env.reset(jax.random.key(9)))
    assert len(traces) == count > 0


@pytest.mark.parametrize("function", [replay, improve], ids=["replay", "improve"])
def test_a_batch_of_states_is_refused_with_the_leaf_and_the_cure(env, state, actions, function):
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    with pytest.raises(InputError, match=r"state\.handle has shape \(2, 1\): must have shape \(1,\).*jax\.vmap"):
        function(env, batch, actions)


def test_a_state_of_another_environment_is_refused(env):
    other = envs.make("pendulum_3d", horizon=HORIZON).reset(jax.random.key(0))
    for use in (env.observe, lambda state: rollout(env, bounded(env), state), lambda s: env.step(s, jnp.zeros(1))):
        with pytest.raises(InputError, match=r"state\.handle has shape \(3,\): must have shape \(1,\)"):
            use(other)
    with pytest.raises(InputError, match=r"state is .* as `env.reset` returns it"):
        env.observe(jnp.zeros(5))


@pytest.mark.parametrize("shape", [(), (HORIZON,), (HORIZON, 2), (3, HORIZON, 1)])
@pytest.mark.parametrize("function", [replay, improve])
def test_actions_of_another_shape_are_refused(env, state, function, shape):
    with pytest.raises(InputError, match=r"actions have shape .*must have shape \(T, 1\)"):
        function(env, state, jnp.zeros(shape))


def test_a_policy_with_too_many_outputs_is_refused(env, state):
    with pytest.raises(InputError, match=r"action of shape \(2,\): must have shape \(1,\)"):
        rollout(env, lambda observation: observation[:2], state)


@pytest.mark.slow
def test_regression_on_improved_actions_is_policy_gradient_ascent():
    """Eq. 10: with the states fixed, grad L = -alpha / k sum_i sum_t (d pi / d theta)' dV_i/da_t."""
    env = envs.make("pendulum_3d", "stop_at_origin", horizon=HORIZON)
    num_rollouts, alpha = 4, 0.01
    weights = bounded(env).weights
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), num_rollouts))

    def apply(weights, observation):
        return jnp.tanh(observation @ weights)

    @jax.jit
    @jax.vmap
    def ascent(state):
        """Observations and actions of a rollout, and the gradient of its return by its actions."""
        visited = rollout(env, Bounded(weights), state)
        gradient = jax.grad(lambda a: jnp.sum(replay(env, state, a).reward))(visited.action)
        return visited.observation, visited.action, gradient

    observation, action, gradient = ascent(states)
    flat = [array.reshape(num_rollouts * HORIZON, -1) for array in (observation, action + alpha * gradient)]
    identity = jnp.broadcast_to(jnp.eye(3), (num_rollouts * HORIZON, 3, 3))
    by_fitting = jax.grad(regression_loss, argnums=1)(apply, weights, Samples(*flat, identity), HORIZON)
    by_policy = np.zeros(weights.shape)
    for rollout_index, t in np.ndindex(num_rollouts, HORIZON):
        x, pi, dvda = (np.asarray(array[rollout_index, t]) for array in (observation, action, gradient))
        by_policy += np.outer(x, (1 - pi**2) * dvda)
    np.testing.assert_allclose(by_fitting, -alpha / num_rollouts * by_policy, rtol=1e-9, atol=1e-9)
