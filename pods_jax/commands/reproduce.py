"""Repeats a table or figures of the paper, and checks its claims; interrupted, it goes on where it stopped.

python scripts/reproduce.py --table=1 --figure=3,8 --scale=quick --workdir=runs/reproduction
"""

from collections.abc import Sequence

from absl import flags

from pods_jax import reproduction
from pods_jax.commands import command_line
from pods_jax.reproduction.targets import WORK, Work


def main(argv: Sequence[str], work: Work = WORK) -> int:
    """Parses the command line, trains what is missing, and returns the exit status; work: as for `reproduce`."""
    values = flags.FlagValues()
    tables = flags.DEFINE_list("table", [], "1", flag_values=values)
    figures = flags.DEFINE_list("figure", [], "Any of 3, 4, 6, 8, 9, 10; none and no table: all.", flag_values=values)
    scale = flags.DEFINE_string("scale", "quick", "quick, cpu or paper.", flag_values=values)
    workdir = flags.DEFINE_string("workdir", "runs/reproduction", "Folder of all trainings.", flag_values=values)
    variants = flags.DEFINE_list("variants", [], "Only these, such as PODS 500,BPTT.", flag_values=values)
    environments = flags.DEFINE_list("environments", [], "Only these.", flag_values=values)
    missing = flags.DEFINE_string("missing", "train", "train, or skip: report what there is.", flag_values=values)

    def command() -> None:
        targets = [*(f"table_{name}" for name in tables.value), *(f"figure_{name}" for name in figures.value)]
        chosen = targets or list(reproduction.TARGETS)
        reproduction.reproduce(
            chosen, scale.value, workdir.value, variants.value, environments.value, missing=missing.value, work=work
        )

    return command_line.run(command, values, argv, about=str(__doc__))
