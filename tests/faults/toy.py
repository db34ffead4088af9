"""A toy in the place of training and evaluation: what is tested with it happens between the epochs."""

import jax
import jax.numpy as jnp

from pods_jax import algorithms
from pods_jax.algorithms import Algorithm
from pods_jax.runs import experiment

NUMBERS = {"return_mean": -2.0, "return_std": 0.5, "optimality_gap": 0.25, "optimum_mean": -1.6}


def make_toy(name, env, **settings):
    """A random walk: its state after an epoch depends on every epoch before."""

    def init(key):
        return {"key": key, "value": jnp.zeros(3)}

    def update(state):
        key, key_noise = jax.random.split(state["key"])
        value = state["value"] + jax.random.uniform(key_noise, (3,))
        return {"key": key, "value": value}, {"loss": value[0], "steps": value}

    def policy(state):
        return lambda observation: state["value"][:1]

    return Algorithm(name, env, settings, init, update, policy)


def install(patch, make=make_toy, monitor=lambda env, policy, test_bed: dict(NUMBERS), draw=False):
    """Puts the toy in its place; patch: as `monkeypatch.setattr`. draw: whether a run ends with a figure."""
    patch(algorithms, "make", make)
    patch(experiment, "_search", lambda configuration, console: None)
    patch(experiment, "monitor", monitor)
    patch(experiment, "evaluate_policy", lambda env, policy, heldout: dict(NUMBERS))
    if not draw:
        patch(experiment, "_draw", lambda configuration, folder: None)
