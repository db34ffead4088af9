"""PODS on the sheet that is to be laid on a table: few rollouts, dense Gauss-Newton steps.

python scripts/train.py --config=configs/cloth.py --workdir=runs/cloth_3d
"""

from ml_collections import config_dict

from pods_jax.runs.configuration import default_config


def get_config() -> config_dict.ConfigDict:
    settings = {
        "batch_size": 24,
        "improvement": {"method": "gauss_newton"},
        "regression": {"states": "improved", "gradient_steps": 50, "minibatch_size": 0},
        "optimizer": {"learning_rate": 3e-3},
        "guard": {"size": 0},
    }
    return config_dict.ConfigDict(
        default_config(
            env={"name": "cloth_3d", "task": "lay", "horizon": 60},
            settings=settings,
            num_epochs=16,
            evaluate_every=2,
            num_test_rollouts=50,
            search_optimum=False,  # it would take hours
        )
    )
