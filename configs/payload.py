"""PODS on the box that hangs from two cables, fine-tuned: its cables go slack, where improved trajectories get stuck.

python scripts/train.py --config=configs/payload.py --workdir=runs/payload_2d --config.env.task=stop_at_origin
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    settings = {"regression": {"minibatch_size": 4096}, "fine_tune_after": 30}
    return config_dict.ConfigDict(
        default_config(
            env={"name": "payload_2d"}, settings=settings, num_epochs=100, evaluate_every=10, num_test_rollouts=200
        )
    )
