"""Algorithms of one's own: known like those of the library, and refused with the same care."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from pods_jax import InputError, algorithms, envs, train
from pods_jax.algorithms import Algorithm
from pods_jax.runs.configuration import check, default_config


@dataclasses.dataclass(frozen=True)
class Config:
    learning_rate: float = 0.5
    batch_size: int = 3


def make(env, config):
    if config.batch_size < 1:
        raise InputError("algorithm.batch_size", config.batch_size, "must be at least 1")

    def update(state):
        return state + config.learning_rate, {"value": state}

    return Algorithm("mine", env, config, lambda key: jnp.zeros(()), update, lambda state: lambda observation: state)


@pytest.fixture
def mine():
    algorithms.register("mine", Config, make)
    yield
    algorithms.unregister("mine")


@pytest.mark.usefixtures("mine")
class TestOwn:
    def test_it_is_made_and_trained_like_ours(self):
        assert "mine" in algorithms.names()
        assert algorithms.settings("mine") == {"learning_rate": 0.5, "batch_size": 3}
        algorithm = algorithms.make("mine", envs.make("pendulum_2d", horizon=2), learning_rate=2.0)
        assert float(train(algorithm, jax.random.key(0), 3)[0]) == 6.0

    def test_configurations_know_it(self):
        config = default_config("mine")
        checked = check(config)
        assert checked.algorithm.name == "mine"
        assert checked.slower(0.5).config == Config(learning_rate=0.25)
        with pytest.raises(InputError) as caught:
            check(config | {"algorithm": {"name": "mine", "batch_size": 0, "lerning_rate": 1.0}})
        assert str(caught.value).splitlines()[1:] == [
            "  config.algorithm.batch_size = 0: must be at least 1",
            "  config.algorithm.lerning_rate = 1.0: did you mean 'learning_rate'? "
            "the settings are learning_rate, batch_size",
        ]

    def test_its_name_is_taken(self):
        for name in ("mine", "pods"):
            with pytest.raises(InputError, match=f"name = '{name}': there is such an algorithm"):
                algorithms.register(name, Config, make)


def test_one_of_ours_can_be_replaced_and_comes_back():
    ours = algorithms.settings("pods")
    algorithms.register("pods", Config, make, replace=True)
    assert algorithms.settings("pods") == dataclasses.asdict(Config())
    algorithms.unregister("pods")
    assert algorithms.settings("pods") == ours
    with pytest.raises(InputError, match="name = 'pods'"):
        algorithms.unregister("pods")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", Config, make), "name = '': must be a text"),
        ((3, Config, make), "name = 3: must be a text"),
        (("mine", Config(), make), "Config = .*: must be a frozen dataclass with a default for each field"),
        (("mine", dict, make), "must be a frozen dataclass"),
        (("mine", dataclasses.make_dataclass("Config", ["size"], frozen=True), make), "a default for each field"),
        (("mine", dataclasses.make_dataclass("Config", []), make), "must be a frozen dataclass"),
        (("mine", Config, None), "make = None: must be a function"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments, message):
    before = algorithms.names()
    with pytest.raises(InputError, match=message):
        algorithms.register(*arguments)
    assert algorithms.names() == before


def test_what_it_makes_must_be_an_algorithm():
    algorithms.register("mine", Config, lambda env, config: None)
    try:
        with pytest.raises(InputError, match="algorithm 'mine' = None: its make function must return an Algorithm"):
            algorithms.make("mine", envs.make("pendulum_2d", horizon=2))
    finally:
        algorithms.unregister("mine")
