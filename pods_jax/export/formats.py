"""Three formats: from a policy to bytes, and from bytes to a function of observations.

safetensors: the weights, for any framework, and a description of the network. stablehlo: the compiled function, for
jax (`jax.export`), for any batch size, on CPU, CUDA and TPU. onnx: for any runtime that reads ONNX, without Python if
need be.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.envs.description import Block
from pods_jax.export import onnx_graph
from pods_jax.policies.encoders import NETWORKS, encoder_of
from pods_jax.policies.network import PolicyNetwork
from pods_jax.types import Policy

BatchedPolicy: TypeAlias = Callable[[jax.Array], jax.Array]
"""Maps observations (N, O) to actions (N, A) in action units."""

PLATFORMS = ("cpu", "cuda", "tpu")
OWN = "own"
"""What a description calls an encoder that is none of NETWORKS."""


def network_of(policy: Policy) -> tuple[PolicyNetwork, Mapping[str, Any]]:
    """The network of a policy, and its variables; raises InputError for a policy that is not of a train state."""
    network = getattr(getattr(getattr(policy, "func", None), "__self__", None), "network", None)
    arguments: Sequence[Any] = getattr(policy, "args", ())
    variables = arguments[0] if len(arguments) == 1 else None
    if not isinstance(network, PolicyNetwork) or not isinstance(variables, Mapping):
        raise InputError("policy: must be the policy of a train state, algorithm.policy(train_state)")
    return network, variables


def describe_network(env: Environment, network: PolicyNetwork) -> dict[str, Any]:
    """What `network_like` needs to build the network again."""
    found = (name for name in NETWORKS if network.encoder == encoder_of(name, env.observation_layout, env.time_step))
    sizes = [int(size) for size in network.hidden_sizes]
    return {
        "encoder": next(found, OWN),
        "hidden_sizes": sizes,
        "activation": "relu",
        "output": "limit * tanh",
    }


def network_like(description: Mapping[str, Any], own: nn.Module | None) -> PolicyNetwork:
    """The network that a description is of; own: the encoder, where it is OWN."""
    layout = tuple(Block(**block) for block in description["observation"]["layout"])
    described = description["network"]
    name = described.get("encoder", "mlp")  # the first version of the files knew no other
    encoder = own if name == OWN else encoder_of(name, layout, description["time_step"])
    return PolicyNetwork(tuple(described["hidden_sizes"]), description["action"]["size"], encoder)


def batched(policy: Policy) -> BatchedPolicy:
    """The policy for many observations, with products of matrices as precise as they can be."""

    def act(observations: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return jax.vmap(policy)(observations)

    return act


def _observations(env: Environment) -> jax.ShapeDtypeStruct:
    """(batch, O) for any number of observations."""
    shape = jax.export.symbolic_shape(f"batch, {env.observation_size}")
    return jax.ShapeDtypeStruct(shape, env.action_limit.dtype)


def _to_safetensors(env: Environment, policy: Policy) -> bytes:
    with _extra("export"):
        from safetensors.numpy import save
    _, variables = network_of(policy)
    named = traverse_util.flatten_dict({**variables, "action_limit": env.action_limit}, sep="/")
    return save({name: np.ascontiguousarray(leaf) for name, leaf in named.items()})


def _from_safetensors(content: bytes, description: Mapping[str, Any], own: nn.Module | None) -> BatchedPolicy:
    with _extra("export"):
        from safetensors.numpy import load
    if own is None and description["network"].get("encoder") == OWN:
        raise InputError(
            "network",
            None,
            "must be the flax module that the policy was trained with, which a safetensors file "
            "holds the weights of; or export as stablehlo or onnx, which hold all of it",
        )
    named = {name: jnp.asarray(leaf) for name, leaf in load(content).items()}
    variables = traverse_util.unflatten_dict(named, sep="/")
    limit = variables.pop("action_limit")
    network = network_like(description, own)
    sample = jax.ShapeDtypeStruct((description["observation"]["size"],), limit.dtype)
    expected = jax.eval_shape(network.init, jax.random.key(0), sample, limit)
    if jax.tree.map(jnp.shape, variables) != jax.tree.map(jnp.shape, expected):
        raise InputError(
            "network", own, "must be the flax module that the policy was trained with: it has other weights"
        )
    return batched(lambda observation: jnp.asarray(network.apply(variables, observation, limit)))


def _to_stablehlo(env: Environment, policy: Policy) -> bytes:
    with _extra("export"):
        import flatbuffers  # noqa: F401  jax needs it to serialize, and installs it not
    function = jax.jit(batched(policy))
    return bytes(jax.export.export(function, platforms=PLATFORMS)(_observations(env)).serialize())


def _from_stablehlo(content: bytes, description: Mapping[str, Any], own: nn.Module | None) -> BatchedPolicy:
    with _extra("export"):
        import flatbuffers  # noqa: F401
    return jax.export.deserialize(bytearray(content)).call


def _to_onnx(env: Environment, policy: Policy) -> bytes:
    with _extra("onnx"):
        return onnx_graph.to_bytes(f"{env.name} {env.task}", batched(policy), _observations(env))


def _from_onnx(content: bytes, description: Mapping[str, Any], own: nn.Module | None) -> BatchedPolicy:
    with _extra("onnx"):
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotThere
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except NotThere as error:
        dtype = description["observation"]["dtype"]
        raise InputError(
            f"onnxruntime has not all that this policy does in {dtype}: take stablehlo, or float32 ({error})"
        ) from error

    def act(observations):
        return session.run([onnx_graph.OUTPUT], {onnx_graph.INPUT: np.asarray(observations)})[0]

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
