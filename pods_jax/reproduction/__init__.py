"""The tables, figures and claims of the paper, repeated: trainings at a scale, records of them, what they say."""

from pods_jax.reproduction.targets import TARGETS, reproduce

__all__ = ["TARGETS", "reproduce"]
