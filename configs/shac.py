"""SHAC on the pendulum in the plane: gradients through short windows, and a critic.

python scripts/train.py --config=configs/shac.py --workdir=runs/pendulum_2d_shac
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms import shac


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(
        {
            "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "shac", **dataclasses.asdict(shac.Config())},
            "seed": 0,
            "num_epochs": 60,
            "evaluate_every": 10,
            "num_test_rollouts": 1000,
            "search_optimum": True,
        }
    )
