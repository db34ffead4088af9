"""PODS on the box that hangs from two cables, polished: its cables go slack, where improved trajectories get stuck.

python scripts/train.py --config=configs/payload.py --workdir=runs/payload_2d --config.env.task=stop_at_origin
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms.pods import algorithm


def get_config() -> config_dict.ConfigDict:
    settings = algorithm.Config(minibatch_size=4096, polish_after=30)
    return config_dict.ConfigDict(
        {
            "env": {"name": "payload_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "pods", **dataclasses.asdict(settings)},
            "seed": 0,
            "num_epochs": 100,
            "evaluate_every": 10,
            "num_test_rollouts": 200,
            "search_optimum": True,
        }
    )
