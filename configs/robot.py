"""PODS on a robot of the package, such as configs/robot.py:quadrotor_payload/waypoint.

python scripts/train.py --config=configs/robot.py:acrobot/swing_up --workdir=runs/acrobot

Where the robot is unstable at its goal, the first epochs search for trajectories and imitate them. The last ones
fine-tune the policy.
"""

from ml_collections import config_dict

from pods_jax import envs
from pods_jax.runs.configuration import default_config


def get_config(robot: str = "acrobot/swing_up") -> config_dict.ConfigDict:
    """The settings for a robot and its task, `name/task`, or `name` for its first task."""
    name, _, task = robot.partition("/")
    env = {"name": name, "task": task or envs.tasks(name)[0], **envs.settings(name)}
    return config_dict.ConfigDict(
        default_config(
            env=env, settings={"fine_tune_after": 70}, num_epochs=130, evaluate_every=10, num_test_rollouts=200
        )
    )
