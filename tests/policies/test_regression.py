import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pods_jax.policies.regression import AVERAGING, GradientSteps, Samples, fit, init_learner, regression_loss

HORIZON, NUM_SAMPLES = 4, 24


def linear(params, observation):
    return observation @ params


@pytest.fixture
def samples():
    keys = jax.random.split(jax.random.key(0), 3)
    root = jax.random.normal(keys[2], (NUM_SAMPLES, 2, 2))
    return Samples(
        observation=jax.random.normal(keys[0], (NUM_SAMPLES, 3)),
        target=jax.random.normal(keys[1], (NUM_SAMPLES, 2)),
        weight=root @ jnp.swapaxes(root, 1, 2),
    )


def fit_linear(samples, params, num_steps=1, minibatch_size=0, rate=0.01, optimizer=None):
    optimizer = optimizer or optax.identity()
    steps = GradientSteps(
        optimizer, optax.constant_schedule(jnp.asarray(rate)), num_steps, minibatch_size, horizon=HORIZON
    )
    return fit(linear, init_learner(optimizer, params), samples, steps, jax.random.key(1))


def test_the_loss_sums_over_time_and_averages_over_rollouts(samples):
    params = jnp.ones((3, 2))
    error = np.asarray(samples.observation @ params - samples.target)
    by_hand = sum(e @ np.asarray(w) @ e / 2 for e, w in zip(error, samples.weight, strict=True))
    num_rollouts = NUM_SAMPLES / HORIZON
    np.testing.assert_allclose(regression_loss(linear, params, samples, HORIZON), by_hand / num_rollouts, rtol=1e-12)


def test_a_full_batch_step_is_gradient_descent(samples):
    params = jnp.zeros((3, 2))
    gradient = jax.grad(regression_loss, argnums=1)(linear, params, samples, HORIZON)
    learner, losses = fit_linear(samples, params)
    np.testing.assert_allclose(learner.params, -0.01 * gradient, rtol=1e-12)
    np.testing.assert_allclose(losses, [regression_loss(linear, params, samples, HORIZON)], rtol=1e-12)


def test_many_steps_reach_the_weighted_least_squares_solution(samples):
    learner, _ = fit_linear(samples, jnp.zeros((3, 2)), num_steps=4000, rate=0.02)
    x, w = np.asarray(samples.observation), np.asarray(samples.weight)
    normal = np.einsum("ni,nj,nab->iajb", x, x, w).reshape(6, 6)
    right = np.einsum("ni,nab,nb->ia", x, w, np.asarray(samples.target)).reshape(6)
    np.testing.assert_allclose(learner.params.reshape(6), np.linalg.solve(normal, right), rtol=1e-6)


def test_samples_of_weight_zero_do_not_count(samples):
    half = NUM_SAMPLES // 2
    kept = jax.tree.map(lambda leaf: leaf[:half], samples)
    masked = samples.replace(weight=samples.weight.at[half:].set(0.0))
    one, _ = fit_linear(kept, jnp.zeros((3, 2)), rate=0.01)
    other, _ = fit_linear(masked, jnp.zeros((3, 2)), rate=0.02)
    np.testing.assert_allclose(one.params, other.params, rtol=1e-12)


def test_minibatches_use_every_sample_once_before_any_twice():
    observation = jnp.eye(6)
    samples = Samples(observation, jnp.ones((6, 1)), jnp.ones((6, 1, 1)))

    def visits(params, observation):
        return observation @ params

    steps = GradientSteps(optax.identity(), optax.constant_schedule(jnp.asarray(1e-3)), 3, 2, horizon=1)
    learner, _ = fit(visits, init_learner(optax.identity(), jnp.zeros((6, 1))), samples, steps, jax.random.key(3))
    np.testing.assert_allclose(learner.params, np.full((6, 1), 1e-3 / 2), rtol=1e-9)


def test_the_average_follows_polynomial_decay(samples):
    iterates, learner = [], init_learner(optax.identity(), jnp.ones((3, 2)))
    average = np.ones((3, 2))
    steps = GradientSteps(optax.identity(), optax.constant_schedule(jnp.asarray(0.01)), 1, 0, horizon=HORIZON)
    for count in range(1, 6):
        learner, _ = fit(linear, learner, samples, steps, jax.random.key(count))
        iterates.append(learner.params)
        average += (AVERAGING + 1) / (AVERAGING + count) * (np.asarray(learner.params) - average)
    np.testing.assert_allclose(learner.average, average, rtol=1e-12)
    assert int(learner.num_steps) == 5
