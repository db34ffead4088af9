import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.policies.network import PolicyNetwork, standardize

LIMIT = np.array([0.5, 3.0])
network = PolicyNetwork(hidden_sizes=(32, 32), action_size=2)


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0), jnp.zeros(5), LIMIT)


@pytest.mark.slow
def test_actions_stay_within_the_limits_however_large_the_parameters(params):
    huge = jax.tree.map(lambda leaf: 1e4 * leaf, params)
    observation = 100 * jax.random.normal(jax.random.key(1), (50, 5))
    action = np.asarray(network.apply(huge, observation, LIMIT))
    assert np.all(np.abs(action) <= LIMIT[None])
    assert np.all(np.max(np.abs(action), axis=0) == LIMIT)


@pytest.mark.slow
def test_an_untrained_policy_hardly_moves(params):
    observation = jax.random.normal(jax.random.key(1), (200, 5))
    action = np.asarray(network.apply(params, observation, LIMIT))
    assert 0 < np.max(np.abs(action) / LIMIT[None]) < 0.1


def test_it_is_the_function_that_its_parameters_say(params):
    layers = [params["params"][f"Dense_{index}"] for index in range(3)]
    scaled = [jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1, layer) for layer in layers]
    observation = np.linspace(-1.0, 1.0, 5)
    hidden = observation
    for layer in scaled[:2]:
        hidden = np.maximum(hidden @ layer["kernel"] + layer["bias"], 0)
    expected = LIMIT * np.tanh(hidden @ scaled[2]["kernel"] + scaled[2]["bias"])
    shifted = {**params, "params": jax.tree.map(lambda leaf: leaf + 0.1, params["params"])}
    np.testing.assert_allclose(network.apply(shifted, observation, LIMIT), expected, rtol=1e-12)


def test_standardized_observations_are_shifted_and_scaled_first_and_nothing_learns_that(params):
    sample = np.random.default_rng(0).normal([1.0, -2.0, 0.0, 3.0, 5.0], [0.1, 2.0, 1.0, 0.5, 1e-9], (1000, 5))
    scaled = standardize(params, jnp.asarray(sample))
    deviation = np.std(sample, axis=0)
    deviation[4] = 0.01 * deviation[1]  # what hardly changes is not blown up
    observation = sample[3] + 0.1
    standard = (observation - sample.mean(axis=0)) / deviation
    found, expected = network.apply(scaled, observation, LIMIT), network.apply(params, standard, LIMIT)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    gradient = jax.grad(lambda variables: jnp.sum(network.apply(variables, observation, LIMIT)))(scaled)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["scaling"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient["params"]))


def test_a_batch_is_its_rows(params):
    observation = jax.random.normal(jax.random.key(2), (4, 3, 5))
    together = network.apply(params, observation, LIMIT)
    assert together.shape == (4, 3, 2)
    np.testing.assert_allclose(together[1, 2], network.apply(params, observation[1, 2], LIMIT), rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision_follows_the_observation(dtype):
    limit = jnp.asarray(LIMIT, dtype)
    params = network.init(jax.random.key(0), jnp.zeros(5, dtype), limit)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(params))
    assert network.apply(params, jnp.ones(5, dtype), limit).dtype == dtype
