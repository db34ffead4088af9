"""What is known of each primitive: how it moves entries, and when it is something simpler."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pods_jax.linalg.scalarize.expressions import is_known, is_number, objects, take_apart


def _add(make, operands, dtypes, params):
    x, y = operands
    if is_number(x, 0) or is_number(y, 0):
        return y if is_number(x, 0) else x
    return None


def _subtract(make, operands, dtypes, params):
    x, y = operands
    if is_number(y, 0):
        return x
    return make("neg", (y,), dtypes[:1]) if is_number(x, 0) else None


def _multiply(make, operands, dtypes, params):
    x, y = operands
    if is_number(x, 0) or is_number(y, 0):
        return dtypes[0].type(0)
    for one, other in ((x, y), (y, x)):
        if is_number(one, 1):
            return other
        if is_number(one, -1):
            return make("neg", (other,), dtypes[:1])
    return None


def _divide(make, operands, dtypes, params):
    x, y = operands
    return x if is_number(x, 0) or is_number(y, 1) else None


def _square(make, operands, dtypes, params):
    if params.get("y", 2) != 2:
        return None
    return make("mul", operands * 2, dtypes * 2)


def _select(make, operands, dtypes, params):
    which, *cases = operands
    return cases[int(which)] if is_known(which) else None


def _convert(make, operands, dtypes, params):
    (x,) = operands
    if is_known(x):
        return np.dtype(params["new_dtype"]).type(x)
    return x if dtypes[0] == params["new_dtype"] else None


def _broadcast(params, aval, array):
    shape = [1] * aval.ndim
    for axis, size in zip(params["broadcast_dimensions"], array.shape, strict=True):
        shape[axis] = size
    return [np.broadcast_to(array.reshape(shape), aval.shape)]


def _slice(params, aval, array):
    strides = params["strides"] or (1,) * array.ndim
    return [array[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]]


def _iota(params, aval):
    shape = [-1 if axis == params["dimension"] else 1 for axis in range(aval.ndim)]
    counted = np.arange(aval.shape[params["dimension"]], dtype=aval.dtype).reshape(shape)
    return [take_apart(np.broadcast_to(counted, aval.shape))]


def _pad(params, aval, array, value):
    inner, whole, kept = [], [], []
    for size, (low, high, between) in zip(array.shape, params["padding_config"], strict=True):
        end = max(low, 0) + max(0, size + (size - 1) * between)
        inner.append(slice(max(low, 0), end, between + 1))
        whole.append(end + max(high, 0))
        kept.append(slice(max(-low, 0), whole[-1] - max(-high, 0)))  # less than nothing at an end crops
    result = objects([value[()]] * int(np.prod(whole, dtype=int)), tuple(whole))
    result[tuple(inner)] = array
    return [result[tuple(kept)]]


def _reshape(params, aval, array):
    return [array.reshape(aval.shape)]


CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"}
"""Primitives that contain a jaxpr and do what it does."""

MOVES: dict[str, Callable[..., list[np.ndarray]]] = {
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "pad": _pad,
    "iota": _iota,
    "transpose": lambda params, aval, array: [array.transpose(params["permutation"])],
    "concatenate": lambda params, aval, *arrays: [np.concatenate(arrays, axis=params["dimension"])],
    "stack": lambda params, aval, *arrays: [np.stack(arrays, axis=params["axis"])],
    "split": lambda params, aval, array: np.split(array, np.cumsum(params["sizes"])[:-1], axis=params["axis"]),
    "copy": lambda params, aval, array: [array],
    "copy_p": lambda params, aval, array: [array],
    "stop_gradient": lambda params, aval, array: [array],
}
"""Primitives that only move entries: (params, aval of the result, operands) -> results."""

REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_and": "and",
    "reduce_or": "or",
}

PLAIN: dict[str, Callable[..., Any]] = {
    "add": jax.lax.add,
    "sub": jax.lax.sub,
    "mul": jax.lax.mul,
    "div": jax.lax.div,
    "neg": jax.lax.neg,
    "max": jax.lax.max,
    "min": jax.lax.min,
    "and": jax.lax.bitwise_and,
    "or": jax.lax.bitwise_or,
}
"""Primitives that are also made here; their parameters say nothing more."""

SIMPLIFY: dict[str, Callable[..., Any]] = {
    "add": _add,
    "add_any": _add,
    "sub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "square": _square,
    "integer_pow": _square,
    "select_n": _select,
    "convert_element_type": _convert,
}
"""(make, operands, their dtypes, params) -> something simpler, or None, where `make(name, operands, dtypes)`."""

COMMUTATIVE = {"add", "add_any", "mul", "max", "min", "and", "or"}

NUMPY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "add_any": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "max": np.maximum,
    "min": np.minimum,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "not": np.invert,
}
"""What is computed while tracing if all operands are known."""

ELEMENTWISE = {
    *SIMPLIFY,
    *NUMPY,
    *("abs", "sign", "sqrt", "rsqrt", "exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "pow", "is_finite"),
    *("clamp", "atan2", "floor", "ceil", "logistic", "erf"),
}
