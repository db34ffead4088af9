"""Writes the policy of a training run as a file that runs elsewhere, and its description beside it.

python scripts/export.py --workdir=runs/pendulum_2d_stop --format=onnx --out=policy.onnx
"""

import sys
from collections.abc import Sequence

from absl import flags

from pods_jax.commands import command_line
from pods_jax.runs import artifacts


def main(argv: Sequence[str]) -> int:
    """Parses the command line, exports, and returns the exit status."""
    values = flags.FlagValues()
    workdir = flags.DEFINE_string("workdir", "", "Folder of the run.", flag_values=values)
    format = flags.DEFINE_string("format", "safetensors", "safetensors, stablehlo or onnx.", flag_values=values)
    out = flags.DEFINE_string("out", "", "The file to write; policy.<format> if not given.", flag_values=values)
    checkpoint = flags.DEFINE_string(
        "checkpoint", "latest", "latest, best, or the number of an epoch.", flag_values=values
    )
    env = command_line.define_env(values)

    def command() -> None:
        path = out.value or f"policy.{format.value}"
        artifacts.export(workdir.value, path, format.value, checkpoint=checkpoint.value, env=env.value)

    return command_line.run(command, values, argv, about=str(__doc__))


def installed() -> int:
    """What `pods-export` runs."""
    return main(sys.argv)
