"""PODS on the sheet that is to be laid on a table: few rollouts, dense Gauss-Newton steps.

python scripts/train.py --config=configs/cloth.py --workdir=runs/cloth_3d
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms.pods import algorithm


def get_config() -> config_dict.ConfigDict:
    settings = algorithm.Config(
        method="gauss_newton",
        regression="improved_states",
        batch_size=24,
        guard_size=0,
        learning_rate=3e-3,
        minibatch_size=0,
    )
    return config_dict.ConfigDict(
        {
            "env": {"name": "cloth_3d", "task": "lay", "horizon": 60, "terminal_only": False},
            "algorithm": {"name": "pods", **dataclasses.asdict(settings)},
            "seed": 0,
            "num_epochs": 16,
            "evaluate_every": 2,
            "num_test_rollouts": 50,
            "search_optimum": False,  # it would take hours
        }
    )
