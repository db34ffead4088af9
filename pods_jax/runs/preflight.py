"""What is checked before a run begins: its settings, its folder, and what the folder holds."""

import os
from collections.abc import Mapping
from typing import Any

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.devices import processes
from pods_jax.runs import profiling
from pods_jax.runs.configuration import Configuration, check, differences
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import checkpoints
from pods_jax.storage.checkpoints import CheckpointError
from pods_jax.training import phases_ahead

RESUME = ("auto", "never", "must")


def prepare(
    config: Mapping[str, Any], workdir: str | os.PathLike[str], resume: str, profile_epochs: int = 0
) -> tuple[Configuration, Workdir]:
    """Checks everything that can be checked without computing or writing anything; see `experiment.run`."""
    configuration, folder = check(config), Workdir(workdir)
    checks.choice("resume", resume, RESUME)
    if not processes.is_first():
        return configuration, folder  # to look into the folder is for the one who writes there
    folder.check_usable()
    check_resume(configuration, folder, resume)
    done = checkpoints.latest_epoch(folder.checkpoints) or 0
    ahead = phases_ahead(configuration.algorithm, done, configuration.num_epochs)
    profiling.check(profile_epochs, [len(epochs) for _, epochs in ahead], configuration.evaluate_every)
    return configuration, folder


def check_resume(configuration: Configuration, folder: Workdir, resume: str) -> None:
    """Raises InputError or CheckpointError if the folder is not what `resume` asks for; see `experiment.run`."""
    saved = checkpoints.latest_epoch(folder.checkpoints)
    if saved is None:
        if resume == "must":
            raise CheckpointError(f"{folder.path} holds no checkpoint, and --resume=must asks for one")
        return
    if resume == "never":
        raise InputError(f"{folder.path} holds a run of {saved} epochs; name another folder, or --resume=auto")
    changed = differences(folder.read_config(), configuration.fields)
    if changed:
        raise InputError(
            "\n  ".join([f"{folder.path} holds a run with other settings; name another folder", *changed])
        )
