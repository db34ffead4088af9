"""A policy as a file that runs elsewhere: its numbers, and beside them a description of what they mean.

`policy.onnx` comes with `policy.onnx.json`: what is observed in which units, the limits and the rate of the actions,
environment and versions, and a sha256 of the policy file. The description is sealed by a sha256 of its own, so that
nothing that was cut, damaged or mixed up is ever run.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.export.formats import OWN, READERS, WRITERS, BatchedPolicy, batched, describe_network, network_of
from pods_jax.rollouts import check_environment
from pods_jax.storage import checksums, files, manifest
from pods_jax.types import Policy

FORMATS = tuple(WRITERS)
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
NUM_COMPARED = 256
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}
"""How far a reloaded policy may be from the original, relative to the action limits."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy from a file: a function of one observation (O,) to one action (A,), and what it is for."""

    description: Mapping[str, Any]
    batched: BatchedPolicy  # (N, O) -> (N, A)

    def __call__(self, observation: jax.Array) -> jax.Array:
        """(A,) in action units for an observation (O,). Raises InputError on another shape."""
        checks.shape("observation", observation, (self.description["observation"]["size"],))
        dtype = self.description["observation"]["dtype"]
        return self.batched(jnp.asarray(observation, dtype)[None])[0]


def save_policy(
    path: pathlib.Path | str, env: Environment, policy: Policy, format: str, notes: Mapping[str, Any] | None = None
) -> float:
    """Writes a policy and its description, reloads both, and returns the largest difference relative to the limits.

    policy: of `algorithm.policy`, with whatever network. notes: kept in the description as they are. Both files take
    their names once what was written has been tried; until then what had these names stays. Raises InputError for
    another policy, an unknown format, a name that does not end in it, a network that the format cannot say, notes
    that JSON cannot hold, or a package that is not installed, OSError if the files cannot be written, and
    FloatingPointError if what was written computes something else than the policy.
    """
    path = check_name(path, format)
    check_environment(env)
    network, _ = network_of(policy)
    kept = _checked_notes(checks.mapping("notes", {} if notes is None else notes))
    content = WRITERS[format](env, policy)
    description = describe(env, policy, format) | {"sha256": _digest(content), "notes": kept}
    with files.replacing(path, description_path(path)) as (place, description_place):
        place.write_bytes(content)
        text = json.dumps(checksums.seal(description), indent=1, allow_nan=False)
        description_place.write_text(text + "\n", encoding="utf-8")
        own = network.encoder if _needs_network(description) else None
        difference = compare(load_policy(place, env, own), env, policy)
        tolerance = TOLERANCE[str(env.action_limit.dtype)]
        if not difference <= tolerance:
            raise FloatingPointError(
                f"{path}: what was written differs from the policy by {difference:.1e} of the action limits, more "
                f"than {tolerance:g}; nothing was replaced"
            )
    return difference


def load_policy(
    path: pathlib.Path | str, env: Environment | None = None, network: nn.Module | None = None
) -> LoadedPolicy:
    """The policy of a file that `save_policy` wrote.

    env: refuse the policy unless it is for this environment. network: the flax module that was given for the setting
    `network`, for a safetensors file of such a policy, which has its weights only. Raises InputError for a file that
    is missing, damaged, cut or of another version, for float64 where jax has it switched off, for another
    environment, and for a network that is missing, needless or another one.
    """
    path = checks.path("path", path)
    if env is not None:
        check_environment(env)
    description = _read_description(path)
    content = _read(path)
    if _digest(content) != description["sha256"]:
        raise InputError(
            f"{path}: damaged, or not the file that {description_path(path).name} describes; export again"
        )
    if description["observation"]["dtype"] == "float64" and not jax.config.read("jax_enable_x64"):
        raise InputError(f"{path}: computes in float64; set JAX_ENABLE_X64=1")
    if env is not None:
        _check_environment(path, description, env)
    if network is not None:
        checks.instance("network", network, nn.Module, "the one given as algorithm.network")
        if not _needs_network(description):
            found = f"is of type {type(network).__name__}"
            raise InputError("network", network, f"must not be given, {path} has all of the network", found=found)
    return LoadedPolicy(description, READERS[description["format"]](content, description, network))


def describe(env: Environment, policy: Policy, format: str) -> dict[str, Any]:
    """Everything that whoever runs the policy has to know, as JSON."""
    check_environment(env)
    checks.choice("format", format, FORMATS)
    network, _ = network_of(policy)
    return {
        "format_version": FORMAT_VERSION,
        "format": format,
        "environment": {"name": env.name, "task": env.task, "horizon": env.horizon},
        "time_step": env.time_step,
        "rate": {"value": 1 / env.time_step, "unit": "Hz"},
        "observation": {
            "size": env.observation_size,
            "dtype": str(env.action_limit.dtype),
            "layout": [dataclasses.asdict(block) for block in env.observation_layout],
        },
        "action": {
            "size": env.action_size,
            "unit": env.action_unit or "unknown",
            "limit": np.asarray(env.action_limit).tolist(),
        },
        "network": describe_network(env, network),
        "versions": manifest.versions(),
    }


def compare(loaded: LoadedPolicy, env: Environment, policy: Policy) -> float:
    """The largest difference of actions on random observations, relative to the limits; NaN if one is not finite."""
    checks.instance("loaded", loaded, LoadedPolicy, "what `load_policy` returns")
    check_environment(env)
    scaling = network_of(policy)[1]["scaling"]
    normal = jax.random.normal(jax.random.key(0), (NUM_COMPARED, env.observation_size), env.action_limit.dtype)
    observations = scaling["mean"][None] + scaling["deviation"][None] * normal
    difference = loaded.batched(observations) - batched(policy)(observations)
    return float(jnp.max(jnp.abs(difference) / env.action_limit[None]))


def check_name(path: pathlib.Path | str, format: str) -> pathlib.Path:
    """The name of a policy file; raises InputError unless the format is known and the file is named after it."""
    path = checks.path("path", path)
    checks.choice("format", format, FORMATS)
    if path.suffix != f".{format}":
        raise InputError(f"out = {str(path)!r}: must name a file that ends in .{format}")
    return path


def description_path(path: pathlib.Path | str) -> pathlib.Path:
    """Where the description of a policy file lies."""
    path = checks.path("path", path)
    return path.with_name(path.name + ".json")


def _checked_notes(notes: Mapping[str, Any]) -> Any:
    """The notes as JSON gives them back."""
    try:
        return json.loads(json.dumps(dict(notes), allow_nan=False))
    except (TypeError, ValueError) as error:
        found = f"hold what JSON cannot ({error})"
        raise InputError("notes", notes, "must be numbers, texts, lists and mappings of them", found=found) from error


def _needs_network(description: Mapping[str, Any]) -> bool:
    """Whether a file has the weights of an encoder that nobody but its author can build."""
    return description["format"] == "safetensors" and description["network"].get("encoder") == OWN


def _check_environment(path: pathlib.Path, description: Mapping[str, Any], env: Environment) -> None:
    now = {
        "name": env.name,
        "task": env.task,
        "observation size": env.observation_size,
        "action limit": np.asarray(env.action_limit).tolist(),
        "time step": env.time_step,
    }
    before = {
        **description["environment"],
        "observation size": description["observation"]["size"],
        "action limit": description["action"]["limit"],
        "time step": description["time_step"],
    }
    wrong = [f"{field} {before[field]}, now {value}" for field, value in now.items() if before[field] != value]
    if wrong:
        raise InputError(f"{path}: is for another environment: {'; '.join(wrong)}")


def _read_description(path: pathlib.Path) -> dict[str, Any]:
    place = description_path(path)
    content = _read(place)
    try:
        description = checksums.unseal(json.loads(content))
    except ValueError as error:
        raise InputError(f"{place}: damaged, it is not what was written ({error}); export again") from error
    if description.get("format_version") not in READABLE_VERSIONS:
        raise InputError(
            f"{place}: has format {description.get('format_version')}, and this version of pods_jax reads "
            f"{' and '.join(map(str, READABLE_VERSIONS))}; install the version that wrote it, or export again"
        )
    checks.choice(f"{place}: format", description.get("format"), FORMATS)
    return description


def _read(path: pathlib.Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such file; a policy file and its description lie side by side")
    return path.read_bytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
