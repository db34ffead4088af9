"""Checks of arrays, random keys and pytrees of arrays, also while a program is traced.

Each returns what is to be used in place of what was given: an array of the wanted type for a list.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.checks.errors import InputError
from pods_jax.checks.values import number, range_text


def array(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    *,
    above: float | None = None,
    at_least: float | None = None,
) -> np.ndarray:
    """Returns `value` as a finite float array of exactly `shape`, or raises InputError."""
    allowed = f"must be finite numbers of shape {shape}{range_text(above, at_least)}"
    result = _as_numbers(name, value, allowed).astype(float)
    if result.shape != shape:
        raise InputError(name, value, f"must have shape {shape}", found=f"has shape {result.shape}")
    if not np.all(np.isfinite(result)):
        raise InputError(name, value, allowed)
    if (above is not None and np.any(result <= above)) or (at_least is not None and np.any(result < at_least)):
        raise InputError(name, value, allowed)
    return result


def key(name: str, value: Any) -> jax.Array:
    """Returns one random key of the typed kind, of any implementation, or raises InputError saying how to make one.

    A key of the old kind, such as `jax.random.PRNGKey(0)`, becomes the typed one that draws the same numbers.
    """
    cure = "must be one random key, for example jax.random.key(0)"
    several = f"{cure} (use jax.vmap for several)"
    if isinstance(value, jax.Array) and is_key(value):
        if value.shape != ():
            raise InputError(name, value, several, found=f"has shape {value.shape}")
        return value
    if not isinstance(value, jax.Array | np.ndarray) or value.dtype != np.uint32:
        raise InputError(name, value, cure)
    expected = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))).shape
    if value.shape != expected:
        raise InputError(name, value, several, found=f"is of the old kind and has shape {value.shape}")
    return jax.random.wrap_key_data(jnp.asarray(value))


def is_key(value: Any) -> bool:
    """Whether an array consists of random keys of the typed kind."""
    return bool(jnp.issubdtype(value.dtype, jax.dtypes.prng_key))


def is_real(dtype: Any) -> bool:
    """Whether arrays of a type hold real numbers: of any precision, whole ones too, but neither bool nor complex."""
    return bool(jnp.issubdtype(dtype, np.floating) or jnp.issubdtype(dtype, np.integer))


def leaves(name: str, value: Any) -> Any:
    """Returns a pytree that a compiled program takes, or raises InputError naming a leaf that is no array of numbers.

    Shapes and types are left to `reals` and `like`, which know them while the program is traced.
    """
    try:
        with_path = jax.tree_util.tree_leaves_with_path(value)
    except (TypeError, ValueError) as error:  # keys that cannot be sorted
        raise InputError(name, value, "must be arrays of numbers, in a structure that JAX knows") from error
    for path, leaf in with_path:
        where = name + jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | complex):
            raise InputError(where, leaf, "must be an array of numbers")
        if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind in "OSUMmV" and not is_real(leaf.dtype):
            raise InputError(where, leaf, "must be an array of numbers", found=f"is an array of {leaf.dtype}")
        if isinstance(leaf, int) and not -(2**31) <= leaf < 2**31:
            raise InputError(where, leaf, "must be a number that an array can hold; write it as a float")
    return value


def reals(name: str, value: Any, shape: tuple[int | str, ...] | None, dtype: Any) -> jax.Array:
    """Returns real numbers, possibly traced, as an array of exactly `shape` and of the type `dtype`.

    What is a list or of another precision is converted; True, complex numbers and strings are no real numbers. A
    name in the shape, such as "T", stands for any size but 0; None for a shape that the caller checks. Raises
    InputError.
    """
    leaves(name, value)
    allowed = "must be real numbers" if shape is None else f"must be real numbers of shape {_written(shape)}"
    try:
        result = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(name, value, allowed) from error
    if not is_real(result.dtype):
        raise InputError(name, value, allowed, found=f"is of type {result.dtype}")
    if shape is not None:
        _check_sizes(name, result, shape, {})
    return result.astype(dtype)


def is_traced(*values: Any) -> bool:
    """Whether one of the values, or of the leaves of pytrees, is not known yet, within `jit`, `vmap` or `grad`."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def scalar(
    name: str,
    value: Any,
    dtype: Any = float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Returns one number in its range as a float, or in the type `dtype` where it is traced, whatever its value."""
    if is_traced(value):
        return reals(name, value, (), jnp.result_type(dtype))  # float is that of this precision
    is_array = isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and is_real(value.dtype)
    return number(name, value.item() if is_array else value, above=above, at_least=at_least, at_most=at_most)


def scalars(
    name: str, value: Any, shape: tuple[int, ...], *, above: float | None = None, at_least: float | None = None
) -> Any:
    """Returns finite numbers as `array` does, or of this shape as JAX has them where one of them is traced."""
    if is_traced(value):
        return reals(name, value, shape, jnp.result_type(float))
    return array(name, value, shape, above=above, at_least=at_least)


def shape(name: str, value: Any, expected: tuple[int, ...]) -> Any:
    """Returns the (possibly traced) array if it has the expected shape, or raises InputError."""
    _check_sizes(name, value, expected, {})
    return value


def like(name: str, value: Any, expected: Any, leading: tuple[str, ...] = (), *, made_by: str = "env.reset") -> Any:
    """Returns the pytree, possibly traced, with the structure, the shapes and the types of `expected`.

    Real numbers are converted where real numbers are expected, whole numbers where whole ones are; keys and flags
    have to be what they are. leading: names of axes that stand before those of `expected` in all leaves. made_by:
    where to get one from, for messages. Raises InputError.
    """
    leaves(name, value)
    models, allowed = jax.tree.flatten(expected)
    if jax.tree_util.all_leaves([expected]) and not hasattr(value, "dtype") and is_real(expected.dtype):
        value = reals(name, value, (*leading, *expected.shape), expected.dtype)  # such as a list
    got = jax.tree.structure(value)
    if got != allowed:  # type: ignore[operator]
        raise InputError(name, value, f"must be {allowed}, as `{made_by}` returns it", found=f"is {got}")
    sizes: dict[str, int] = {}
    found = []
    for (path, leaf), model in zip(jax.tree_util.tree_leaves_with_path(value), models, strict=True):
        where = name + jax.tree_util.keystr(path)
        _check_sizes(where, leaf, (*leading, *model.shape), sizes)
        found.append(_converted(where, leaf, model.dtype))
    return jax.tree.unflatten(allowed, found)


def _converted(name: str, leaf: Any, dtype: Any) -> Any:
    kind = jnp.result_type(leaf)
    if kind == dtype:
        return leaf
    if is_real(kind) and (jnp.issubdtype(dtype, np.floating) or jnp.issubdtype(kind, np.integer)) and is_real(dtype):
        return jnp.asarray(leaf).astype(dtype)
    raise InputError(name, leaf, f"must be {dtype}", found=f"is {kind}")


def _check_sizes(name: str, value: Any, expected: tuple[int | str, ...], known: dict[str, int]) -> None:
    """Raises InputError unless the shape is the expected one; sizes of named axes are kept in `known`."""
    got = np.shape(value)
    wanted = [known.get(size, size) if isinstance(size, str) else size for size in expected]
    fits = len(got) == len(wanted) and all(
        own >= 1 if isinstance(size, str) else own == size for own, size in zip(got, wanted, strict=True)
    )
    if not fits:
        cure = "(everything is written for one trajectory; use jax.vmap for a batch)"
        verb = "have" if name in ("actions", "states") else "has"
        raise InputError(
            name, value, f"must have shape {_written(tuple(wanted))} {cure}", found=f"{verb} shape {got}"
        )
    known.update({size: own for own, size in zip(got, expected, strict=True) if isinstance(size, str)})


def _written(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _as_numbers(name: str, value: Any, allowed: str) -> np.ndarray:
    """Real numbers as an array, or InputError; strings and booleans, which NumPy would take, are none."""
    try:
        result = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:  # of different lengths, traced, a random key
        raise InputError(name, value, allowed) from error
    if not is_real(result.dtype):
        raise InputError(name, value, allowed)
    return result
