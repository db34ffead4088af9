"""What is settled before a run begins: its settings, its folder, what the folder holds, and its devices."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from pods_jax import checks
from pods_jax.algorithms.algorithm import Phase
from pods_jax.checks import InputError
from pods_jax.devices import processes, sharding
from pods_jax.envs import Environment
from pods_jax.runs import own_environment, profiling
from pods_jax.runs.configuration import Configuration, check, describe, differences
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import checkpoints
from pods_jax.storage.checkpoints import CheckpointError
from pods_jax.training import phases_ahead

RESUME = ("auto", "never", "must")


@dataclass(frozen=True)
class Plan:
    """What a run is going to do; made once, by `open_run`, and passed on."""

    configuration: Configuration
    folder: Workdir
    resume: str
    saved: tuple[int, ...]  # epochs with a checkpoint, ascending; known to the process that writes, () in the others
    devices: tuple[jax.Device, ...]  # that share the rollouts
    profile_epochs: int

    @property
    def latest_epoch(self) -> int:
        """Epochs that are trained and saved; 0 for a new run."""
        return self.saved[-1] if self.saved else 0

    @property
    def phases_ahead(self) -> list[tuple[Phase, range]]:
        """The phases that are still to train, each with its epochs."""
        return phases_ahead(self.configuration.algorithm, self.latest_epoch, self.configuration.num_epochs)


def open_run(
    config: Mapping[str, Any],
    workdir: str | os.PathLike[str],
    resume: str = "auto",
    num_devices: int = 1,
    profile_epochs: int = 0,
    env: Environment | None = None,
) -> Plan:
    """Checks everything that can be checked without computing or writing anything; see `experiment.run`."""
    folder, writes = Workdir(workdir), processes.is_first()  # to look into it is for the one who writes there
    if writes:
        folder.check_usable()
        checkpoints.check_format(folder.checkpoints)  # before the settings: another version has others
    if env is not None:
        env = checks.instance("env", env, Environment, "envs.from_step(...)")
        config = {**config, "env": describe(env)}
    own_environment.load(config)
    configuration = check(config, env)
    resume = checks.choice("resume", resume, RESUME)
    plan = Plan(configuration, folder, resume, (), (), profile_epochs)
    if writes:
        plan = _with_what_is_saved(plan)
    lengths = [len(epochs) for _, epochs in plan.phases_ahead]
    profile_epochs = profiling.check(profile_epochs, lengths, configuration.evaluate_every)
    devices = sharding.choose(num_devices)
    with sharding.on(devices):  # refuses what cannot be divided among them
        jax.eval_shape(configuration.algorithm.init, jax.random.key(0))
    return dataclasses.replace(plan, devices=tuple(devices), profile_epochs=profile_epochs)


def with_seed(plan: Plan, workdir: str | os.PathLike[str], seed: int) -> Plan:
    """The plan of the same training with another seed in another folder, sharing what is compiled; see `open_run`."""
    folder, seed = Workdir(workdir), checks.seed("config.seed", seed)
    folder.check_usable()
    checkpoints.check_format(folder.checkpoints)
    fields = {**plan.configuration.fields, "seed": seed}
    configuration = dataclasses.replace(plan.configuration, fields=fields, seed=seed)
    return _with_what_is_saved(dataclasses.replace(plan, configuration=configuration, folder=folder, saved=()))


@contextmanager
def locked(plan: Plan) -> Iterator[Plan]:
    """Keeps other processes out of the folder; the plan is checked once more, one of them may have trained there."""
    with plan.folder.lock():
        yield _with_what_is_saved(plan)


def _with_what_is_saved(plan: Plan) -> Plan:
    """Raises InputError or CheckpointError if the folder is not what `resume` asks for; see `experiment.run`."""
    folder, saved = plan.folder, tuple(checkpoints.epochs(plan.folder.checkpoints))
    if saved and plan.resume == "never":
        raise InputError(f"{folder.path} holds a run of {saved[-1]} epochs; name another folder, or --resume=auto")
    if not saved and plan.resume == "must":
        raise CheckpointError(f"{folder.path} holds no checkpoint, and --resume=must asks for one")
    changed = differences(folder.read_config(), plan.configuration.fields) if saved else []
    if changed:
        raise InputError(
            "\n  ".join([f"{folder.path} holds a run with other settings; name another folder", *changed])
        )
    return dataclasses.replace(plan, saved=saved)
