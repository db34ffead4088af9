"""Small dense algebra, written so that batches of small systems are fast."""

from pods_jax.linalg.dense import inverse, product, rowwise_jacobian, solve
from pods_jax.linalg.finite import is_finite
from pods_jax.linalg.modules import module_of

__all__ = ["inverse", "is_finite", "module_of", "product", "rowwise_jacobian", "solve"]
