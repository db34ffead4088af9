"""Rewards of another form than Eq. 15: of the last step only, and of one's own making."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import InputError, algorithms, envs

SMALL = {
    "batch_size": 12,
    "guard": {"size": 6},
    "hidden_sizes": (16,),
    "regression": {"gradient_steps": 20, "minibatch_size": 64},
}


def reciprocal(state, action):
    """The reward of the paper's first version: between 0 and 1, neither convex nor concave, all terms coupled."""
    cost = jnp.sum(state.velocity**2) + 0.5 * jnp.sum(state.handle**2) + 0.1 * jnp.sum(action**2)
    return 1 / (1 + cost)


def swing(**settings):
    return envs.make("pendulum_2d", "stop", horizon=12, **settings)


def start_and_actions(env):
    actions = jax.random.uniform(jax.random.key(1), (env.horizon, env.action_size), minval=-1.0)
    return env.reset(jax.random.key(0)), actions


class TestTerminalOnly:
    @pytest.mark.slow
    def test_only_the_last_reward_counts(self):
        env = swing()
        state, actions = start_and_actions(env)
        running = pods_jax.replay(env, state, actions).reward
        last = pods_jax.replay(env.replace(terminal_only=True), state, actions).reward
        np.testing.assert_array_equal(last[:-1], 0.0)
        np.testing.assert_allclose(last[-1], running[-1], rtol=1e-12)
        assert float(running[0]) < 0

    @pytest.mark.slow
    @pytest.mark.parametrize("method", [pytest.param("gauss_newton", marks=pytest.mark.exhaustive), "riccati"])
    def test_trajectories_improve_to_the_end(self, method):
        env = swing(terminal_only=True)
        state, actions = start_and_actions(env)
        better = pods_jax.improve(env, state, actions, method=method, damping=1e-3, num_steps=8)
        assert float(better.value) > 0.01 * float(better.value_before)  # negative values
        np.testing.assert_allclose(
            pods_jax.replay(env, state, better.actions).reward.sum(), better.value, rtol=1e-9, atol=1e-15
        )

    @pytest.mark.exhaustive
    def test_a_policy_learns_it(self):
        algorithm = algorithms.make("pods", swing(terminal_only=True), improvement={"damping": 1e-2}, **SMALL)
        _, history = pods_jax.train(algorithm, jax.random.key(0), 6)
        assert history[-1]["value"] > history[0]["value"] / 4  # both are negative
        assert all(row["unhealthy_rollouts"] == 0 for row in history)

    def test_second_order_steps_ask_for_damping(self):
        with pytest.raises(InputError, match=r"improvement.damping = 0.0: must be greater than 0 .* try 1e-3"):
            algorithms.make("pods", swing(terminal_only=True))
        assert algorithms.make(
            "pods", swing(terminal_only=True), improvement={"method": "first_order"}
        ).env.terminal_only

    def test_must_be_true_or_false(self):
        with pytest.raises(InputError, match="terminal_only = 'last': must be True or False"):
            swing(terminal_only="last")


class TestOwnReward:
    @pytest.mark.slow
    def test_replaces_the_reward(self):
        env = swing().with_reward(reciprocal)
        state, actions = start_and_actions(env)
        played = pods_jax.replay(env, state, actions)
        states = [jax.tree.map(lambda leaf, t=t: leaf[t], played.state) for t in range(env.horizon)]
        expected = [reciprocal(state, action) for state, action in zip(states, actions, strict=True)]
        np.testing.assert_allclose(played.reward, expected, rtol=1e-12)
        assert float(env.reward(states[3], actions[3])) == pytest.approx(float(expected[3]))

    @pytest.mark.slow
    @pytest.mark.parametrize("method", [pytest.param("first_order", marks=pytest.mark.exhaustive), "riccati"])
    def test_trajectories_improve(self, method):
        env = swing().with_reward(reciprocal)
        state, actions = start_and_actions(env)
        better = pods_jax.improve(env, state, actions, method=method, num_steps=5)
        assert float(better.value) > 1.05 * float(better.value_before)
        np.testing.assert_allclose(
            pods_jax.replay(env, state, better.actions).reward.sum(), better.value, rtol=1e-9, atol=1e-15
        )

    @pytest.mark.exhaustive
    def test_a_squared_residual_gives_the_step_of_its_own_environment(self):
        env = swing()
        state, actions = start_and_actions(env)
        same = env.with_reward(lambda state, action: -jnp.sum(env.residual(state, action) ** 2))
        one, other = (pods_jax.improve(each, state, actions, method="gauss_newton") for each in (env, same))
        np.testing.assert_allclose(one.actions, other.actions, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(one.value, other.value, rtol=1e-12)

    @pytest.mark.exhaustive
    def test_a_policy_learns_it(self):
        algorithm = algorithms.make("pods", swing().with_reward(reciprocal), **SMALL)
        _, history = pods_jax.train(algorithm, jax.random.key(0), 6)
        assert history[-1]["guard_value"] > history[0]["guard_value"]
        assert all(row["unhealthy_rollouts"] == 0 for row in history)

    @pytest.mark.slow
    def test_must_be_one_number(self):
        with pytest.raises(InputError, match=r"reward returns \(1,\): must return one number"):
            swing().with_reward(lambda state, action: -(action**2))
