"""A box of four densely joined points on two cables from two handles on a horizontal rail, in a vertical plane."""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np

from pods_jax import checks, sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment

TASKS = payload.TASKS


@dataclass(frozen=True)
class Settings:
    """Physics and task; every number is ours, none is given by the paper."""

    horizon: int = 50  # [steps]
    time_step: float = 1 / 30  # [s]
    mass: float = 0.25  # [kg] of each of the four points
    side: float = 0.3  # [m] of the box
    handle_distance: float = 0.6  # [m]
    cable_length: float = 0.5  # [m]
    stiffness: float = 5e3  # [N/m] of cables and box
    action_limit: float = 3.0  # [m/s] for each handle
    initial_speed: float = 3.0  # [m/s], of the box as a whole
    initial_displacement: float = 0.5  # [m], task stop_at_origin only
    weights: tuple[float, float, float, float] = (5.0, 1.25, 0.25, 0.1)  # w_p, w_x, w_v, w_a of Eq. 15


SETTINGS = Settings()


def make(task: str, settings: Settings) -> Environment:
    """The environment `payload_2d`: observation (18,), action (2,)."""
    side = checks.number("side", settings.side, above=0.0)
    distance = checks.number("handle_distance", settings.handle_distance, above=0.0)
    length = checks.number("cable_length", settings.cable_length, above=0.0)
    reach = (distance - side) / 2
    if abs(reach) >= length:
        raise checks.InputError(
            "cable_length", length, f"must be greater than half the difference of handle_distance and side, {reach}"
        )
    top = -np.sqrt(length**2 - reach**2)
    corners = [[-side / 2, top], [side / 2, top], [side / 2, top - side], [-side / 2, top - side]]
    points = np.array([[-distance / 2, 0.0], [distance / 2, 0.0], *corners])
    attach = partial(sim.join, position=points, num_handles=2, stiffness=settings.stiffness)
    system = sim.make_system(
        mass=[settings.mass] * 4,
        springs=attach([(0, 2), (1, 3)], cable=True) + attach(sim.clique([2, 3, 4, 5])),
        handles=[sim.Handle.on_axis(points[0]), sim.Handle.on_axis(points[1])],
        time_step=settings.time_step,
        dimension=2,
    )
    # A little lower, where the cables are taut.
    guess = jnp.asarray(points[2:] - [0.0, 1e-2 * length])
    return payload.make_payload(
        "payload_2d",
        task,
        system,
        sim.equilibrium(system, jnp.zeros(2), guess),
        horizon=settings.horizon,
        action_limit=settings.action_limit,
        initial_speed=settings.initial_speed,
        initial_displacement=settings.initial_displacement,
        weights=payload.make_weights(settings.weights),
        velocity_modes=np.ones((1, 4)),
    )
