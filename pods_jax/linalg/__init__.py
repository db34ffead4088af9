"""Small dense algebra, written so that batches of small systems are fast."""

from pods_jax.linalg.dense import inverse, product, rowwise_jacobian, solve

__all__ = ["inverse", "product", "rowwise_jacobian", "solve"]
