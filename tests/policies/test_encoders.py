"""What networks make of pictures and histories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import pods_jax
from pods_jax import algorithms, envs, sensors
from pods_jax.checks import InputError
from pods_jax.policies.encoders import RateEncoder, make_encoder, patches, with_changes


@pytest.fixture
def pictures():
    base = envs.make("pendulum_2d", horizon=6)
    return envs.observed(base, {"image": sensors.camera(size=8), "handle": sensors.handle()}, history=2, delay=1)


def test_patches_are_those_of_a_convolution_whose_stride_is_its_width():
    image = jax.random.normal(jax.random.key(0), (3, 8, 12, 2))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2, 5))
    found = patches(image, 4) @ kernel.reshape(-1, 5)
    expected = jax.lax.conv_general_dilated(
        image, kernel, (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_pictures_whose_side_is_no_multiple_are_filled_up():
    assert patches(jnp.ones((5, 7, 1)), 4).shape == (2, 2, 16)
    np.testing.assert_array_equal(jnp.sum(patches(jnp.ones((5, 7, 1)), 4)), 35)


@pytest.mark.slow
def test_a_history_becomes_the_newest_reading_and_rates(pictures):
    encoder = RateEncoder(pictures.observation_layout, pictures.time_step)
    start = pictures.reset(jax.random.key(0))
    seen = envs.split(pictures, pictures.observe(pictures.step(start, pictures.action_limit)))
    flat = jnp.concatenate([jnp.ravel(part) for part in seen.values()])
    found = envs.split(pictures, encoder(flat))
    np.testing.assert_array_equal(found["handle"][0], seen["handle"][0])
    rate = (seen["handle"][0] - seen["handle"][1]) / pictures.time_step
    np.testing.assert_allclose(found["handle"][1], rate, rtol=1e-5)
    np.testing.assert_array_equal(found["actions"], seen["actions"])
    newest, changes = with_changes(seen["image"].reshape(2, -1))
    np.testing.assert_array_equal(newest[0] - changes[0], seen["image"][1].ravel())


def test_environments_without_history_have_the_network_that_they_had():
    assert make_encoder("mlp", envs.make("pendulum_2d")) is None


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "cnn", "gru"])
def test_actions_are_within_the_limits_and_batches_are_one_by_one(pictures, network):
    algorithm = algorithms.make("pods", pictures, network=network, hidden_sizes=(8,), batch_size=4)
    policy = algorithm.policy(algorithm.init(jax.random.key(0)))
    seen = jax.random.normal(jax.random.key(1), (5, pictures.observation_size))
    batch, single = policy(seen), jax.vmap(policy)(seen)
    assert batch.shape == (5, 1)
    assert jnp.all(jnp.abs(batch) <= pictures.action_limit[None])
    np.testing.assert_allclose(batch, single, atol=1e-6)


@pytest.mark.slow
def test_a_recurrent_network_reads_from_the_oldest_to_the_newest(pictures):
    algorithm = algorithms.make("pods", pictures, network="gru", hidden_sizes=(8,), batch_size=4)
    policy = algorithm.policy(algorithm.init(jax.random.key(0)))
    parts = envs.split(pictures, jax.random.normal(jax.random.key(1), (pictures.observation_size,)))
    turned = parts | {"handle": parts["handle"][::-1], "image": parts["image"][::-1]}
    first, second = (policy(jnp.concatenate([jnp.ravel(p) for p in each.values()])) for each in (parts, turned))
    assert jnp.all(first != second)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "network"), [("pods", "cnn"), ("ppo", "gru")])
def test_networks_train(pictures, network, name):
    if name == "ppo":
        pytest.importorskip("brax", reason="an extra of its own")
    algorithm = algorithms.make(name, pictures, network=network, batch_size=8, hidden_sizes=(8,))
    _, history = pods_jax.train(algorithm, jax.random.key(0), num_epochs=2)
    assert np.isfinite(history[-1]["value"])


class Own(nn.Module):
    @nn.compact
    def __call__(self, observation):
        return jnp.sin(nn.Dense(4)(observation))


@pytest.mark.slow
def test_a_module_of_ones_own_is_an_encoder():
    env = envs.make("pendulum_2d", horizon=6)
    algorithm = algorithms.make("bptt", env, network=Own(), hidden_sizes=(8,), batch_size=80)
    params = algorithm.init(jax.random.key(0)).policy.params
    assert params["params"]["encoder"]["Dense_0"]["kernel"].shape == (5, 4)


@pytest.mark.parametrize(
    ("network", "says"), [("cnn", "needs pictures"), ("gru", "needs a history"), ("cnnn", "network")]
)
def test_a_network_that_does_not_fit_is_refused_with_the_cure(network, says):
    with pytest.raises(InputError, match=says):
        algorithms.make("pods", envs.make("pendulum_2d"), network=network)
