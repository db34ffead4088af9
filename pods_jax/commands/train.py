"""Trains a policy, or goes on training the one in --workdir, and evaluates it.

python scripts/train.py --config=configs/pods.py --workdir=runs/pendulum_2d_stop --config.seed=1
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from pods_jax import cli, experiment, rehearsal
from pods_jax.configuration import default_config


def main(argv: Sequence[str], default: Mapping[str, Any] | None = None) -> int:
    """Parses the command line, trains, and returns the exit status.

    default: the configuration to start from where no --config names a file; without one, a file has to be named.
    """
    values = flags.FlagValues()
    config = _define_config(values, argv, default)
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run, made if it is not there.", flag_values=values)
    resume = flags.DEFINE_string(
        "resume", "auto", "auto, never or must go on with a run in --workdir.", flag_values=values
    )
    dry_run = flags.DEFINE_bool("dry_run", False, "Check, compile, estimate; write nothing.", flag_values=values)

    def command() -> None:
        act = rehearsal.rehearse if dry_run.value else experiment.run
        act(cli.config_dict(config), workdir.value, resume=resume.value)

    return cli.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-train` runs."""
    return main(sys.argv, default_config())


def _define_config(
    values: flags.FlagValues, argv: Sequence[str], default: Mapping[str, Any] | None
) -> flags.FlagHolder:
    text = "Configuration file; --config.seed=1 after it overrides a field."
    if default is None or any(argument.lstrip("-").startswith("config=") for argument in argv):
        return config_flags.DEFINE_config_file("config", help_string=text, flag_values=values, sys_argv=list(argv))
    start = config_dict.ConfigDict(dict(default))
    return config_flags.DEFINE_config_dict("config", start, help_string=text, flag_values=values, sys_argv=list(argv))
