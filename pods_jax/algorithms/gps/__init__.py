"""Guided policy search."""

from pods_jax.algorithms.gps.algorithm import Config, Gps, TrainState, make

__all__ = ["Config", "Gps", "TrainState", "make"]
