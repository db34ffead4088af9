"""Draws what the policy of a training run does, as a GIF.

python scripts/render.py --workdir=runs/pendulum_2d_stop --out=swing.gif --rollout=3
"""

import sys
from collections.abc import Sequence

from absl import flags

from pods_jax import cli, experiment


def main(argv: Sequence[str]) -> int:
    """Parses the command line, draws, and returns the exit status."""
    values = flags.FlagValues()
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run.", flag_values=values)
    out = flags.DEFINE_string("out", "rollout.gif", "The file to write.", flag_values=values)
    index = flags.DEFINE_integer("rollout", 0, "Which of the unseen initial states.", flag_values=values)
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "latest, best, or the number of an epoch.", flag_values=values
    )

    def command() -> None:
        experiment.render(workdir.value, out.value, index.value, checkpoint=checkpoint.value)

    return cli.run(command, values, argv, about=str(__doc__))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
