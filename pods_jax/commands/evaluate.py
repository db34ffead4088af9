"""Evaluates the policy of a training run; the last line of the output is one JSON object.

python scripts/evaluate.py --workdir=runs/pendulum_2d_stop
python scripts/evaluate.py --workdir=runs/pendulum_2d_stop --num_restarts=8
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial

from absl import flags

from pods_jax.commands import command_line
from pods_jax.runs import experiment
from pods_jax.runs.evaluator import HELD_OUT, Evaluator, prepare_heldout_set


def main(argv: Sequence[str], evaluator: Evaluator = HELD_OUT) -> int:
    """Parses the command line, evaluates, and returns the exit status; evaluator: as for `experiment.evaluate`."""
    values = flags.FlagValues()
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run.", flag_values=values)
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "latest, best, or the number of an epoch.", flag_values=values
    )
    num_restarts = flags.DEFINE_integer(
        "num_restarts",
        0,
        "Further searches for the best actions, from random ones.",
        lower_bound=0,
        flag_values=values,
    )
    env = command_line.define_env(values)

    def command() -> None:
        measure = evaluator
        if num_restarts.value:
            measure = dataclasses.replace(
                evaluator, prepare=partial(prepare_heldout_set, num_restarts=num_restarts.value)
            )
        experiment.evaluate(workdir.value, checkpoint=checkpoint.value, evaluator=measure, env=env.value)

    return command_line.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-eval` runs."""
    return main(sys.argv)
