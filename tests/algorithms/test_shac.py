import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms
from pods_jax.algorithms.shac.critic import Critic, CriticNetwork, lambda_returns
from tests.algorithms.linear import make_linear

SMALL = {"batch_size": 12, "minibatch_size": 6, "hidden_sizes": (8,), "critic": {"hidden_sizes": (8,)}, "window": 3}


@pytest.fixture(scope="module")
def small():
    """Episodes of eight steps in windows of three, and one epoch compiled once."""
    algorithm = algorithms.make("shac", make_linear(horizon=8), **SMALL)
    return algorithm, jax.jit(algorithm.update)


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_targets_are_the_mean_of_n_step_returns(trace):
    rewards, values = jax.random.normal(jax.random.key(0), (2, 5))
    for first in range(5):
        returns = [sum(rewards[first : last + 1]) + values[last] for last in range(first, 5)]
        weights = [(1 - trace) * trace**n for n in range(len(returns) - 1)] + [trace ** (len(returns) - 1)]
        expected = sum(weight * value for weight, value in zip(weights, returns, strict=True))
        np.testing.assert_allclose(lambda_returns(rewards, values, trace)[first], expected, rtol=1e-9)


def test_nothing_is_earned_after_the_last_step():
    env = make_linear(horizon=8)
    critic = Critic(env, CriticNetwork((8,)))
    params = critic.init(jax.random.key(0))
    values = [critic.value(params, jnp.asarray(5.0), jnp.ones(2), jnp.asarray(time)) for time in (0, 7, 8, 9)]
    assert values[0] != 0
    assert values[1] != 0
    assert values[2] == values[3] == 0


@pytest.mark.slow
def test_clocks_are_staggered_and_an_episode_that_is_over_starts_again(small):
    algorithm, update = small
    first = algorithm.init(jax.random.key(0))
    assert sorted(set(first.time.tolist())) == [0, 3, 6]
    second, metrics = update(first)
    assert second.time.tolist() == first.time.tolist()  # an epoch is a whole number of episodes
    assert np.all(np.abs(second.states[second.time == 0]) <= 1)  # as drawn
    assert metrics["environment_steps"] == 2 * 3 * 3 * 6  # episodes, windows, steps, at a time


@pytest.mark.slow
def test_the_critic_learns_the_return(small):
    """With a policy that hardly moves (learning rate near zero), values approach the returns of rollouts."""
    env = make_linear(horizon=8)
    settings = SMALL | {"batch_size": 1200, "minibatch_size": 60, "optimizer": {"learning_rate": 1e-12}}
    settings["critic"] = SMALL["critic"] | {"gradient_steps": 30, "learning_rate": 1e-2}
    algorithm = algorithms.make("shac", env, **settings)
    state = algorithm.init(jax.random.key(0))
    state, _ = jax.jit(algorithm.update)(state)
    critic = Critic(env, CriticNetwork(SMALL["critic"]["hidden_sizes"]))
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(5), 20))
    policy = algorithm.policy(state)
    returns = jax.jit(jax.vmap(lambda start: sum(rewards(env, policy, start))))(starts)
    values = jax.vmap(critic.value, (None, None, 0, None))(state.target, state.scale, starts, jnp.asarray(0))
    assert jnp.corrcoef(values, returns)[0, 1] > 0.97
    assert abs(jnp.mean(values) / jnp.mean(returns) - 1) < 0.1


def rewards(env, policy, state):
    for _ in range(env.horizon):
        action = policy(env.observe(state))
        state = env.step(state, action)
        yield env.reward(state, action)


@pytest.mark.slow
def test_an_unhealthy_episode_starts_again_and_leaves_the_policy_finite(small):
    algorithm, update = small
    state = algorithm.init(jax.random.key(0))
    state, metrics = update(state.replace(states=state.states.at[2].set(jnp.nan)))
    assert 0 < metrics["unhealthy_rollouts"] < SMALL["batch_size"]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((state.policy, state.critic, state.states)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 0}, ("window = 0", "at least 1")),
        ({"critic": {"target_share": 1.5}}, ("target_share = 1.5", "at most 1")),
        ({"critic": {"hidden_sizes": (0,)}}, ("critic.hidden_sizes[0] = 0", "at least 1")),
        ({"critic": {"learning_rate": 0.0}}, ("critic.learning_rate = 0.0", "greater than 0")),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError) as refused:
        algorithms.make("shac", make_linear(), **settings)
    assert all(word in str(refused.value) for word in words)
