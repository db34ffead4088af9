"""States as vectors of real numbers, and back.

What carries no derivative is carried untouched: a whole number, a flag or a random key becomes its bits, 16 to a
number, which single precision holds exactly. Their derivative is zero.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks

BITS = 16
"""Of a whole number in one real number."""


def is_floating(leaf: Any) -> bool:
    """Whether a leaf of a state holds floating-point numbers, which have derivatives."""
    return bool(jnp.issubdtype(jnp.result_type(leaf), np.floating))


def flatten(state: Any) -> tuple[jax.Array, Callable[[jax.Array], Any]]:
    """(n,) a state, a pytree, as one vector, and what turns such a vector back into a state.

    Leaves in the order of `jax.tree.leaves`; their floating-point numbers are all of one type, that of the vector.
    """
    leaves, structure = jax.tree.flatten(state)
    dtype = jnp.result_type(*(leaf for leaf in leaves if is_floating(leaf)))
    parts = [_numbers(leaf, dtype) for leaf in leaves]
    restores = [_restorer(leaf) for leaf in leaves]
    ends = np.cumsum([part.size for part in parts]).tolist()

    def unflatten(vector: jax.Array) -> Any:
        pieces = [vector[end - part.size : end] for part, end in zip(parts, ends, strict=True)]
        return jax.tree.unflatten(
            structure, [restore(piece) for restore, piece in zip(restores, pieces, strict=True)]
        )

    return jnp.concatenate(parts), unflatten


def _numbers(leaf: Any, dtype: jnp.dtype) -> jax.Array:
    if is_floating(leaf):
        return jnp.ravel(leaf).astype(dtype)
    words = _words(leaf)
    return ((words.reshape(-1, 1) >> _shifts(words.dtype)[None]) & (2**BITS - 1)).reshape(-1).astype(dtype)


def _words(leaf: Any) -> jax.Array:
    """A leaf without derivative as unsigned whole numbers of 32 bits, or of 64."""
    if checks.is_key(leaf):
        return jax.random.key_data(leaf)
    wide = jnp.result_type(leaf).itemsize == 8
    if jnp.issubdtype(leaf.dtype, jnp.unsignedinteger):
        return leaf.astype(jnp.uint64 if wide else jnp.uint32)
    return jax.lax.bitcast_convert_type(
        leaf.astype(jnp.int64 if wide else jnp.int32), jnp.uint64 if wide else jnp.uint32
    )


def _restorer(leaf: Any) -> Callable[[jax.Array], jax.Array]:
    """From the numbers of a leaf back to it; keeps its shape and type only."""
    shape, dtype = jnp.shape(leaf), jnp.result_type(leaf)
    if is_floating(leaf):
        return lambda piece: piece.reshape(shape).astype(dtype)
    words = jax.eval_shape(_words, leaf)
    impl = jax.random.key_impl(leaf) if checks.is_key(leaf) else None

    def restore(piece: jax.Array) -> jax.Array:
        shifts = _shifts(words.dtype)
        bits = jnp.clip(jnp.round(piece), 0, 2**BITS - 1).astype(words.dtype).reshape(-1, shifts.size)
        whole = jnp.sum(bits << shifts[None], axis=1, dtype=words.dtype).reshape(words.shape)
        return whole.astype(dtype) if impl is None else jax.random.wrap_key_data(whole, impl=impl)

    return restore


def _shifts(dtype: Any) -> jax.Array:
    return jnp.asarray(np.arange(0, dtype.itemsize * 8, BITS), dtype)
