"""Finds physical parameters of a machine from recordings; the last line of the output is one JSON object.

python scripts/identify.py --env=acrobot --recordings=swing-*.csv --parameters=mass,inertia,damping --out=found
"""

import sys

from pods_jax.commands.identify import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
