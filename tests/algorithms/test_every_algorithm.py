"""What holds for every algorithm of the registry."""

import dataclasses
import functools
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, train
from pods_jax.algorithms import Algorithm
from pods_jax.runs.configuration import check
from tests import tiny
from tests.algorithms.linear import make_linear
from tests.tiers import slow_but

NAMES = algorithms.names()
ENV = make_linear()

# Small enough for a test, and enough to learn the linear environment. Others learn it with their defaults.
SMALL = {
    "pods": ({"batch_size": 16, "guard": {"size": 8}, "regression": {"gradient_steps": 30, "minibatch_size": 0}}, 5),
    "bptt": ({"batch_size": 160, "minibatch_size": 16}, 5),
    "gps": ({"batch_size": 16, "regression": {"gradient_steps": 30, "minibatch_size": 0}}, 5),
    "ppo": ({"batch_size": 128, "optimizer": {"learning_rate": 5e-3}, "loss": {"reward_scale": 1.0}}, 20),
    "sac": ({"batch_size": 16, "optimizer": {"gradient_steps": 150, "minibatch_size": 64, "buffer_size": 10000}}, 6),
    "shac": ({"batch_size": 160, "minibatch_size": 16, "window": 3, "critic": {"hidden_sizes": (16,)}}, 5),
}


@functools.cache
def small(name):
    """Made once, since its `init` is compiled once, too."""
    return algorithms.make(name, ENV, **tiny.hidden(name, 32) | SMALL.get(name, ({}, 0))[0])


@pytest.mark.parametrize("name", slow_but(NAMES, "pods"))
def test_every_algorithm_lowers_the_cost_by_half_on_a_linear_environment(name):
    algorithm, epochs = small(name), SMALL.get(name, ({}, 5))[1]
    starts = jax.vmap(ENV.reset)(jax.random.split(jax.random.key(100), 64))
    state, history = train(algorithm, jax.random.key(0), epochs, epochs_per_chunk=epochs)
    untrained, trained = (
        -mean_return(algorithm, each, starts) for each in (algorithm.init(jax.random.key(0)), state)
    )
    assert 0 < trained < untrained / 2
    for row in history:
        assert row["environment_steps"] > 0
        assert row["environment_steps"] % ENV.horizon == 0
        assert row["unhealthy_rollouts"] == 0
        assert any("loss" in field for field in row)


def mean_return(algorithm, state, starts):
    policy = jax.tree_util.Partial(algorithm.policy(state))

    def advance(state, _):
        action = policy(algorithm.env.observe(state))
        after = algorithm.env.step(state, action)
        return after, algorithm.env.reward(after, action)

    rewards = jax.vmap(lambda start: jax.lax.scan(advance, start, length=algorithm.env.horizon)[1])(starts)
    return float(jnp.mean(jnp.sum(rewards, axis=1)))


@pytest.mark.slow
def test_all_start_from_the_same_policy():
    observations = jax.random.normal(jax.random.key(1), (5, ENV.observation_size))
    actions = {}
    for name in NAMES:
        algorithm = small(name)
        actions[name] = jax.vmap(algorithm.policy(algorithm.init(jax.random.key(3))))(observations)
    for name in NAMES:
        np.testing.assert_allclose(actions[name], actions["pods"], rtol=1e-12)
    assert np.all(actions["pods"] != 0)


def groups(kind):
    """The dataclass of some settings, and those of the groups in it."""
    inner = [field.metadata["group"] for field in dataclasses.fields(kind) if "group" in field.metadata]
    return [kind, *(group for each in inner for group in groups(each))]


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_few_and_unknown_ones_are_refused(name):
    config = algorithms.config_of(name)
    assert all(len(dataclasses.fields(kind)) <= 9 for kind in groups(config))
    with pytest.raises(InputError, match="batch_sze"):
        algorithms.make(name, ENV, batch_sze=3)


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_file_repeats_no_defaults(name):
    assert pathlib.Path(__file__).parents[2].joinpath("configs", f"{name}.py").exists()
    config = importlib.import_module(f"configs.{name}").get_config().to_dict()
    assert config["algorithm"] == {"name": name, **algorithms.settings(name)}
    assert isinstance(check(config).algorithm, Algorithm)
