"""Guided policy search on the pendulum in the plane.

python scripts/train.py --config=configs/gps.py --workdir=runs/pendulum_2d_gps
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms import gps


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(
        {
            "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "gps", **dataclasses.asdict(gps.Config())},
            "seed": 0,
            "num_epochs": 40,
            "evaluate_every": 5,
            "num_test_rollouts": 1000,
            "search_optimum": True,
        }
    )
