"""Trains a policy, or goes on training the one in --workdir, and evaluates it.

python scripts/train.py --config=configs/pods.py --workdir=runs/pendulum_2d_stop --config.seed=1
"""

import sys

from pods_jax.commands.train import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
