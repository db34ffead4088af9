"""SAC on a mass on a spring, for comparison with PODS; `pip install 'pods_jax[baselines]'` first.

python scripts/train.py --config=configs/sac.py --config.env.task=stop_at_origin --workdir=runs/sac
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config("sac", num_epochs=60, evaluate_every=5))
