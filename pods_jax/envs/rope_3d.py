"""A rope: a chain of points in space below one handle, or between two."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import linalg, sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment
from pods_jax.envs.task_settings import TaskSettings
from pods_jax.settings import setting

TASKS = payload.TASKS


@dataclass(frozen=True)
class Settings(TaskSettings):
    """The physics; every number is ours, none is given by the paper."""

    num_points: int = setting(5, "free points", at_least=1)
    second_handle: bool = setting(False, "whether a second handle holds the far end, at the same height")
    mass: float = setting(0.2, "of each point", unit="kg", above=0.0)
    link_length: float = setting(0.2, "of each link at rest", unit="m", above=0.0)
    stiffness: float = setting(2e3, "of each link", unit="N/m", above=0.0)


SETTINGS = Settings(initial_speed=1.5, weights=(5.0, 1.0, 0.2, 0.1))

SPAN = 0.6
"""The distance of two handles in lengths of the rope between them."""


def make(task: str, settings: Settings) -> Environment:
    """The environment `rope_3d`: observation (3 H + 6 P,), action (3 H,), for P points and H handles."""
    count, length = settings.num_points, settings.link_length
    ends = [np.zeros(3)]
    if settings.second_handle:
        ends.append(linalg.module_of(length).asarray([SPAN * (count + 1) * length, 0.0, 0.0]))
    springs = [
        sim.Spring(first, second, settings.stiffness, length)
        for first, second in sim.line([0, *range(len(ends), len(ends) + count), *range(1, len(ends))])
    ]
    system = sim.make_system(
        mass=[settings.mass] * count,
        springs=springs,
        handles=[sim.Handle.in_space(end) for end in ends],
        time_step=settings.time_step,
    )
    along = np.arange(1, count + 1) / count
    return payload.make_payload(
        "rope_3d",
        task,
        system,
        sim.equilibrium(system, jnp.zeros(system.action_size), jnp.asarray(_sagging(count, length, ends))),
        **settings.of_payload(),
        velocity_modes=np.stack([np.ones(count), along]),
    )


def _sagging(count: int, length: float, ends: list[np.ndarray]) -> np.ndarray | jax.Array:
    """(P, 3) [m] a taut shape to search from: straight down, or a parabola a little too long."""
    step = np.arange(1, count + 1)
    if len(ends) == 1:
        along, height = 0.0 * step, -1.001 * length * step
    else:
        fraction = step / (count + 1)
        along, height = fraction * ends[1][0], -2 * length * (count + 1) * fraction * (1 - fraction)
    position: np.ndarray | jax.Array = linalg.module_of(length).stack([along, 0.0 * step, height], axis=1)
    return position
