"""A rope: a chain of points in space below one handle, or between two."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from pods_jax import sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment
from pods_jax.settings import setting

TASKS = payload.TASKS


@dataclass(frozen=True)
class Settings:
    """Physics and task; every number is ours, none is given by the paper."""

    num_points: int = setting(5, "free points", at_least=1)
    second_handle: bool = setting(False, "whether a second handle holds the far end, at the same height")
    horizon: int = setting(50, "time steps of an episode", unit="steps", at_least=1)
    time_step: float = setting(1 / 30, "time between two actions", unit="s", above=0.0)
    mass: float = setting(0.2, "of each point", unit="kg", above=0.0)
    link_length: float = setting(0.2, "of each link at rest", unit="m", above=0.0)
    stiffness: float = setting(2e3, "of each link", unit="N/m", above=0.0)
    action_limit: float = setting(3.0, "of each handle coordinate", unit="m/s", above=0.0)
    initial_speed: float = setting(
        1.5, "largest speed of the rope at the start, and of its end against its beginning", unit="m/s", at_least=0.0
    )
    initial_displacement: float = setting(
        0.5, "largest displacement of the handles at the start, task stop_at_origin", unit="m", at_least=0.0
    )
    weights: tuple[float, float, float, float] = setting(
        (5.0, 1.0, 0.2, 0.1), "w_p, w_x, w_v, w_a of Eq. 15", unit="1/m^2, 1/m^2, s^2/m^2, s^2/m^2", at_least=0.0
    )


SETTINGS = Settings()

SPAN = 0.6
"""The distance of two handles in lengths of the rope between them."""


def make(task: str, settings: Settings) -> Environment:
    """The environment `rope_3d`: observation (3 H + 6 P,), action (3 H,), for P points and H handles."""
    count, length = settings.num_points, settings.link_length
    ends = [np.zeros(3)]
    if settings.second_handle:
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
