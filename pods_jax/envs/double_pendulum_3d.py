"""Two masses, one below the other on stiff bilateral springs, in space; the handle moves freely."""

from pods_jax import sim
from pods_jax.envs import payload
from pods_jax.envs.chain import ChainSettings, make_chain
from pods_jax.envs.environment import Environment

TASKS = payload.TASKS
SETTINGS = ChainSettings(num_points=2, initial_speed=1.5)


def make(task: str, settings: ChainSettings) -> Environment:
    """The environment `double_pendulum_3d`: observation (15,), action (3,)."""
    return make_chain("double_pendulum_3d", task, 3, sim.Handle.in_space([0.0, 0.0, 0.0]), settings)
