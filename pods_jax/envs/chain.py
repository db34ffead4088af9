"""Point masses hung one below the other from one handle: pendulums, and longer chains.

The paper does not give masses, lengths, stiffness, time step, weights or distributions. The values in
`ChainSettings` and in the environment files are ours, in SI units, and all of them can be overridden
in `envs.make`.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks, linalg, sim
from pods_jax.envs.environment import Environment
from pods_jax.envs.payload import make_payload
from pods_jax.envs.task_settings import TaskSettings
from pods_jax.settings import setting


@dataclass(frozen=True)
class ChainSettings(TaskSettings):
    """The physics of a chain; every number is ours, none is given by the paper."""

    num_points: int = setting(1, "free points", at_least=1)
    mass: float = setting(1.0, "of each point", unit="kg", above=0.0)
    link_length: float = setting(0.5, "of each link at rest", unit="m", above=0.0)
    stiffness: float = setting(5e3, "of each link", unit="N/m", above=0.0)
    damping: float = setting(0.0, "along the links", unit="N s/m", at_least=0.0)


def make_chain(name: str, task: str, dimension: int, handle: sim.Handle, settings: ChainSettings) -> Environment:
    """A chain of `settings.num_points` masses below a handle at the origin of `dimension`-dimensional space."""
    count = checks.integer("num_points", settings.num_points, at_least=1)
    springs = [sim.Spring(i, i + 1, settings.stiffness, settings.link_length, settings.damping) for i in range(count)]
    system = sim.make_system(
        mass=[settings.mass] * count,
        springs=springs,
        handles=[handle],
        time_step=settings.time_step,
        dimension=dimension,
    )
    return make_payload(
        name,
        task,
        system,
        jnp.asarray(hanging_position(settings, dimension)),
        **settings.of_payload(),
    )


def hanging_position(settings: ChainSettings, dimension: int) -> np.ndarray | jax.Array:
    """(P, d) [m]: each link carries the masses below it and stretches by weight / stiffness."""
    below = np.arange(settings.num_points, 0, -1)
    stretch = below * settings.mass * sim.STANDARD_GRAVITY / settings.stiffness
    module = linalg.module_of(stretch, settings.link_length)
    height = -module.cumsum(settings.link_length + stretch)
    position: np.ndarray | jax.Array = module.stack([module.zeros_like(height)] * (dimension - 1) + [height], axis=1)
    return position
