"""PODS on the pendulum in the plane: what `make train` runs.

Every field can be overridden on the command line, such as --config.env.name=pendulum_3d.
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config())
