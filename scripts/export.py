"""Writes the policy of a training run as a file that runs elsewhere, and its description beside it.

python scripts/export.py --workdir=runs/pendulum_2d_stop --format=onnx --out=policy.onnx
"""

import sys

from pods_jax.commands.export import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
