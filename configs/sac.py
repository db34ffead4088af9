"""SAC on a mass on a spring, for comparison with PODS; `pip install 'pods_jax[baselines]'` first.

python scripts/train.py --config=configs/sac.py --config.env.task=stop_at_origin --workdir=runs/sac
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms import sac


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(
        {
            "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "sac", **dataclasses.asdict(sac.Config())},
            "seed": 0,
            "num_epochs": 60,
            "evaluate_every": 5,
            "num_test_rollouts": 1000,
            "search_optimum": True,
        }
    )
