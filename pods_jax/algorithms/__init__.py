"""The registry of algorithms."""

import dataclasses
from typing import Any

import jax

from pods_jax import checks
from pods_jax.algorithms import bptt, gps, pods, shac
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.model_free import ppo, sac
from pods_jax.envs.environment import Environment

_MODULES = {"pods": pods, "bptt": bptt, "ppo": ppo, "sac": sac, "gps": gps, "shac": shac}


def names() -> tuple[str, ...]:
    """The names that `make` accepts."""
    return tuple(_MODULES)


def settings(name: str) -> dict[str, Any]:
    """The settings of the algorithm `name` with their defaults."""
    return dataclasses.asdict(_MODULES[checks.choice("algorithm.name", name, _MODULES)].Config())


def make(name: str, env: Environment, **overrides: Any) -> Algorithm:
    """The algorithm `name` for an environment, e.g. `make("pods", env, batch_size=500)`.

    Raises InputError for an unknown name or setting (with the closest valid one) or a value that is not allowed.
    """
    module = _MODULES[checks.choice("algorithm.name", name, _MODULES)]
    for field in overrides:
        checks.choice("algorithm setting", field, settings(name))
    algorithm = module.make(env, module.Config(**overrides))
    return dataclasses.replace(algorithm, init=jax.jit(algorithm.init))  # it rolls out, too


__all__ = ["Algorithm", "make", "names", "settings"]
