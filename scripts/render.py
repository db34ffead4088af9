"""Draws what the policy of a training run does, as a GIF or as an HTML page to play with.

python scripts/render.py --workdir=runs/pendulum_2d_stop --out=swing.gif --rollout=3
python scripts/render.py --workdir=runs/pendulum_2d_stop --out=swing.html --compare=runs/another
"""

import sys

from pods_jax.commands.render import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
