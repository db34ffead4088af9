"""Guided policy search."""

from pods_jax.algorithms.gps.algorithm import Gps, TrainState, make
from pods_jax.algorithms.gps.config import Config

__all__ = ["Config", "Gps", "TrainState", "make"]
