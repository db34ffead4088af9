"""PPO on a mass on a spring, for comparison with PODS; `pip install 'pods_jax[baselines]'` first.

python scripts/train.py --config=configs/ppo.py --config.env.task=stop_at_origin --workdir=runs/ppo
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms import ppo


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(
        {
            "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "ppo", **dataclasses.asdict(ppo.Config())},
            "seed": 0,
            "num_epochs": 200,
            "evaluate_every": 20,
            "num_test_rollouts": 1000,
            "search_optimum": True,
        }
    )
