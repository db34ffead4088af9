"""A rope: a chain of points in space below one handle, or between two."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from pods_jax import checks, sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment

TASKS = payload.TASKS


@dataclass(frozen=True)
class Settings:
    """Physics and task; every number is ours, none is given by the paper."""

    num_points: int = 5  # free points
    second_handle: bool = False  # at the far end, at the same height
    horizon: int = 50  # [steps]
    time_step: float = 1 / 30  # [s]
    mass: float = 0.2  # [kg] of each point
    link_length: float = 0.2  # [m] at rest
    stiffness: float = 2e3  # [N/m]
    action_limit: float = 3.0  # [m/s] for each handle coordinate
    initial_speed: float = 1.5  # [m/s], of the rope as a whole, and of its end against its beginning
    initial_displacement: float = 0.5  # [m], task stop_at_origin only
    weights: tuple[float, float, float, float] = (5.0, 1.0, 0.2, 0.1)  # w_p, w_x, w_v, w_a of Eq. 15


SETTINGS = Settings()

SPAN = 0.6
"""The distance of two handles in lengths of the rope between them."""


def make(task: str, settings: Settings) -> Environment:
    """The environment `rope_3d`: observation (3 H + 6 P,), action (3 H,), for P points and H handles."""
    count = checks.integer("num_points", settings.num_points, at_least=1)
    length = checks.number("link_length", settings.link_length, above=0.0)
    ends = [np.zeros(3)]
    if checks.boolean("second_handle", settings.second_handle):
        ends.append(np.array([SPAN * (count + 1) * length, 0.0, 0.0]))
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
        horizon=settings.horizon,
        action_limit=settings.action_limit,
        initial_speed=settings.initial_speed,
        initial_displacement=settings.initial_displacement,
        weights=payload.make_weights(settings.weights),
        velocity_modes=np.stack([np.ones(count), along]),
    )


def _sagging(count: int, length: float, ends: list[np.ndarray]) -> np.ndarray:
    """(P, 3) [m] a taut shape to search from: straight down, or a parabola a little too long."""
    step = np.arange(1, count + 1)
    position = np.zeros((count, 3))
    if len(ends) == 1:
        position[:, 2] = -1.001 * length * step
    else:
        fraction = step / (count + 1)
        position[:, 0] = fraction * ends[1][0]
        position[:, 2] = -2 * length * (count + 1) * fraction * (1 - fraction)
    return position
