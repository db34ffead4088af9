"""Repeats a table or figures of the paper, and checks its claims; interrupted, it goes on where it stopped.

python scripts/reproduce.py --table=1 --figure=3,8 --scale=quick --workdir=runs/reproduction
"""

import sys

from pods_jax.commands.reproduce import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
