"""Environments as values, and the registry of those that have a name."""

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions
from pods_jax.envs.from_step import from_step
from pods_jax.envs.payload import Payload, Weights, make_payload, make_weights
from pods_jax.envs.registry import load, make, names, register, settings, settings_of, tasks, unregister

__all__ = [
    "Block",
    "Drawing",
    "Energy",
    "Environment",
    "Functions",
    "Payload",
    "Weights",
    "from_step",
    "load",
    "make",
    "make_drawing",
    "make_payload",
    "make_weights",
    "names",
    "register",
    "settings",
    "settings_of",
    "tasks",
    "unregister",
]
