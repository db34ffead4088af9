"""The folder of one run: what lies where, whether it can be used, and who uses it."""

import datetime
import fcntl
import json
import os
import pathlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pods_jax.checks import InputError
from pods_jax.storage import checkpoints, files
from pods_jax.storage.checkpoints import CheckpointError

MAX_CONFIG_BYTES = 2**20
"""Bytes of a configuration, a thousand times what one needs."""


class Workdir:
    """The paths of one run. Making this object touches nothing on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise InputError("workdir = '': must be the folder of a run, for example --workdir=runs/pendulum")
        try:
            os.fsencode(path)
            os.fspath(path).encode("utf-8")  # as what writes the checkpoints does
        except UnicodeEncodeError as error:
            raise InputError(
                "workdir",
                os.fspath(path),
                "has letters that this locale does not know; set LC_ALL=C.UTF-8 or PYTHONUTF8=1",
            ) from error
        self.path = pathlib.Path(path).expanduser().absolute()
        self.config = self.path / "config.json"
        self.manifest = self.path / "manifest.json"
        self.metrics = self.path / "metrics.jsonl"
        self.evaluation = self.path / "evaluation.json"
        self.learning_curve = self.path / "figures" / "learning_curve.png"
        self.checkpoints = self.path / "checkpoints"
        self.damaged = self.path / "damaged"  # checkpoints that could not be used
        self.events = self.path / "events"
        self.profile = self.path / "profile"
        self.failure = self.path / "failure.json"
        self.in_use = self.path / ".lock"

    def check_usable(self) -> None:
        """Raises InputError if the folder is no place for a run, OSError on a read-only disk; writes nothing.

        Nothing is written outside the folder: links inside it are not followed. A folder that holds other things
        than a run is not taken for one.
        """
        existing = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        if not existing.is_dir():
            raise InputError(f"workdir = '{self.path}': {existing} is a file; name a folder")
        if os.statvfs(existing).f_flag & os.ST_RDONLY:
            raise OSError(f"workdir = '{self.path}': {existing} lies on a read-only disk; name another folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"workdir = '{self.path}': {existing} is not writable; name another folder")
        own = [path for path in vars(self).values() if path != self.path]
        for path in own:
            if path.is_symlink() or (path.parent.is_symlink() and path.parent != self.path):
                raise InputError(f"workdir = '{self.path}': {path} is a link, which could lead anywhere; remove it")
        if existing == self.path and not self.config.exists():
            names = {path.relative_to(self.path).parts[0] for path in own}
            found = (entry.name for entry in self.path.iterdir() if not entry.name.endswith(files.SUFFIX))
            foreign = sorted(name for name in found if name not in names)
            if foreign:
                raise InputError(
                    f"workdir = '{self.path}': it holds {foreign[0]}, and no {self.config.name} of a run; "
                    "name an empty or a new folder"
                )

    def seeds(self) -> list["Workdir"]:
        """The folders of several seeds that were trained together, by their numbers; see `runs.seeds`."""
        if self.config.exists():
            return []
        below = (folder for folder in self.path.glob("seed_*") if (folder / self.config.name).is_file())
        return [Workdir(folder) for folder in sorted(below, key=lambda folder: (len(folder.name), folder.name))]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out, raising InputError in them; it ends with the process, however that ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.in_use.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise InputError(f"workdir = '{self.path}': it is in use by {file.read() or 'a process'}") from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
            file.flush()
            for folder in (self.path, self.learning_curve.parent):
                files.remove_partial(folder)
            try:
                yield
            finally:
                file.truncate(0)

    def read_config(self) -> dict[str, Any]:
        """Returns the configuration of the run; raises CheckpointError if there is none that can be read.

        The run of a version with another format is refused as such, before its settings are looked at.
        """
        if not self.config.is_file():
            below = self.seeds()
            hint = f"; it holds those of {len(below)} seeds, such as {below[0].path}" if below else ""
            raise CheckpointError(f"{self.path} holds no run: there is no {self.config.name} in it{hint}")
        checkpoints.check_format(self.checkpoints)
        if self.config.stat().st_size > MAX_CONFIG_BYTES:
            raise CheckpointError(f"{self.config} cannot be read: it is larger than {MAX_CONFIG_BYTES} bytes")
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except ValueError as error:  # not JSON, or not even text
            raise CheckpointError(f"{self.config} cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise CheckpointError(f"{self.config} is not a configuration: it holds no named fields")
        return config


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
