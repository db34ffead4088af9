"""PODS, Algorithm 1 of the paper."""

from pods_jax.algorithms.pods.algorithm import Config, Pods, TrainState, make

__all__ = ["Config", "Pods", "TrainState", "make"]
