"""PODS, Algorithm 1 of the paper."""

from pods_jax.algorithms.pods.algorithm import Pods, TrainState, make
from pods_jax.algorithms.pods.config import Config

__all__ = ["Config", "Pods", "TrainState", "make"]
