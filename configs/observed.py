"""PODS with a policy that does not see everything, such as configs/observed.py:pictures/pendulum_2d/stop.

python scripts/train.py --config=configs/observed.py:unknown --workdir=runs/unknown

everything: positions, velocities and handles, to compare with. positions: three frames of positions and handles.
noisy: eight frames, with an error of 1 cm, one step late. pictures: two frames of 32 x 32 pixels. unknown: four
frames of positions, and masses, lengths, stiffnesses and gravity off by up to 30 %, other ones in each episode.
"""

from ml_collections import config_dict

from pods_jax import envs
from pods_jax.runs.configuration import default_config

WARM_UP = 40  # so that one frame does not betray the velocity, see `envs.observed`
NETWORKS = {"pictures": "cnn"}

OBSERVED = {
    "everything": {"sensors": ("position", "velocity", "handle"), "warm_up": WARM_UP},
    "positions": {"sensors": ("position", "handle"), "history": 3, "warm_up": WARM_UP},
    "noisy": {
        "sensors": ("position", "handle"),
        "history": 8,
        "delay": 1,
        "noise": {"position": 0.01, "handle": 0.01},
        "warm_up": WARM_UP,
    },
    "pictures": {"sensors": ("camera", "handle"), "history": 2, "camera": {"size": 32}, "warm_up": WARM_UP},
    "unknown": {"sensors": ("position", "handle"), "history": 4, "warm_up": WARM_UP},
}


def get_config(what: str = "positions") -> config_dict.ConfigDict:
    """The settings for what is seen, and of which environment and task: `what`, `what/name` or `what/name/task`."""
    what, name, task = (*what.split("/"), "", "")[:3]
    name = name or "pendulum_2d"
    env = {"name": name, "task": task or envs.tasks(name)[0], "observed": OBSERVED[what]}
    if what == "unknown":
        env["randomized"] = dict.fromkeys(("mass", "rest_length", "stiffness", "gravity"), 0.3)
    settings = {"network": NETWORKS.get(what, "mlp")}
    return config_dict.ConfigDict(
        default_config(env=env, settings=settings, num_epochs=60, evaluate_every=10, num_test_rollouts=500)
    )
