"""A process to be killed, filled up or interrupted: scripts/train.py with the toy instead of PODS.

python tests/faults/child.py SECONDS --config=... --workdir=...: each measurement takes that many seconds.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from scripts import train
from tests.faults import toy


def main(seconds, *arguments):
    def monitor(env, policy, prepared):
        print("measuring", flush=True)
        time.sleep(float(seconds))
        return dict(toy.NUMBERS)

    toy.install()
    return train.main(["tests/faults/child.py", *arguments], toy.evaluator(monitor))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
