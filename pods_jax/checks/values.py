"""Checks of one value: numbers, names, files, functions, and lists of them.

Each returns what is to be used in place of what was given: an int for a NumPy integer, a tuple for a list.
"""

import difflib
import math
import numbers
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from pods_jax.checks.errors import InputError

Kind = TypeVar("Kind")


MAX_INTEGER = 2**31 - 1
"""What a counter in a compiled program can count, and more than any array has entries along an axis."""


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
    allowed = f"must be a finite number{range_text(above, at_least)}{upper}"
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
    if at_most is None and value > MAX_INTEGER:
        raise InputError(name, value, f"{allowed} and at most {MAX_INTEGER}")
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
    if isinstance(value, str) and value in valid:
        return valid[valid.index(value)]
    close = difflib.get_close_matches(str(value), valid, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(name, value, f"{hint}must be one of {', '.join(valid)}")


def text(name: str, value: Any) -> str:
    """Returns `value` as a str, or raises InputError if it is anything else."""
    if not isinstance(value, str):
        raise InputError(name, value, "must be a string")
    return str(value)


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """Returns `value` as a tuple of whole numbers >= 1, none or more, or raises InputError if it is anything else."""
    if not isinstance(value, tuple | list):
        raise InputError(name, value, "must be a tuple of whole numbers, at least 1 each, or ()")
    return tuple(integer(f"{name}[{index}]", size, at_least=1) for index, size in enumerate(value))


def instance(name: str, value: Any, kind: type[Kind], example: str) -> Kind:
    """Returns `value` if it is an instance of `kind`, or raises InputError with an example of how to make one."""
    if not isinstance(value, kind):
        found = f"is of type {type(value).__name__}"
        raise InputError(name, value, f"must be of type {kind.__name__}, for example {example}", found=found)
    return value


def sized(name: str, value: Any) -> Any:
    """Returns `value` if it is a list, a tuple or an array with an axis, or raises InputError."""
    if (not isinstance(value, Sequence) and np.ndim(value) == 0) or isinstance(value, str):
        raise InputError(name, value, "must be a list")
    return value


def instances(name: str, value: Any, kind: type[Kind], example: str) -> tuple[Kind, ...]:
    """Returns a list of instances of `kind` as a tuple, or raises InputError naming what is none."""
    return tuple(instance(f"{name}[{index}]", each, kind, example) for index, each in enumerate(sized(name, value)))


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """Returns `value` if it is a dictionary or another mapping, or raises InputError."""
    if not isinstance(value, Mapping):
        raise InputError(name, value, "must be a dictionary")
    return value


def path(name: str, value: Any) -> pathlib.Path:
    """Returns the name of a file as a Path, or raises InputError if it is neither a string nor a path."""
    if not isinstance(value, str | pathlib.PurePath):
        raise InputError(name, value, 'must be the name of a file, such as "policy.onnx"')
    return pathlib.Path(value)


def function(name: str, value: Any) -> Callable[..., Any]:
    """Returns `value` if it can be called, or raises InputError."""
    if not callable(value):
        raise InputError(name, value, "must be a function")
    return value


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    """Returns a list of functions as a tuple, or raises InputError naming what is none."""
    if callable(value) or not isinstance(value, Iterable):
        raise InputError(name, value, f"must be a list of functions, for example {name}=[print]")
    return tuple(function(f"{name}[{index}]", each) for index, each in enumerate(value))


def range_text(above: float | None, at_least: float | None) -> str:
    """How a message goes on where a number has a lower limit."""
    if above is not None:
        return f", greater than {above:g}"
    return "" if at_least is None else f", at least {at_least:g}"
