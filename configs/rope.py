"""PODS on the rope: more rollouts and smaller steps than on pendulums, on standardized observations.

python scripts/train.py --config=configs/rope.py --workdir=runs/rope_3d --config.env.task=stop_at_origin
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    settings = {
        "batch_size": 800,
        "regression": {"standardize": True, "gradient_steps": 100, "minibatch_size": 4096},
        "optimizer": {"learning_rate": 3e-3},
    }
    return config_dict.ConfigDict(
        default_config(
            env={"name": "rope_3d"}, settings=settings, num_epochs=60, evaluate_every=10, num_test_rollouts=200
        )
    )
