"""Draws a figure of one training run or, for learning curves, of several.

python scripts/plot.py --workdir=runs/a --workdir=runs/b --out=curves.png
python scripts/plot.py --workdir=runs/a --kind=actions --out=actions.png
"""

import sys
from collections.abc import Sequence

from absl import flags

from pods_jax.commands import command_line
from pods_jax.runs import artifacts


def main(argv: Sequence[str]) -> int:
    """Parses the command line, draws, and returns the exit status."""
    values = flags.FlagValues()
    workdirs = flags.DEFINE_multi_string("workdir", [], "Folder of a run; may be repeated.", flag_values=values)
    out = flags.DEFINE_string("out", "figure.png", "The file to write.", flag_values=values)
    kind = flags.DEFINE_string("kind", "learning", f"One of {', '.join(artifacts.KINDS)}.", flag_values=values)
    num_rollouts = flags.DEFINE_integer(
        "num_rollouts", None, "How many unseen initial states; ten, or all there are.", flag_values=values
    )
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "latest, best, or the number of an epoch.", flag_values=values
    )
    env = command_line.define_env(values)

    def command() -> None:
        artifacts.draw(
            workdirs.value, out.value, kind.value, num_rollouts.value, checkpoint=checkpoint.value, env=env.value
        )

    return command_line.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-plot` runs."""
    return main(sys.argv)
