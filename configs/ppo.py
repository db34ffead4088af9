"""PPO on a mass on a spring, for comparison with PODS; `pip install 'pods_jax[baselines]'` first.

python scripts/train.py --config=configs/ppo.py --config.env.task=stop_at_origin --workdir=runs/ppo
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    return config_dict.ConfigDict(default_config("ppo", num_epochs=200, evaluate_every=20))
