"""Trains a policy, or goes on training the one in --workdir, and evaluates it.

python scripts/train.py --config=configs/pods.py --workdir=runs/pendulum_2d_stop --config.seed=1
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from pods_jax.checks import InputError
from pods_jax.commands import command_line, config_files, train_help
from pods_jax.devices import cpu, processes
from pods_jax.runs import dry_run, experiment, seeds
from pods_jax.runs.evaluator import HELD_OUT, Evaluator

FLAGS: tuple[tuple[str, str | int, str], ...] = (
    ("workdir", "", "Folder of the run, made if it is not there."),
    ("resume", "auto", "auto, never or must go on with a run in --workdir."),
    ("num_devices", 1, "Devices of each process that share the rollouts, without a GPU cores; 0 takes all."),
    ("num_seeds", 1, "Seeds from --config.seed on that are trained in one program, each in --workdir/seed_N."),
    ("profile_epochs", 0, "Leave a trace of so many epochs below --workdir."),
    ("coordinator_address", "", "HOST:PORT of the first of several processes."),
    ("num_processes", 1, "Processes that train together."),
    ("process_id", 0, "Which of them this is, from 0 on."),
    ("list", False, "Only say which configurations, environments and algorithms there are."),
    ("dry_run", False, "Check, compile, estimate; write nothing."),
)
"""Name, default and meaning of each flag beside --config."""


def main(argv: Sequence[str], evaluator: Evaluator = HELD_OUT) -> int:
    """Parses the command line, trains, and returns the exit status; evaluator: as for `experiment.run`."""
    values = flags.FlagValues()
    config = config_files.define(values, argv)
    _define(values)

    def command() -> None:
        if values.list:
            print(train_help.listing())
            return
        fields = command_line.config_dict(config)
        where = {"workdir": values.workdir, "resume": values.resume, "num_devices": values.num_devices}
        if values.num_seeds != 1:
            _check_several(values)
            seeds.run(fields, num_seeds=values.num_seeds, **where, evaluator=evaluator)
        elif values.dry_run:
            dry_run.dry_run(fields, **where)
        else:
            experiment.run(fields, **where, profile_epochs=values.profile_epochs, evaluator=evaluator)

    return command_line.run(
        command, values, argv, about=str(__doc__), more=lambda: train_help.text(argv), prepare=_prepared
    )


def _check_several(values: flags.FlagValues) -> None:
    """Raises InputError for what does not go together with several seeds."""
    for name in ("dry_run", "profile_epochs"):
        if values[name].value:
            raise InputError(name, values[name].value, "is for one seed; leave out --num_seeds")


def _define(values: flags.FlagValues) -> None:
    """The flags beside --config."""
    define: dict[type, Callable[..., Any]] = {
        str: flags.DEFINE_string,
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
    }
    for name, default, meaning in FLAGS:
        define[type(default)](name, default, meaning, flag_values=values)


def _prepared(argv: Sequence[str]) -> list[str]:
    """The command line with files for the names of configurations.

    These files, and the module of an environment, may use devices, so the processes meet before they are read.
    """
    values = flags.FlagValues()
    _define(values)
    command_line.parse(values, argv, known_only=True)
    several = values.num_seeds > 1 and values.num_devices == 1  # as many devices as share them equally
    cpu.as_devices(0 if several else values.num_devices)
    processes.connect(values.coordinator_address, values.num_processes, values.process_id)
    return config_files.resolved(argv)


def installed() -> int:
    """What `pods-train` runs: without --config, the settings to start from."""
    return main(with_default(sys.argv))


def with_default(argv: Sequence[str]) -> list[str]:
    """The command line, with --config=pods if it names no configuration."""
    program, *rest = argv
    if any(argument.lstrip("-").split("=")[0] == "config" for argument in command_line.with_flag_files(argv)):
        return list(argv)
    return [program, "--config=pods", *rest]
