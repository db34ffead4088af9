"""A toy in the place of training and evaluation: what is tested with it happens between the epochs."""

import dataclasses

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from pods_jax import algorithms
from pods_jax.algorithms import Algorithm
from pods_jax.runs.evaluator import Evaluator

NUMBERS = {"return_mean": -2.0, "return_std": 0.5, "optimality_gap": 0.25, "optimum_mean": -1.6}

_replaced = set()


def make_toy(env, config):
    """A random walk: its state after an epoch depends on every epoch before."""

    def init(key):
        return {"key": key, "value": jnp.zeros(3)}

    def update(state):
        key, key_noise = jax.random.split(state["key"])
        value = state["value"] + jax.random.uniform(key_noise, (3,))
        return {"key": key, "value": value}, {"value": value[0], "loss": value[0], "steps": value}

    def policy(state):
        return lambda observation: state["value"][:1]

    return Algorithm("toy", env, config, init, update, policy)


def learning_rate(config):
    """Of the settings of an algorithm, wherever among them it stands."""
    flat = flatten_dict(dataclasses.asdict(config))
    return next(value for path, value in flat.items() if path[-1] == "learning_rate")


def install(make=make_toy, names=("pods",), **changed):
    """Puts a toy in the place of algorithms; it has their settings, with some defaults changed."""
    for name in names:
        config = algorithms.config_of(name)
        fields = [(field, object, dataclasses.field(default=value)) for field, value in changed.items()]
        changed_config = (
            dataclasses.make_dataclass("Config", fields, bases=(config,), frozen=True) if fields else config
        )
        algorithms.register(name, changed_config, make, replace=True)
        _replaced.add(name)


def uninstall():
    """Brings back what toys have replaced."""
    while _replaced:
        algorithms.unregister(_replaced.pop())


def evaluator(monitor=lambda env, policy, prepared: dict(NUMBERS), numbers=NUMBERS):
    """What a toy is measured with: nothing is computed. numbers: of the evaluation at the end."""
    return Evaluator(
        prepare=lambda configuration, console: None,
        monitor=monitor,
        evaluate=lambda env, policy, prepared: dict(numbers),
    )


EVALUATOR = evaluator()
