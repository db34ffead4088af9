"""The configuration file of `pods-train` where the command line names none."""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    """The settings to start from."""
    return config_dict.ConfigDict(default_config())
