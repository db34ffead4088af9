"""Whether numbers can be used."""

from typing import Any

import jax
import jax.numpy as jnp


def is_finite(tree: Any) -> jax.Array:
    """() bool whether every number of every leaf is finite."""
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
