"""PODS on the rope: more rollouts and smaller steps than on pendulums, on standardized observations.

python scripts/train.py --config=configs/rope.py --workdir=runs/rope_3d --config.env.task=stop_at_origin
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms.pods import algorithm


def get_config() -> config_dict.ConfigDict:
    settings = algorithm.Config(
        batch_size=800, standardize=True, learning_rate=3e-3, gradient_steps=100, minibatch_size=4096
    )
    return config_dict.ConfigDict(
        {
            "env": {"name": "rope_3d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "pods", **dataclasses.asdict(settings)},
            "seed": 0,
            "num_epochs": 60,
            "evaluate_every": 10,
            "num_test_rollouts": 200,
            "search_optimum": True,
        }
    )
