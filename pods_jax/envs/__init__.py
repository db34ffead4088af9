"""Environments as values, and the registry of those that have a name."""

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions
from pods_jax.envs.from_step import from_step
from pods_jax.envs.observation.by_name import make
from pods_jax.envs.observation.noise import Noise
from pods_jax.envs.observation.observed import observed, split
from pods_jax.envs.observation.randomized import randomized
from pods_jax.envs.parameters import replaced, values
from pods_jax.envs.payload import Payload, Weights, make_payload, make_weights
from pods_jax.envs.registry import load, names, register, settings, settings_of, tasks, unregister

__all__ = [
    "Block",
    "Drawing",
    "Energy",
    "Environment",
    "Functions",
    "Noise",
    "Payload",
    "Weights",
    "from_step",
    "load",
    "make",
    "make_drawing",
    "make_payload",
    "make_weights",
    "names",
    "observed",
    "randomized",
    "register",
    "replaced",
    "settings",
    "settings_of",
    "split",
    "tasks",
    "unregister",
    "values",
]
