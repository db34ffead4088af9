"""What a run was made with: enough to make it again, and nothing private."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import jax

PACKAGES = ("pods_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def collect(config: Mapping[str, Any], first_epoch: int) -> dict[str, Any]:
    """Returns configuration, seed, versions, devices, settings of jax, and the commit of the sources, if any."""
    return {
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "first_epoch": first_epoch,
        "config": config,
        "seed": config["seed"],
        "commit": commit(),
        "versions": versions(),
        "platform": platform.platform(),
        **machine(),
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of what computes and stores."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # this package itself, where its folder is only on the path
        return "not installed"


def machine() -> dict[str, Any]:
    """Returns what bits depend on beside the sources: jax, its devices and its settings."""
    devices = jax.devices()
    return {
        "jax": jax.__version__,
        "device": f"{devices[0].platform} {devices[0].device_kind}",
        "num_devices": len(devices),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def commit() -> str | None:
    """Returns the git commit of the sources, with a + if files have changed since; None where there is no git."""
    here = pathlib.Path(__file__).parents[1] / "__init__.py"
    commands = (
        ["ls-files", "--error-unmatch", here.name],  # an installed copy may lie in the repository of something else
        ["rev-parse", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no", "."],
    )
    try:
        _, head, changed = [
            subprocess.run(["git", *command], cwd=here.parent, capture_output=True, text=True, timeout=10, check=True)
            for command in commands
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
