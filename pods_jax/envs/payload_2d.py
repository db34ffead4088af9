"""A box of four densely joined points on two cables from two handles on a horizontal rail, in a vertical plane."""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np

from pods_jax import checks, linalg, sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment
from pods_jax.envs.task_settings import TaskSettings
from pods_jax.settings import setting

TASKS = payload.TASKS


@dataclass(frozen=True)
class Settings(TaskSettings):
    """The physics; every number is ours, none is given by the paper."""

    mass: float = setting(0.25, "of each of the four points", unit="kg", above=0.0)
    side: float = setting(0.3, "of the box", unit="m", above=0.0)
    handle_distance: float = setting(0.6, "between the handles at their origin", unit="m", above=0.0)
    cable_length: float = setting(0.5, "of each cable at rest", unit="m", above=0.0)
    stiffness: float = setting(5e3, "of cables and box", unit="N/m", above=0.0)


SETTINGS = Settings(weights=(5.0, 1.25, 0.25, 0.1))


def make(task: str, settings: Settings) -> Environment:
    """The environment `payload_2d`: observation (18,), action (2,)."""
    side, distance, length = settings.side, settings.handle_distance, settings.cable_length
    reach = (distance - side) / 2
    module = linalg.module_of(side, distance, length)
    if module is np and abs(reach) >= length:
        raise checks.InputError(
            "cable_length", length, f"must be greater than half the difference of handle_distance and side, {reach}"
        )
    top = -module.sqrt(length**2 - reach**2)
    corners = [[-side / 2, top], [side / 2, top], [side / 2, top - side], [-side / 2, top - side]]
    points = module.asarray([[-distance / 2, 0.0], [distance / 2, 0.0], *corners])
    attach = partial(sim.join, position=points, num_handles=2, stiffness=settings.stiffness)
    system = sim.make_system(
        mass=[settings.mass] * 4,
        springs=attach([(0, 2), (1, 3)], cable=True) + attach(sim.clique([2, 3, 4, 5])),
        handles=[sim.Handle.on_axis(points[0]), sim.Handle.on_axis(points[1])],
        time_step=settings.time_step,
        dimension=2,
    )
    # A little lower, where the cables are taut.
    guess = jnp.asarray(points[2:] - module.asarray([[0.0, 1e-2 * length]]))
    return payload.make_payload(
        "payload_2d",
        task,
        system,
        sim.equilibrium(system, jnp.zeros(2), guess),
        **settings.of_payload(),
        velocity_modes=np.ones((1, 4)),
    )
