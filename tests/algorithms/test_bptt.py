import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs
from pods_jax.algorithms import bptt
from pods_jax.policies.descent import clipped_adam
from pods_jax.policies.policy_model import make_policy_model
from pods_jax.rollouts import rollout, sample_states
from tests.algorithms.linear import make_linear

SMALL = {"batch_size": 12, "minibatch_size": 6, "hidden_sizes": (8,)}


def core(env):
    config = bptt.Config(**SMALL)
    return bptt.Bptt(env, config, make_policy_model(env, config.hidden_sizes), clipped_adam(1.0))


@pytest.mark.slow
@pytest.mark.parametrize("terminal_only", [False, True])
def test_the_loss_is_minus_the_return_and_its_gradient_that_of_finite_differences(terminal_only):
    env = envs.make("pendulum_2d", "stop", horizon=5, terminal_only=terminal_only)
    own = core(env)
    params = jax.tree.map(lambda leaf: leaf + 0.05, jax.jit(own.init)(jax.random.key(0)).policy.params)
    starts = sample_states(env, jax.random.key(1), 3)
    loss = jax.jit(lambda params: own.model.loss(params, starts)[0])
    returns = [
        rollout(env, own.model.policy(params), env.reset(key)) for key in jax.random.split(jax.random.key(1), 3)
    ]
    np.testing.assert_allclose(loss(params), -np.mean([jnp.sum(each.reward) for each in returns]), rtol=1e-10)
    gradient, unravel = jax.flatten_util.ravel_pytree(jax.grad(loss)(params))
    flat = jax.flatten_util.ravel_pytree(params)[0]
    along = jax.random.normal(jax.random.key(2), flat.shape) * (gradient != 0)
    ahead, behind = (float(loss(unravel(flat + size * along))) for size in (1e-6, -1e-6))
    np.testing.assert_allclose(gradient @ along, (ahead - behind) / 2e-6, rtol=1e-4)


@pytest.mark.slow
def test_unhealthy_rollouts_are_counted_and_leave_the_policy_as_it_is():
    def rarely(state, action):
        return jnp.where(state[0] > 0.5, jnp.nan, -jnp.sum(state**2))

    algorithm = algorithms.make("bptt", make_linear().with_reward(rarely), **SMALL)
    first = algorithm.init(jax.random.key(0))
    state, metrics = jax.jit(algorithm.update)(first)
    assert 0 < metrics["unhealthy_rollouts"] < SMALL["batch_size"]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.policy))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"minibatch_size": 0}, ("minibatch_size = 0", "at least 1")),
        ({"optimizer": {"max_gradient_norm": 0.0}}, ("max_gradient_norm = 0.0", "greater than 0")),
        ({"optimizer": {"halved_after": -1.0}}, ("halved_after = -1.0", "at least 0")),
        ({"hidden_sizes": (0,)}, ("hidden_sizes[0] = 0", "at least 1")),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError) as refused:
        algorithms.make("bptt", make_linear(), **settings)
    assert all(word in str(refused.value) for word in words)
