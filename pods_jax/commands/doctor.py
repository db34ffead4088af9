"""Examines this machine, the folder of a run and an environment, and says what is not as it should be.

python scripts/doctor.py --workdir=runs/pendulum_2d_stop --env=pendulum_2d --task=stop
"""

import sys
from collections.abc import Sequence

from absl import flags

from pods_jax.commands import command_line
from pods_jax.diagnostics import doctor


def main(argv: Sequence[str]) -> int:
    """Parses the command line, examines, and returns the exit status: 0 if all is good, 4 if not."""
    values = flags.FlagValues()
    workdir = flags.DEFINE_string("workdir", None, "Folder that a run is to be written to.", flag_values=values)
    env = flags.DEFINE_string("env", None, "Name of an environment, or my_package:make_crane.", flag_values=values)
    task = flags.DEFINE_string("task", None, "One of its tasks; the first, if not given.", flag_values=values)

    def command() -> None:
        doctor.examine(workdir.value, env.value, task.value)

    return command_line.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-doctor` runs."""
    return main(sys.argv)
