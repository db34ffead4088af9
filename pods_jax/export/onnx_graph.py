"""A function of observations as a graph of ONNX: each operation of its jaxpr becomes a node or two.

What depends on no observation is computed here and becomes a constant. Calls of other functions are written out, and
loops of known length too. The number of observations stays open: it is read from the shape of the input.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.checks import InputError

INPUT, OUTPUT = "observation", "action"

OPSET, IR_VERSION = 17, 9
"""Of ONNX: old enough for runtimes of 2023."""

Value: TypeAlias = Any
"""What an operation takes: the name of a value in the graph, or an array that is known already."""

Equation: TypeAlias = Any
"""One operation of a jaxpr: `primitive`, `params`, `invars`, `outvars`."""

NAMED = {
    **{name: name.capitalize() for name in ("add", "sub", "mul", "div", "max", "min", "neg", "abs", "sign", "pow")},
    **{
        name: name.capitalize()
        for name in ("exp", "log", "sin", "cos", "tan", "tanh", "sqrt", "floor", "ceil", "erf")
    },
    **{"add_any": "Add", "logistic": "Sigmoid", "and": "And", "or": "Or", "not": "Not", "xor": "Xor"},
    **{"eq": "Equal", "lt": "Less", "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual"},
    **{"stop_gradient": "Identity", "copy": "Identity", "copy_p": "Identity", "optimization_barrier": "Identity"},
}
"""Operations that ONNX has too, by another name."""

CALLED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr"}
CALLED |= {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr"}
"""Calls of other functions, and where these are."""


@dataclass
class Graph:
    """The nodes and constants of a graph that is being made."""

    batch: Any  # the symbolic number of observations
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    known: dict[Any, str] = field(default_factory=dict)  # names of constants by what they are, and of shapes

    def node(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """The name of what an operator of ONNX makes of its inputs."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append((operator, [self.name(each) for each in inputs], [name], attributes))
        return name

    def name(self, value: Value) -> str:
        """The name of a value; arrays become constants, equal ones the same."""
        if isinstance(value, str):
            return value
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = f"constant_{len(self.constants)}"
            self.constants[self.known[key]] = array
        return self.known[key]

    def shape(self, sizes: Sequence[Any]) -> Value:
        """The sizes as a vector, those that are as many as there are observations taken from the input."""
        if all(isinstance(size, int | np.integer) for size in sizes):
            return np.asarray(sizes, np.int64)
        key = tuple(str(size) for size in sizes)
        if key not in self.known:
            count = self.node("Shape", INPUT, start=0, end=1)
            parts = [count if size == self.batch else np.asarray([int(size)], np.int64) for size in sizes]
            self.known[key] = self.node("Concat", *parts, axis=0)
        return self.known[key]

    def inline(self, jaxpr: Any, constants: Sequence[Value], arguments: Sequence[Value]) -> list[Value]:
        """What a jaxpr returns for values of its arguments, its operations added to the graph."""
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

        def read(atom: Any) -> Value:
            return atom.val if hasattr(atom, "val") else values[atom]

        for equation in jaxpr.eqns:
            made = self.operation(equation, [read(atom) for atom in equation.invars])
            values |= dict(zip(equation.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def operation(self, equation: Equation, inputs: list[Value]) -> list[Value]:
        """What one operation makes of its inputs. Raises InputError for one that has no counterpart."""
        name = equation.primitive.name
        if name in CALLED:
            called = equation.params[CALLED[name]]
            inner, constants = getattr(called, "jaxpr", called), getattr(called, "consts", ())
            return self.inline(inner, constants, inputs)
        if _is_constant(equation, inputs):
            made = equation.primitive.bind(*map(jnp.asarray, inputs), **equation.params)
            return list(made) if equation.primitive.multiple_results else [made]
        if name in NAMED:
            return [self.node(NAMED[name], *inputs)]
        if name in SEVERAL:
            return SEVERAL[name](self, equation, inputs)
        if name not in OPERATIONS:
            raise _unknown(name)
        return [OPERATIONS[name](self, equation, *inputs)]


def trace(act: Callable[[jax.Array], jax.Array], observations: jax.ShapeDtypeStruct) -> Graph:
    """The graph of a function of observations (N, O), with N symbolic. Raises InputError where ONNX cannot say it."""
    closed = jax.jit(act).trace(observations).jaxpr
    graph = Graph(observations.shape[0])
    (action,) = graph.inline(closed.jaxpr, closed.consts, [INPUT])
    graph.nodes.append(("Identity", [graph.name(action)], [OUTPUT], {}))
    return graph


def to_bytes(name: str, act: Callable[[jax.Array], jax.Array], observations: jax.ShapeDtypeStruct) -> bytes:
    """An ONNX file of a function of observations (N, O), with N symbolic. Raises InputError where it cannot be."""
    from onnx import checker, helper, numpy_helper

    graph, (count, size) = trace(act, observations), observations.shape
    (action,) = jax.tree.leaves(jax.eval_shape(act, observations))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(observations.dtype))
    content = helper.make_graph(
        [helper.make_node(operator, taken, made, **more) for operator, taken, made, more in graph.nodes],
        name,
        [helper.make_tensor_value_info(INPUT, kind, [str(count), size])],
        [helper.make_tensor_value_info(OUTPUT, kind, [str(count), action.shape[1]])],
        [numpy_helper.from_array(array, constant) for constant, array in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(content, producer_name="pods_jax", opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _unknown(what: str) -> InputError:
    return InputError(
        "format", "onnx", f"must be stablehlo or safetensors: the network has {what}, which is not known in ONNX here"
    )


def _is_constant(equation: Equation, inputs: Sequence[Value]) -> bool:
    """Whether the values of an operation are known, none of them a name, and their sizes too."""
    sizes = [size for variable in equation.outvars for size in variable.aval.shape]
    return not any(isinstance(each, str) for each in inputs) and all(isinstance(size, int) for size in sizes)


def _reshape(graph: Graph, equation: Equation, operand: Value) -> str:
    return graph.node("Reshape", operand, graph.shape(equation.outvars[0].aval.shape))


def _broadcast(graph: Graph, equation: Equation, operand: Value) -> str:
    """First the axes, each of size one where the operand has none, then the sizes."""
    sizes, places = equation.outvars[0].aval.shape, equation.params["broadcast_dimensions"]
    given = dict(zip(places, equation.invars[0].aval.shape, strict=True))
    aligned = tuple(given.get(axis, 1) for axis in range(len(sizes)))
    operand = graph.node("Reshape", operand, graph.shape(aligned))
    return operand if aligned == sizes else graph.node("Expand", operand, graph.shape(sizes))


def _slice(graph: Graph, equation: Equation, operand: Value) -> str:
    limits, starts = equation.params["limit_indices"], equation.params["start_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    sizes = equation.invars[0].aval.shape
    axes = [i for i, one in enumerate(zip(starts, limits, strides, strict=True)) if one != (0, sizes[i], 1)]
    chosen = ([int(values[axis]) for axis in axes] for values in (starts, limits))
    vectors = (np.asarray(each, np.int64) for each in (*chosen, axes, [strides[axis] for axis in axes]))
    return graph.node("Slice", operand, *vectors) if axes else graph.node("Identity", operand)


def _pad(graph: Graph, equation: Equation, operand: Value, value: Value) -> str:
    low, high, between = zip(*equation.params["padding_config"], strict=True)
    if any(between):
        raise _unknown("a pad between entries")
    return graph.node("Pad", operand, np.asarray(low + high, np.int64), value)


def _dot(graph: Graph, equation: Equation, left: Value, right: Value) -> str:
    """A matrix product where it is one, else a sum over letters, one for each axis."""
    (summed, summed_right), (kept, kept_right) = equation.params["dimension_numbers"]
    ranks = [variable.aval.ndim for variable in equation.invars]
    if not kept and ranks[1] == 2 and (*summed, *summed_right) == (ranks[0] - 1, 0):
        return graph.node("MatMul", left, right)
    letters = iter(string.ascii_letters)
    first = [next(letters) for _ in range(ranks[0])]
    same = dict(zip((*summed_right, *kept_right), (first[axis] for axis in (*summed, *kept)), strict=True))
    second = [same.get(axis) or next(letters) for axis in range(ranks[1])]
    rest = [letter for axis, letter in enumerate(first) if axis not in (*summed, *kept)]
    rest += [letter for axis, letter in enumerate(second) if axis not in same]
    result = "".join([*(first[axis] for axis in kept), *rest])
    return graph.node("Einsum", left, right, equation=f"{''.join(first)},{''.join(second)}->{result}")


def _convolution(graph: Graph, equation: Equation, image: Value, kernel: Value) -> str:
    params, numbers = equation.params, equation.params["dimension_numbers"]
    if any(size != 1 for size in params["lhs_dilation"]) or params["batch_group_count"] != 1:
        raise _unknown("a transposed convolution")
    low, high = zip(*params["padding"], strict=True)
    image, kernel = (
        graph.node("Transpose", operand, perm=list(axes))
        for operand, axes in ((image, numbers.lhs_spec), (kernel, numbers.rhs_spec))
    )
    made = graph.node(
        "Conv",
        image,
        kernel,
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        pads=[int(size) for size in low + high],
        group=params["feature_group_count"],
    )
    return graph.node("Transpose", made, perm=np.argsort(numbers.out_spec).tolist())


def _sum(graph: Graph, equation: Equation, operand: Value) -> str:
    return graph.node("ReduceSum", operand, np.asarray(equation.params["axes"], np.int64), keepdims=0)


def _reduce(operator: str) -> Callable[[Graph, Equation, Value], str]:
    return lambda graph, equation, operand: graph.node(
        operator, operand, axes=[int(axis) for axis in equation.params["axes"]], keepdims=0
    )


def _select(graph: Graph, equation: Equation, which: Value, *cases: Value) -> str:
    if equation.invars[0].aval.dtype != bool:
        raise _unknown("a choice by number")
    return graph.node("Where", which, cases[1], cases[0])


def _cast(graph: Graph, equation: Equation, operand: Value) -> str:
    return graph.node("Cast", operand, to=_KINDS[np.dtype(equation.outvars[0].aval.dtype).name])


_KINDS = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
"""Types of numbers, as ONNX counts them."""


def _power(graph: Graph, equation: Equation, operand: Value) -> str:
    exponent = equation.params.get("y", 2)
    return graph.node("Pow", operand, np.asarray(exponent, equation.invars[0].aval.dtype))


def _one(equation: Equation) -> np.ndarray:
    return np.ones((), equation.invars[0].aval.dtype)


def _split(graph: Graph, equation: Equation, inputs: list[Value]) -> list[Value]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    ends = np.cumsum(sizes)
    bounds = [np.asarray(each, np.int64) for each in zip(ends - sizes, ends, [axis] * len(sizes), strict=True)]
    return [graph.node("Slice", *inputs, *(bound[i : i + 1] for i in range(3))) for bound in bounds]


def _scan(graph: Graph, equation: Equation, inputs: list[Value]) -> list[Value]:
    """A loop of known length, its steps one after the other."""
    params = equation.params
    first, body = params["num_consts"], params["jaxpr"]
    constants, carry = inputs[:first], inputs[first : first + params["num_carry"]]
    rows, stacked = inputs[first + params["num_carry"] :], {}
    steps = range(params["length"])
    for index in reversed(steps) if params["reverse"] else steps:
        row = [graph.node("Gather", each, np.asarray(index, np.int64), axis=0) for each in rows]
        made = graph.inline(body.jaxpr, body.consts, [*constants, *carry, *row])
        carry, stacked[index] = made[: len(carry)], made[len(carry) :]
    axis = np.zeros(1, np.int64)
    columns = zip(*(stacked[index] for index in steps), strict=True)
    lists = [[graph.node("Unsqueeze", each, axis) for each in column] for column in columns]
    return [*carry, *(graph.node("Concat", *each, axis=0) for each in lists)]


SEVERAL: dict[str, Callable[[Graph, Equation, list[Value]], list[Value]]] = {"split": _split, "scan": _scan}
"""Operations that make several values."""

OPERATIONS: dict[str, Callable[..., str]] = {
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": lambda graph, equation, x: graph.node("Transpose", x, perm=list(equation.params["permutation"])),
    "slice": _slice,
    "pad": _pad,
    "concatenate": lambda graph, equation, *parts: graph.node("Concat", *parts, axis=equation.params["dimension"]),
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "reduce_sum": _sum,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "select_n": _select,
    "convert_element_type": _cast,
    "integer_pow": _power,
    "square": _power,
    "ne": lambda graph, equation, *pair: graph.node("Not", graph.node("Equal", *pair)),
    "rsqrt": lambda graph, equation, x: graph.node("Reciprocal", graph.node("Sqrt", x)),
    "log1p": lambda graph, equation, x: graph.node("Log", graph.node("Add", x, _one(equation))),
    "expm1": lambda graph, equation, x: graph.node("Sub", graph.node("Exp", x), _one(equation)),
    "clamp": lambda graph, equation, low, x, high: graph.node("Min", graph.node("Max", x, low), high),
}
"""Operations that make one value of one or several nodes."""
