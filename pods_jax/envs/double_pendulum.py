"""Two links with a motor at each joint: to balance, or to swing up."""

from pods_jax.envs.environment import Environment
from pods_jax.envs.robots import two_links

TASKS = two_links.TASKS
SETTINGS = two_links.Settings()


def make(task: str, settings: two_links.Settings) -> Environment:
    """The environment `double_pendulum`: observation (6,), action (2,) the torques of shoulder and elbow [N m]."""
    return two_links.make_two_links("double_pendulum", task, settings, motors=[(1.0, 0.0), (0.0, 1.0)])
