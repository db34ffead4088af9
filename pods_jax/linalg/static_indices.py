"""Indices that are known while tracing: those that follow each other are slices, which cost nothing under `vmap`."""

import jax
import numpy as np


def is_range(index: tuple[int, ...]) -> bool:
    """Whether the indices follow each other."""
    return index == tuple(range(index[0], index[0] + len(index)))


def take(values: jax.Array, index: tuple[int, ...]) -> jax.Array:
    """values[index] along the first axis; a slice, which costs nothing, where the indices follow each other."""
    return values[index[0] : index[0] + len(index)] if is_range(index) else values[np.array(index)]
