"""Trains a policy, or goes on training the one in --workdir, and evaluates it.

python scripts/train.py --config=configs/pods.py --workdir=runs/pendulum_2d_stop --config.seed=1
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from pods_jax.commands import command_line
from pods_jax.devices import cpu, processes
from pods_jax.runs import dry_run, experiment
from pods_jax.runs.evaluator import HELD_OUT, Evaluator


def main(argv: Sequence[str], evaluator: Evaluator = HELD_OUT) -> int:
    """Parses the command line, trains, and returns the exit status; evaluator: as for `experiment.run`."""
    values = flags.FlagValues()
    config = config_flags.DEFINE_config_file(
        "config",
        help_string="Configuration file; --config.seed=1 after it overrides a field.",
        flag_values=values,
        sys_argv=list(argv),
    )
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run, made if it is not there.", flag_values=values)
    resume = flags.DEFINE_string(
        "resume", "auto", "auto, never or must go on with a run in --workdir.", flag_values=values
    )
    num_devices = flags.DEFINE_integer(
        "num_devices",
        1,
        "Devices of each process that share the rollouts, without a GPU cores; 0 takes all.",
        flag_values=values,
    )
    profile_epochs = flags.DEFINE_integer(
        "profile_epochs", 0, "Leave a trace of so many epochs below --workdir.", flag_values=values
    )
    address = flags.DEFINE_string(
        "coordinator_address", "", "HOST:PORT of the first of several processes.", flag_values=values
    )
    num_processes = flags.DEFINE_integer("num_processes", 1, "Processes that train together.", flag_values=values)
    process_id = flags.DEFINE_integer("process_id", 0, "Which of them this is, from 0 on.", flag_values=values)
    only_check = flags.DEFINE_bool("dry_run", False, "Check, compile, estimate; write nothing.", flag_values=values)

    def command() -> None:
        if only_check.value:
            dry_run.dry_run(
                command_line.config_dict(config), workdir.value, resume=resume.value, num_devices=num_devices.value
            )
        else:
            experiment.run(
                command_line.config_dict(config),
                workdir.value,
                resume=resume.value,
                num_devices=num_devices.value,
                profile_epochs=profile_epochs.value,
                evaluator=evaluator,
            )

    def connect() -> None:
        cpu.as_devices(num_devices.value)
        processes.connect(address.value, num_processes.value, process_id.value)

    return command_line.run(command, values, argv, about=str(__doc__), connect=connect)


def installed() -> int:
    """What `pods-train` runs: without --config, the settings to start from."""
    return main(with_default(sys.argv))


def with_default(argv: Sequence[str]) -> list[str]:
    """The command line, with --config naming the file in this folder if it names none."""
    program, *rest = argv
    if any(argument.lstrip("-").split("=")[0] == "config" for argument in rest):
        return list(argv)
    return [program, f"--config={pathlib.Path(__file__).with_name('default.py')}", *rest]
