"""Newton's method over a thousand random rollouts of each environment, in the precision that users have."""

import jax
import jax.numpy as jnp
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.rollouts import step_starts

NUM_ROLLOUTS, AT_ONCE = 1000, 125


def single_precision(tree):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)


@jax.jit
def count_unsolved(env, keys):
    """() steps that are not solved, over rollouts with random actions of the full range."""

    def unsolved(key):
        key_start, key_actions = jax.random.split(key)
        start = single_precision(env.reset(key_start))
        shape = (env.horizon, env.action_size)
        unit = jax.random.uniform(key_actions, shape, jnp.float32, -1.0, 1.0)
        played = pods_jax.replay(env, start, env.action_limit[None] * unit)
        errors = jax.vmap(env.step_error)(step_starts(start, played.state), played.action, played.state)
        return jnp.sum(~(errors <= 1))  # counts NaN

    return jnp.sum(jax.lax.map(unsolved, keys, batch_size=AT_ONCE))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", envs.names())
def test_at_most_one_step_in_a_hundred_thousand_stays_unsolved(name):
    env = single_precision(envs.make(name))
    unsolved = int(count_unsolved(env, jax.random.split(jax.random.key(0), NUM_ROLLOUTS)))
    assert unsolved <= NUM_ROLLOUTS * env.horizon / 100_000
