import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pods_jax import InputError
from pods_jax.algorithms.bptt import Config
from pods_jax.policies import policy_model


def test_descent_follows_the_clipped_gradient_and_ignores_one_that_is_not_finite():
    optimizer = optax.clip_by_global_norm(1.0)
    descent = policy_model.init_descent(optimizer, jnp.array([1.0, 2.0]))
    descent = policy_model.descend(optimizer, descent, jnp.array([30.0, 40.0]), jnp.asarray(0.5))
    np.testing.assert_allclose(descent.params, [0.7, 1.6])
    same = policy_model.descend(optimizer, descent, jnp.array([jnp.inf, 1.0]), jnp.asarray(0.5))
    np.testing.assert_array_equal(same.params, descent.params)
    assert same.num_steps == 2


def test_the_moments_of_adam_survive_a_gradient_that_is_not_finite():
    optimizer = policy_model.clipped_adam(1.0)
    descent = policy_model.init_descent(optimizer, jnp.zeros(2))
    for gradient in ([1.0, 1.0], [jnp.nan, 1.0], [1.0, 1.0]):
        descent = policy_model.descend(optimizer, descent, jnp.array(gradient), jnp.asarray(0.1))
    assert jax.tree.all(jax.tree.map(lambda leaf: jnp.all(jnp.isfinite(leaf)), descent.optimizer_state))
    np.testing.assert_allclose(descent.params, [-0.2, -0.2], rtol=1e-6)


def test_learning_rates_fall_or_stay():
    epochs = jnp.array([0.0, 10.0, 30.0])
    np.testing.assert_allclose(policy_model.decayed_rate(0.4, epochs, 10.0), [0.4, 0.2, 0.1])
    np.testing.assert_allclose(policy_model.decayed_rate(0.4, epochs, 0.0), [0.4, 0.4, 0.4])


@pytest.mark.parametrize(("batch", "minibatch", "expected"), [(100, 30, (90, 30)), (8, 80, (8, 8)), (9, 3, (9, 3))])
def test_batches_are_whole_minibatches(batch, minibatch, expected):
    sizes = policy_model.whole_minibatches(Config(batch_size=batch, minibatch_size=minibatch))
    assert (sizes["batch_size"], sizes["minibatch_size"]) == expected


def test_a_share_is_at_most_one():
    with pytest.raises(InputError, match=r"algorithm.target_share = 1.5: must be at most 1"):
        policy_model.check_share("target_share", 1.5)
