"""How many floating-point operations a program executes, loops counted as often as they run.

Compilers count each loop once, and the number of Newton's passes is known to nobody beforehand. So the program is run
once with a counter beside it: its jaxpr is interpreted, and every loop carries what was counted so far.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

ARITHMETIC = frozenset(
    (
        *("abs", "add", "div", "integer_pow", "max", "min", "mul", "neg", "pow", "rsqrt", "sqrt", "square", "sub"),
        *("atan2", "cos", "exp", "expm1", "log", "log1p", "logistic", "sin", "tan", "tanh"),
    )
)
"""One operation for each entry of the result; comparing, choosing and moving count nothing."""

REDUCTIONS = frozenset(("argmax", "argmin", "cumsum", "reduce_max", "reduce_min", "reduce_sum"))
"""One for each entry of the operand."""

Counted = tuple[list[Any], Any]
"""Results, and operations."""


def operations(function: Callable[..., Any], *args: Any) -> float:
    """The floating-point operations of function(*args), for arrays of real numbers."""
    closed = jax.make_jaxpr(function)(*args)

    @jax.jit
    def count(leaves):
        return _run(closed.jaxpr, closed.consts, leaves)[1]

    return float(count(jax.tree.leaves(args)))


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> Counted:
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    total: Any = 0.0
    for equation in jaxpr.eqns:
        results, more = _apply(equation, [read(atom) for atom in equation.invars])
        total = total + more
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars], total


def _apply(equation: Any, operands: list[Any]) -> Counted:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(params, operands)
    if name == "while":
        return _while(params, operands)
    if name == "cond":

        def branch_of(closed):
            return lambda *args: _as_float(_run(closed.jaxpr, closed.consts, args))

        return jax.lax.switch(operands[0], [branch_of(closed) for closed in params["branches"]], *operands[1:])
    inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
    if inner is not None:
        if hasattr(inner, "consts"):
            return _run(inner.jaxpr, inner.consts, operands)
        return _run(inner, (), operands)
    results = equation.primitive.bind(*operands, **params)
    return (results if equation.primitive.multiple_results else [results]), _of_one(equation)


def _of_one(equation: Any) -> float:
    """Of an equation without a program inside."""
    name, shapes = equation.primitive.name, [atom.aval.shape for atom in equation.invars]
    result = equation.outvars[0].aval
    if not jnp.issubdtype(result.dtype, jnp.inexact):
        return 0.0
    if name in ARITHMETIC:
        return float(result.size)
    if name in REDUCTIONS:
        return float(math.prod(shapes[0]))
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * result.size * math.prod(shapes[0][axis] for axis in contracted)
    if name == "lu":
        return 2 / 3 * math.prod(shapes[0]) * shapes[0][-1]
    if name == "cholesky":
        return 1 / 3 * math.prod(shapes[0]) * shapes[0][-1]
    if name == "triangular_solve":
        return float(math.prod(shapes[1]) * shapes[0][-1])
    return 0.0


def _scan(params: dict[str, Any], operands: list[Any]) -> Counted:
    closed, (num_consts, num_carry) = params["jaxpr"], _counts_of_scan(params)
    first, second = num_consts, num_consts + num_carry
    consts = operands[:first]

    def step(carry, inputs):
        total, *state = carry
        results, more = _run(closed.jaxpr, closed.consts, [*consts, *state, *inputs])
        return [total + more, *results[: second - first]], results[second - first :]

    start = [jnp.zeros(()), *operands[first:second]]
    (total, *state), stacked = jax.lax.scan(
        step, start, operands[second:], length=params["length"], reverse=params["reverse"]
    )
    return [*state, *stacked], total


def _counts_of_scan(params: dict[str, Any]) -> tuple[int, int]:
    """How many operands are constant, and how many are carried, by what jax up to 0.10 or from 0.11 on says."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()
    return len(list(consts)), len(list(carry))


def _while(params: dict[str, Any], operands: list[Any]) -> Counted:
    first = params["cond_nconsts"]
    second = first + params["body_nconsts"]
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]

    def test(state):
        (more,), counted = _run(condition.jaxpr, condition.consts, [*operands[:first], *state])
        return more, counted

    def advance(carry):
        total, *state = carry
        more, tested = test(state)
        results, counted = _run(body.jaxpr, body.consts, [*operands[first:second], *state])
        if more.ndim:  # of a batch; what has finished stays as it is, and is computed all the same
            results = [
                jnp.where(more.reshape(more.shape + (1,) * (new.ndim - more.ndim)), new, old)
                for new, old in zip(results, state, strict=True)
            ]
        return [total + counted + tested, *results]

    total, *state = jax.lax.while_loop(
        lambda carry: jnp.any(test(carry[1:])[0]), advance, [jnp.zeros(()), *operands[second:]]
    )
    return state, total


def _as_float(counted: Counted) -> Counted:
    return counted[0], jnp.asarray(counted[1], jnp.zeros(()).dtype)
