"""Draws what the policy of a training run does, as a GIF or as an HTML page to play with.

python scripts/render.py --workdir=runs/pendulum_2d_stop --out=swing.gif --rollout=3
python scripts/render.py --workdir=runs/pendulum_2d_stop --out=swing.html --compare=runs/another
"""

import sys
from collections.abc import Sequence

from absl import flags

from pods_jax.commands import command_line
from pods_jax.runs import artifacts, experiment


def main(argv: Sequence[str]) -> int:
    """Parses the command line, draws, and returns the exit status."""
    values = flags.FlagValues()
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run.", flag_values=values)
    out = flags.DEFINE_string("out", "rollout.gif", "The file to write.", flag_values=values)
    index = flags.DEFINE_integer("rollout", 0, "Which of the unseen initial states.", flag_values=values)
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "latest, best, or the number of an epoch.", flag_values=values
    )

    num_rollouts = flags.DEFINE_integer(
        "num_rollouts", None, "How many, in a page; ten, or all there are.", flag_values=values
    )
    compare = flags.DEFINE_string("compare", "", "Folder of a run to show beside it, in a page.", flag_values=values)
    env = command_line.define_env(values)

    def command() -> None:
        if out.value.endswith(".html") or compare.value:
            artifacts.show(
                workdir.value,
                out.value,
                index.value,
                num_rollouts.value,
                compare.value,
                checkpoint=checkpoint.value,
                env=env.value,
            )
            return
        experiment.render(workdir.value, out.value, index.value, checkpoint=checkpoint.value, env=env.value)

    return command_line.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-render` runs."""
    return main(sys.argv)
