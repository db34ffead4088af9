"""Two links with a motor at the shoulder: to balance, or to swing up."""

from pods_jax.envs.environment import Environment
from pods_jax.envs.robots import two_links

TASKS = two_links.TASKS
SETTINGS = two_links.Settings(swing_up_weights=(2.0, 0.5, 1e-2, 0.2))


def make(task: str, settings: two_links.Settings) -> Environment:
    """The environment `pendubot`: observation (6,), action (1,) the torque of the shoulder [N m]."""
    return two_links.make_two_links("pendubot", task, settings, motors=[(1.0, 0.0)])
