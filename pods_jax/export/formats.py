"""Three formats: from the variables of a policy network to bytes, and from bytes to a function of observations.

safetensors: the weights, for any framework. stablehlo: the compiled function, for jax (`jax.export`), for any batch
size, on CPU, CUDA and TPU. onnx: for any runtime that reads ONNX, without Python if need be.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.policies.network import PolicyNetwork

BatchedPolicy: TypeAlias = Callable[[jax.Array], jax.Array]
"""Maps observations (N, O) to actions (N, A) in action units."""

PLATFORMS = ("cpu", "cuda", "tpu")
OPSET, IR_VERSION = 17, 9
"""Of ONNX: old enough for runtimes of 2023."""


def layers_of(variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers of a policy network, from the first to the last."""
    params = variables["params"]
    return [params[f"Dense_{index}"] for index in range(len(params))]


def network_of(variables: Mapping[str, Any]) -> PolicyNetwork:
    """The network whose variables these are."""
    *hidden, output = (layer["bias"].shape[0] for layer in layers_of(variables))
    return PolicyNetwork(tuple(hidden), output)


def _to_safetensors(env: Environment, variables: Mapping[str, Any]) -> bytes:
    with _extra("export"):
        from safetensors.numpy import save
    named = traverse_util.flatten_dict({**variables, "action_limit": env.action_limit}, sep="/")
    return save({name: np.ascontiguousarray(leaf) for name, leaf in named.items()})


def _from_safetensors(content: bytes, description: Mapping[str, Any]) -> BatchedPolicy:
    with _extra("export"):
        from safetensors.numpy import load
    named = {name: jnp.asarray(leaf) for name, leaf in load(content).items()}
    variables = traverse_util.unflatten_dict(named, sep="/")
    limit = variables.pop("action_limit")
    return lambda observations: jnp.asarray(network_of(variables).apply(variables, observations, limit))


def _to_stablehlo(env: Environment, variables: Mapping[str, Any]) -> bytes:
    with _extra("export"):
        import flatbuffers  # noqa: F401  jax needs it to serialize, and installs it not
    shape = jax.export.symbolic_shape(f"batch, {env.observation_size}")

    def act(observations):
        with jax.default_matmul_precision("highest"):
            return network_of(variables).apply(variables, observations, env.action_limit)

    argument = jax.ShapeDtypeStruct(shape, env.action_limit.dtype)
    return bytes(jax.export.export(jax.jit(act), platforms=PLATFORMS)(argument).serialize())


def _from_stablehlo(content: bytes, description: Mapping[str, Any]) -> BatchedPolicy:
    with _extra("export"):
        import flatbuffers  # noqa: F401
    return jax.export.deserialize(bytearray(content)).call


def _to_onnx(env: Environment, variables: Mapping[str, Any]) -> bytes:
    with _extra("onnx"):
        from onnx import TensorProto, checker, helper, numpy_helper
    constants = {"limit": env.action_limit, **variables["scaling"]}
    nodes = [("Sub", ["observation", "mean"], "centred"), ("Div", ["centred", "deviation"], "hidden")]
    layers = layers_of(variables)
    for index, layer in enumerate(layers):
        kernel, bias, sums = (f"{name}_{index}" for name in ("kernel", "bias", "sums"))
        constants |= {kernel: layer["kernel"], bias: layer["bias"]}
        last = index == len(layers) - 1
        nodes.append(("Gemm", [nodes[-1][2], kernel, bias], sums))
        nodes.append(("Tanh" if last else "Relu", [sums], f"after_{index}"))
    nodes.append(("Mul", [nodes[-1][2], "limit"], "action"))
    kind = TensorProto.DOUBLE if env.action_limit.dtype == jnp.float64 else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output]) for operator, inputs, output in nodes],
        f"{env.name} {env.task}",
        [helper.make_tensor_value_info("observation", kind, ["batch", env.observation_size])],
        [helper.make_tensor_value_info("action", kind, ["batch", env.action_size])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, producer_name="pods_jax", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(model)
    return model.SerializeToString()


def _from_onnx(content: bytes, description: Mapping[str, Any]) -> BatchedPolicy:
    with _extra("onnx"):
        import onnxruntime
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def act(observations):
        return session.run(["action"], {"observation": np.asarray(observations)})[0]

    def batched(observations):
        shape = (observations.shape[0], description["action"]["size"])
        result = jax.ShapeDtypeStruct(shape, observations.dtype)
        return jax.pure_callback(act, result, observations, vmap_method="sequential")

    return batched


WRITERS = {"safetensors": _to_safetensors, "stablehlo": _to_stablehlo, "onnx": _to_onnx}
READERS = {"safetensors": _from_safetensors, "stablehlo": _from_stablehlo, "onnx": _from_onnx}


@contextlib.contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install 'pods_jax[{name}]'") from error
