"""PODS on the pendulum in the plane: what `make train` runs.

Every field can be overridden on the command line, such as --config.env.name=pendulum_3d.
"""

import dataclasses

from ml_collections import config_dict

from pods_jax.algorithms import pods


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(
        {
            "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
            "algorithm": {"name": "pods", **dataclasses.asdict(pods.Config())},
            "seed": 0,
            "num_epochs": 40,
            "evaluate_every": 5,  # epochs per compiled chunk; between chunks the policy is measured and saved
            "num_test_rollouts": 1000,
            "search_optimum": True,  # the best actions for each test state, for the optimality gap
        }
    )
