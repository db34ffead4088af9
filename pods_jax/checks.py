"""Refusing bad input where it enters: what was got, what is allowed, what to do.

Each check returns what is to be used in place of what was given: an int for a NumPy integer, a tuple for a list.
"""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import numpy as np

Kind = TypeVar("Kind")


class InputError(ValueError):
    """A value given by the user is outside what is allowed; the message names field, value and cure.

    `InputError(field, value, allowed)` reads "field = value: allowed" and keeps the three as attributes; found: what
    stands in the message instead of "= value", for values that are too long to print. `InputError(message)` is for
    what is no matter of one field: `field` is then empty and `allowed` the whole message.
    """

    def __init__(self, field: str, value: Any = None, allowed: str = "", *, found: str = "") -> None:
        if not allowed:
            field, allowed, message = "", field, field
        else:
            message = f"{field} {found or f'= {value!r}'}: {allowed}"
        super().__init__(message)
        self.field, self.value, self.allowed = field, value, allowed


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """Returns `value` as a finite float, or raises InputError if it is not one or is out of range."""
    upper = "" if at_most is None else f", at most {at_most:g}"
    allowed = f"must be a finite number{_range_text(above, at_least)}{upper}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(name, value, allowed)
    number = float(value)
    too_small = (above is not None and number <= above) or (at_least is not None and number < at_least)
    if too_small or (at_most is not None and number > at_most):
        raise InputError(name, value, allowed)
    return number


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Returns `value` as an int, or raises InputError if it is not one or is out of range."""
    upper = "" if at_most is None else f" and at most {at_most}"
    allowed = f"must be a whole number, at least {at_least}{upper}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(name, value, allowed)
    if value < at_least or (at_most is not None and value > at_most):
        raise InputError(name, value, allowed)
    return int(value)


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a bool, or raises InputError if it is anything else."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(name, value, "must be True or False")
    return bool(value)


def seed(name: str, value: Any) -> int:
    """Returns a valid seed; `jax.random.key` silently wraps anything outside 0 .. 2**32 - 1."""
    return integer(name, value, at_least=0, at_most=2**32 - 1)


def choice(name: str, value: Any, valid: Iterable[str]) -> str:
    """Returns `value` if it is one of the `valid` names, or raises InputError naming the closest one."""
    valid = tuple(valid)
    if value in valid:
        return valid[valid.index(value)]
    close = difflib.get_close_matches(str(value), valid, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(name, value, f"{hint}must be one of {', '.join(valid)}")


def array(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    *,
    above: float | None = None,
    at_least: float | None = None,
) -> np.ndarray:
    """Returns `value` as a finite float array of exactly `shape`, or raises InputError."""
    allowed = f"must be finite numbers of shape {shape}{_range_text(above, at_least)}"
    try:
        result = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, allowed) from error
    if result.shape != shape:
        raise InputError(name, value, f"must have shape {shape}", found=f"has shape {result.shape}")
    if not np.all(np.isfinite(result)):
        raise InputError(name, value, allowed)
    if (above is not None and np.any(result <= above)) or (at_least is not None and np.any(result < at_least)):
        raise InputError(name, value, allowed)
    return result


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """Returns `value` as a tuple of whole numbers >= 1, or raises InputError if it is empty or anything else."""
    if not isinstance(value, tuple | list) or not value:
        raise InputError(name, value, "must be a non-empty tuple of whole numbers")
    return tuple(integer(f"{name}[{index}]", size, at_least=1) for index, size in enumerate(value))


def key(name: str, value: Any) -> jax.Array:
    """Returns `value` if it is one random key of the typed kind, or raises InputError saying how to make one."""
    cure = "must be one random key, for example jax.random.key(0)"
    if not isinstance(value, jax.Array) or not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        raise InputError(name, value, cure)
    if value.shape != ():
        raise InputError(name, value, f"{cure} (use jax.vmap for several)", found=f"has shape {value.shape}")
    return value


def instance(name: str, value: Any, kind: type[Kind], example: str) -> Kind:
    """Returns `value` if it is an instance of `kind`, or raises InputError with an example of how to make one."""
    if not isinstance(value, kind):
        found = f"is of type {type(value).__name__}"
        raise InputError(name, value, f"must be of type {kind.__name__}, for example {example}", found=found)
    return value


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    """Returns a list of functions as a tuple, or raises InputError naming what is none."""
    if callable(value) or not isinstance(value, Iterable):
        raise InputError(name, value, f"must be a list of functions, for example {name}=[print]")
    every = tuple(value)
    for index, each in enumerate(every):
        if not callable(each):
            raise InputError(f"{name}[{index}]", each, "must be a function")
    return every


def shape(name: str, value: Any, expected: tuple[int, ...]) -> Any:
    """Returns the (possibly traced) array if it has the expected shape, or raises InputError."""
    if np.shape(value) != expected:
        cure = "(everything is written for one trajectory; use jax.vmap for a batch)"
        found = f"has shape {np.shape(value)}"
        raise InputError(name, value, f"must have shape {expected} {cure}", found=found)
    return value


def like(name: str, value: Any, expected: Any) -> Any:
    """Returns the pytree if it has the structure and the leaf shapes of `expected`, or raises InputError."""
    got, allowed = jax.tree.structure(value), jax.tree.structure(expected)
    if got != allowed:  # type: ignore[operator]
        raise InputError(name, value, f"must be {allowed}, as `env.reset` returns it", found=f"is {got}")
    for (path, leaf), model in zip(
        jax.tree_util.tree_leaves_with_path(value), jax.tree.leaves(expected), strict=True
    ):
        shape(name + jax.tree_util.keystr(path), leaf, model.shape)
    return value


def missing(feature: str, package: str, extra: str) -> InputError:
    """The error to raise where an optional package is not installed."""
    return InputError(f"{feature} needs the package {package}: pip install 'pods_jax[{extra}]'")


def _range_text(above: float | None, at_least: float | None) -> str:
    if above is not None:
        return f", greater than {above:g}"
    return "" if at_least is None else f", at least {at_least:g}"
