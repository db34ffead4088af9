"""The short-horizon actor-critic."""

from pods_jax.algorithms.shac.algorithm import Config, Shac, TrainState, make

__all__ = ["Config", "Shac", "TrainState", "make"]
