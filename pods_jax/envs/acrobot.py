"""Two links with a motor at the elbow: to balance, or to swing up."""

from pods_jax.envs.environment import Environment
from pods_jax.envs.robots import two_links

TASKS = two_links.TASKS
SETTINGS = two_links.Settings()


def make(task: str, settings: two_links.Settings) -> Environment:
    """The environment `acrobot`: observation (6,), action (1,) the torque of the elbow [N m]."""
    return two_links.make_two_links("acrobot", task, settings, motors=[(0.0, 1.0)])
