"""The optima of test beds, kept beside the compiled programs, so that the next run need not search them again.

A file has the sha256 of everything that its numbers depend on for a name: the settings of the environment, how many
states, the versions and the device, and the sources of this package. What was computed otherwise is never found.
"""

import hashlib
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pods_jax.storage import checksums, files, manifest

HERE = pathlib.Path(__file__).parents[1]


def path_of(env: Mapping[str, Any], num_rollouts: int) -> pathlib.Path | None:
    """Where the optima of held-out states are kept; None where no compiled programs are kept either.

    env: the settings of an environment of the registry, which stand for it.
    """
    folder = jax.config.values["jax_compilation_cache_dir"]
    if folder is None or not jax.config.values["jax_enable_compilation_cache"]:
        return None
    made_of = {
        "env": dict(env),
        "num_rollouts": num_rollouts,
        "versions": manifest.versions(),
        **manifest.machine(),
        "sources": sources(),
    }
    return pathlib.Path(folder) / "optima" / f"{checksums.of_json(made_of)}.npz"


def sources() -> str:
    """The sha256 of all Python files of the package."""
    total = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        total.update(f"{path.relative_to(HERE)}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def read(path: pathlib.Path, num_rollouts: int) -> np.ndarray | None:
    """(num_rollouts,) the optima in a file; None if there is none, or if it is damaged."""
    try:
        with np.load(path) as content:  # a zip file, which knows its checksums; no pickle is read
            optimum = content["optimum"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return optimum if optimum.shape == (num_rollouts,) else None


def write(path: pathlib.Path, optimum: jax.Array) -> None:
    """Keeps the optima (num_rollouts,) of held-out states; raises OSError if the disk is full or read-only."""
    with files.replacing(path) as (place,), place.open("wb") as file:
        np.savez(file, optimum=np.asarray(optimum))
