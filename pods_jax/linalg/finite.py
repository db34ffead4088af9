"""Whether numbers can be used."""

from typing import Any

import jax
import jax.numpy as jnp


def is_finite(tree: Any) -> jax.Array:
    """() bool whether every number of every leaf is finite; whole numbers and random keys are."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
