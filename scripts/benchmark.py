"""Measures how fast everything is, beside the textbook form of the same mathematics.

python scripts/benchmark.py --suites=textbook,horizon,batch,points --out=benchmark.json
"""

import sys

from pods_jax.commands.benchmark import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
