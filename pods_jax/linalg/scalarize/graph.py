"""Doing with expressions what a jaxpr does with arrays."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from pods_jax.linalg.scalarize.expressions import (
    Expression,
    compute,
    given,
    is_known,
    objects,
    put_together,
    take_apart,
)
from pods_jax.linalg.scalarize.rules import CALLS, COMMUTATIVE, ELEMENTWISE, MOVES, NUMPY, PLAIN, REDUCTIONS, SIMPLIFY
from pods_jax.thresholds import MAX_SCALARIZED_SIZE


def scalarized(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of pytrees of arrays, computed by scalars."""

    @functools.wraps(function)
    def by_scalars(*args: Any) -> Any:
        jaxpr, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        results = Graph().run(jaxpr, [take_apart(leaf) for leaf in jax.tree.leaves(args)])
        leaves = [put_together(result, aval) for result, aval in zip(results, jaxpr.out_avals, strict=True)]
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    return by_scalars


def scalarized_if_small(function: Callable[..., Any], num_unknowns: int) -> Callable[..., Any]:
    """`scalarized(function)`, if it pays for so many unknowns."""
    return scalarized(function) if num_unknowns <= MAX_SCALARIZED_SIZE else function


def scan_by_scalars(step: Callable[..., Any], carry: Any, inputs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan` of a step between small arrays, each number of which is an array over the steps of its own."""

    def apart(tree, first):  # the numbers of arrays (..., n, m), as arrays over what is before
        return [
            leaf.reshape(*leaf.shape[:first], -1)[..., index]
            for leaf in jax.tree.leaves(tree)
            for index in range(leaf[(0,) * first].size)
        ]

    def together(scalars, like):
        rest = iter(scalars)
        leaves = [
            jnp.stack([next(rest) for _ in range(leaf.size)]).reshape(leaf.shape) for leaf in jax.tree.leaves(like)
        ]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    one = jax.eval_shape(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree), inputs)
    results = jax.eval_shape(step, carry, one)[1]

    @scalarized
    def advance(carry_scalars, input_scalars):
        after, result = step(together(carry_scalars, carry), together(input_scalars, one))
        return apart(after, 0), apart(result, 0)

    after, stacked = jax.lax.scan(advance, apart(carry, 0), apart(inputs, 1), reverse=reverse)
    rest = iter(stacked)
    leaves = [
        jnp.stack([next(rest) for _ in range(leaf.size)], axis=1).reshape(-1, *leaf.shape)
        for leaf in jax.tree.leaves(results)
    ]
    return together(after, carry), jax.tree.unflatten(jax.tree.structure(results), leaves)


class Graph:
    """Does what a jaxpr does with expressions, each of which exists once."""

    def __init__(self) -> None:
        self.found: dict[Any, Expression] = {}

    def run(self, closed: Any, args: list[np.ndarray]) -> list[np.ndarray]:
        """The results of a closed jaxpr."""
        jaxpr = closed.jaxpr
        consts = [take_apart(const) for const in closed.consts]
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

        def read(atom):
            return take_apart(np.asarray(atom.val)) if isinstance(atom, core.Literal) else values[atom]

        for equation in jaxpr.eqns:
            results = self.apply(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def apply(self, equation: Any, operands: list[np.ndarray]) -> list[np.ndarray]:
        """The results of one equation."""
        name, params, avals = equation.primitive.name, equation.params, [each.aval for each in equation.outvars]
        if name in CALLS:
            return self.run(params["jaxpr" if "jaxpr" in params else "call_jaxpr"], operands)
        if name in MOVES:
            return MOVES[name](params, avals[0], *operands)
        if name in ELEMENTWISE:
            return [self.elementwise(equation, operands)]
        if name in REDUCTIONS:
            return [self.reduce(REDUCTIONS[name], params["axes"], avals[0], operands[0])]
        if name == "dot_general":
            return [self.dot(params["dimension_numbers"], avals[0], *operands)]
        if name == "while":
            return self.loop(params, avals, operands)
        arrays = [put_together(operand, atom.aval) for operand, atom in zip(operands, equation.invars, strict=True)]
        results = equation.primitive.bind(*arrays, **params)
        return [take_apart(result) for result in (results if equation.primitive.multiple_results else [results])]

    def elementwise(self, equation: Any, operands: list[np.ndarray]) -> np.ndarray:
        """The same operation on all entries."""
        shape = equation.outvars[0].aval.shape
        dtypes = tuple(atom.aval.dtype for atom in equation.invars)
        columns = [np.broadcast_to(operand, shape).reshape(-1) for operand in operands]
        function = functools.partial(equation.primitive.bind, **equation.params)
        name, params = equation.primitive.name, equation.params
        entries = [self.make(name, row, dtypes, params, function) for row in zip(*columns, strict=True)]
        return objects(entries, shape)

    def make(
        self,
        name: str,
        operands: tuple[Any, ...],
        dtypes: tuple[Any, ...],
        params: dict[str, Any] | None = None,
        function: Callable[..., Any] | None = None,
    ) -> Any:
        """A primitive of scalars, simplified; the expression that is already there if there is one."""
        params = params or {}
        if name in SIMPLIFY and (simple := SIMPLIFY[name](self.make, operands, dtypes, params)) is not None:
            return simple
        if name in NUMPY and all(map(is_known, operands)):
            return NUMPY[name](*(dtype.type(operand) for operand, dtype in zip(operands, dtypes, strict=True)))
        keys = [("number", operand.item()) if is_known(operand) else id(operand) for operand in operands]
        key = (name, *(sorted(keys, key=str) if name in COMMUTATIVE else keys), dtypes, str(params))
        if name in PLAIN:
            function, key = PLAIN[name], key[:-1]
        if key not in self.found:
            self.found[key] = Expression(function, operands, dtypes)
        return self.found[key]

    def reduce(self, name: str, axes: tuple[int, ...], aval: Any, array: np.ndarray) -> np.ndarray:
        """The entries along some axes, combined one after the other."""
        kept = [axis for axis in range(array.ndim) if axis not in axes]
        rows = array.transpose(*kept, *axes).reshape(aval.size, -1)

        def combine(x, y):
            return self.make(name, (x, y), (aval.dtype, aval.dtype))

        return objects([functools.reduce(combine, row) for row in rows], aval.shape)

    def dot(self, dimension_numbers: Any, aval: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """A product of matrices, term by term."""
        (left_sum, right_sum), (left_batch, right_batch) = dimension_numbers
        left_kept = [axis for axis in range(left.ndim) if axis not in (*left_sum, *left_batch)]
        right_kept = [axis for axis in range(right.ndim) if axis not in (*right_sum, *right_batch)]
        batch = [left.shape[axis] for axis in left_batch]
        count = int(np.prod(batch, dtype=int))
        terms = int(np.prod([left.shape[axis] for axis in left_sum], dtype=int))
        left = left.transpose(*left_batch, *left_kept, *left_sum).reshape(count, -1, terms)
        right = right.transpose(*right_batch, *right_kept, *right_sum).reshape(count, -1, terms)
        dtypes = (aval.dtype, aval.dtype)

        def entry(row, column):
            products = [self.make("mul", pair, dtypes) for pair in zip(row, column, strict=True)]
            return functools.reduce(lambda x, y: self.make("add", (x, y), dtypes), products, aval.dtype.type(0))

        each = (
            entry(row, column)
            for rows, columns in zip(left, right, strict=True)
            for row in rows
            for column in columns
        )
        return objects(each, aval.shape)

    def loop(self, params: dict, avals: list[Any], operands: list[np.ndarray]) -> list[np.ndarray]:
        """A `while_loop` whose carry is scalars; what its functions close over is taken apart outside."""
        first = params["cond_nconsts"]
        second = first + params["body_nconsts"]
        for operand in operands[:second]:
            for entry in operand.reshape(-1):
                compute(entry, np.dtype(float))
        dtypes = [aval.dtype for aval in avals for _ in range(aval.size)]
        start = [entry for operand in operands[second:] for entry in operand.reshape(-1)]

        def run(closed, consts, scalars):
            parts = iter(scalars)
            carry = [given([next(parts) for _ in range(aval.size)], aval.shape) for aval in avals]
            results = Graph().run(closed, [*consts, *carry])
            return [entry for result in results for entry in result.reshape(-1)]

        def unfinished(scalars):
            (entry,) = run(params["cond_jaxpr"], operands[:first], scalars)
            return compute(entry, np.dtype(bool))

        def advance(scalars):
            return list(map(compute, run(params["body_jaxpr"], operands[first:second], scalars), dtypes))

        results = iter(jax.lax.while_loop(unfinished, advance, list(map(compute, start, dtypes))))
        return [given([next(results) for _ in range(aval.size)], aval.shape) for aval in avals]
