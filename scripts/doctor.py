"""Examines this machine, the folder of a run and an environment, and says what is not as it should be.

python scripts/doctor.py --workdir=runs/pendulum_2d_stop --env=pendulum_2d --task=stop
"""

import sys

from pods_jax.commands.doctor import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
