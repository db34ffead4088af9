import jax
import jax.numpy as jnp
import numpy as np
import optax

from pods_jax.policies.descent import clipped_adam, decayed_rate, descend, if_finite, init_descent


def test_descent_follows_the_clipped_gradient_and_ignores_one_that_is_not_finite():
    optimizer = optax.clip_by_global_norm(1.0)
    descent = init_descent(optimizer, jnp.array([1.0, 2.0]))
    descent = descend(optimizer, descent, jnp.array([30.0, 40.0]), jnp.asarray(0.5))
    np.testing.assert_allclose(descent.params, [0.7, 1.6])
    infinite = jnp.array([jnp.inf, 1.0])
    same = if_finite(infinite, descend(optimizer, descent, infinite, jnp.asarray(0.5)), descent)
    np.testing.assert_array_equal(same.params, descent.params)
    assert same.num_steps == 2


def test_the_moments_of_adam_survive_a_gradient_that_is_not_finite():
    optimizer = clipped_adam(1.0)
    descent = init_descent(optimizer, jnp.zeros(2))
    for gradient in ([1.0, 1.0], [jnp.nan, 1.0], [1.0, 1.0]):
        moved = descend(optimizer, descent, jnp.array(gradient), jnp.asarray(0.1))
        descent = if_finite(jnp.array(gradient), moved, descent)
    assert jax.tree.all(jax.tree.map(lambda leaf: jnp.all(jnp.isfinite(leaf)), descent.optimizer_state))
    np.testing.assert_allclose(descent.params, [-0.2, -0.2], rtol=1e-6)


def test_learning_rates_fall_or_stay():
    epochs = jnp.array([0.0, 10.0, 30.0])
    np.testing.assert_allclose(decayed_rate(0.4, epochs, 10.0), [0.4, 0.2, 0.1])
    np.testing.assert_allclose(decayed_rate(0.4, epochs, 0.0), [0.4, 0.4, 0.4])
