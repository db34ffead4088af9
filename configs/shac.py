"""SHAC on the pendulum in the plane: gradients through short windows, and a critic.

python scripts/train.py --config=configs/shac.py --workdir=runs/pendulum_2d_shac
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config("shac", num_epochs=60, evaluate_every=10))
