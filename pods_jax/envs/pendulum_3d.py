"""A mass on a stiff spring in space; the handle moves freely (three actions)."""

from pods_jax import sim
from pods_jax.envs import payload
from pods_jax.envs.chain import ChainSettings, make_chain
from pods_jax.envs.environment import Environment

TASKS = payload.TASKS
SETTINGS = ChainSettings(num_points=1, initial_speed=1.5)


def make(task: str, settings: ChainSettings) -> Environment:
    """The environment `pendulum_3d`: observation (9,), action (3,)."""
    return make_chain("pendulum_3d", task, 3, sim.Handle.in_space([0.0, 0.0, 0.0]), settings)
