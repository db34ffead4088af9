"""Evaluates the policy of a training run; the last line of the output is one JSON object.

python scripts/evaluate.py --workdir=runs/pendulum_2d_stop
"""

import sys

from pods_jax.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
