"""The folder of one run: what lies where, and whether it can be used."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from pods_jax.checkpoints import CheckpointError
from pods_jax.checks import InputError


class Workdir:
    """The paths of one run. Making this object touches nothing on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise InputError("workdir = '': must be the folder of a run, for example --workdir=runs/pendulum")
        self.path = pathlib.Path(path).expanduser().absolute()
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.evaluation = self.path / "evaluation.json"
        self.learning_curve = self.path / "figures" / "learning_curve.png"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"

    def check_writable(self) -> None:
        """Raises InputError if the folder cannot be written to, or made; writes nothing."""
        existing = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        if not existing.is_dir():
            raise InputError(f"workdir = '{self.path}': {existing} is a file; name a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"workdir = '{self.path}': {existing} is not writable; name another folder")

    def read_config(self) -> dict[str, Any]:
        """Returns the configuration of the run; raises CheckpointError if there is none that can be read."""
        if not self.config.is_file():
            raise CheckpointError(f"{self.path} holds no run: there is no {self.config.name} in it")
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except ValueError as error:  # not JSON, or not even text
            raise CheckpointError(f"{self.config} cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise CheckpointError(f"{self.config} is not a configuration: it holds no named fields")
        return config


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replacement = path.with_suffix(".tmp")
    replacement.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(replacement, path)
