"""Trees of arrays as plain NumPy arrays, which belong to no device and no process; random keys by their data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def to_host(tree: Any) -> Any:
    """The same tree with NumPy arrays for leaves."""
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def restore_like(like: Any, arrays: Any, sharding: jax.sharding.Sharding | None = None) -> Any:
    """The tree that `plain` made `arrays` of, with keys where `like` has keys; sharding: not that of `like` but this.

    A sharding may reach beyond this process, if all others do the same.
    """

    def put(leaf, array):
        place = sharding or getattr(leaf, "sharding", None)
        if is_key(leaf):
            return jax.random.wrap_key_data(put(array, array), impl=jax.random.key_impl(leaf))
        if place is None or place.is_fully_addressable:
            return jax.device_put(array, place)
        return jax.make_array_from_callback(array.shape, place, lambda index: array[index])

    return jax.tree.map(put, like, arrays)


def is_key(leaf: Any) -> bool:
    """Whether it is an array of random keys."""
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(float)), jax.dtypes.prng_key)
