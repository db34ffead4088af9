"""Draws a figure of one training run or, for learning curves, of several.

python scripts/plot.py --workdir=runs/a --workdir=runs/b --out=curves.png
python scripts/plot.py --workdir=runs/a --kind=actions --out=actions.png
"""

import sys

from pods_jax.commands.plot import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
