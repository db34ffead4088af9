"""BPTT on the pendulum in the plane: gradients through whole rollouts.

python scripts/train.py --config=configs/bptt.py --workdir=runs/pendulum_2d_bptt
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config("bptt", num_epochs=60, evaluate_every=10))
