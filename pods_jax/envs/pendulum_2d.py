"""A mass on a stiff spring in a vertical plane; the handle moves on a horizontal rail (one action)."""

from pods_jax import sim
from pods_jax.envs import payload
from pods_jax.envs.chain import ChainSettings, make_chain
from pods_jax.envs.environment import Environment

TASKS = payload.TASKS
SETTINGS = ChainSettings(num_points=1, initial_speed=3.0)


def make(task: str, settings: ChainSettings) -> Environment:
    """The environment `pendulum_2d`: observation (5,), action (1,)."""
    return make_chain("pendulum_2d", task, 2, sim.Handle.on_axis([0.0, 0.0]), settings)
