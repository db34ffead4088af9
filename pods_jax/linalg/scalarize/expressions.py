"""Scalars that are not known while tracing, and arrays of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(eq=False, slots=True)
class Expression:
    """A scalar that is not known while tracing: a function of operands, or one that is given."""

    function: Callable[..., Any] | None
    operands: tuple[Any, ...]  # expressions or numbers
    dtypes: tuple[Any, ...]  # of the operands
    value: Any = None  # the traced scalar, once somebody needs it


def take_apart(array: Any) -> np.ndarray:
    """The entries of an array as expressions, or as numbers if they are known."""
    if isinstance(array, jax.core.Tracer):
        flat = jnp.reshape(array, -1)
        return given([flat[index] for index in range(flat.size)], array.shape)
    return given(np.asarray(array).reshape(-1), np.shape(array))


def given(scalars: Iterable[Any], shape: tuple[int, ...]) -> np.ndarray:
    """An array of expressions with given values, or of numbers."""
    entries = [value if is_known(value) else Expression(None, (), (), value) for value in scalars]
    return objects(entries, shape)


def objects(entries: Iterable[Any], shape: tuple[int, ...]) -> np.ndarray:
    """A NumPy array of any objects."""
    entries = list(entries)
    result = np.empty(len(entries), dtype=object)
    for index, entry in enumerate(entries):
        result[index] = entry
    return result.reshape(shape)


def put_together(entries: np.ndarray, aval: Any) -> Any:
    """The traced array of some expressions."""
    scalars = [compute(entry, aval.dtype) for entry in entries.reshape(-1)]
    if aval.shape == ():
        return scalars[0]
    return jnp.stack(scalars).reshape(aval.shape) if scalars else jnp.zeros(aval.shape, aval.dtype)


def compute(entry: Any, dtype: Any) -> Any:
    """The traced scalar of an expression, whose operands are computed first; a number as one of this type."""
    if is_known(entry):
        return dtype.type(entry)
    waiting = [entry]
    while waiting:  # not recursive: chains of additions are deeper than Python's stack
        top = waiting[-1]
        needed = [operand for operand in top.operands if not is_known(operand) and operand.value is None]
        if top.function is not None and top.value is None and not needed:
            operands = [
                dtype.type(operand) if is_known(operand) else operand.value
                for operand, dtype in zip(top.operands, top.dtypes, strict=True)
            ]
            top.value = top.function(*operands)
        if top.value is None:
            waiting += needed
        else:
            waiting.pop()
    return entry.value


def is_known(entry: Any) -> bool:
    """Whether an entry is a number."""
    return isinstance(entry, np.generic)


def is_number(entry: Any, number: int) -> bool:
    """Whether an entry is known to be this number."""
    return isinstance(entry, np.generic) and bool(entry == number)
