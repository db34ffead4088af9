"""Guided policy search on the pendulum in the plane.

python scripts/train.py --config=configs/gps.py --workdir=runs/pendulum_2d_gps
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config("gps", num_epochs=40, evaluate_every=5))
