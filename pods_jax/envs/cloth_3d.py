"""A sheet held at two corners, to be laid flat at a prescribed place on a table, with friction."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from pods_jax import checks, linalg, sim
from pods_jax.envs import payload
from pods_jax.envs.environment import Environment
from pods_jax.envs.task_settings import TaskSettings
from pods_jax.settings import setting

TASKS = (payload.LAY,)


@dataclass(frozen=True)
class Settings(TaskSettings):
    """The physics; every number is ours, none is given by the paper."""

    rows: int = setting(7, "points along the sheet", at_least=2)
    columns: int = setting(4, "points across", at_least=2)
    held: tuple[tuple[int, int], ...] = setting(((0, 0), (0, 3)), "(row, column) of each corner that a handle holds")
    spacing: float = setting(0.1, "between neighbours", unit="m", above=0.0)
    material: tuple[float, float, float, float] = setting(
        (0.02, 300.0, 0.5, 0.02),
        "mass of each point, stiffness and damping of springs between neighbours, drag of each point in air",
        unit="kg, N/m, N s/m, N s/m",
        at_least=0.0,
    )
    friction: float = setting(0.5, "coefficient between cloth and table", at_least=0.0)


SETTINGS = Settings(
    horizon=60, action_limit=1.5, initial_speed=0.5, initial_displacement=0.1, weights=(1.0, 1.0, 0.05, 0.02)
)

SHEAR, BENDING = 0.3, 0.03
"""Shares of the stiffness, and of the damping, that shear and bending springs have."""

CLEARANCE = 0.1
"""[m] between the hanging sheet and the table at the start."""


def make(task: str, settings: Settings) -> Environment:
    """The environment `cloth_3d`: observation (162,), action (6,) for the default sheet of 7 x 4 points."""
    rows, columns, spacing = settings.rows, settings.columns, settings.spacing
    mass, stiffness, damping, drag = settings.material
    held = _check_held(settings.held, rows, columns)
    number = _numbering(rows, columns, held)
    module = linalg.module_of(spacing)
    row, column = np.divmod(np.argsort(number.reshape(-1)), columns)  # of each point
    # The target: row 0 along y = 0, the others towards -y.
    flat = module.stack([spacing * column, -spacing * row, 0.0 * row], axis=1)
    pairs = sim.grid(number)
    springs = []
    for kind, share in (("structural", 1.0), ("shear", SHEAR), ("bending", BENDING)):
        springs += sim.join(
            pairs[kind], flat, num_handles=len(held), stiffness=share * stiffness, damping=share * damping
        )
    system = sim.make_system(
        mass=[mass] * (rows * columns - len(held)),
        springs=springs,
        handles=[sim.Handle.in_space(flat[index]) for index in range(len(held))],
        planes=[sim.Plane([0, 0, 0], [0, 0, 1], stiffness, settings.friction, slip_speed=2e-2, blend=2e-3)],
        time_step=settings.time_step,
        drag=drag,
    )
    # Hanging above the far edge of its place on the table.
    height = spacing * (rows - 1)
    hanging = flat[:, np.array([0, 2, 1])] + module.asarray([[0.0, -height, CLEARANCE]])
    hanging = hanging + module.asarray([[0.0, 0.0, height]])
    start_handle = jnp.asarray((hanging - flat)[: len(held)].reshape(-1))
    return payload.make_payload(
        "cloth_3d",
        task,
        system,
        flat[len(held) :],
        **settings.of_payload(),
        start_handle=start_handle,
        start_position=sim.equilibrium(system, start_handle, jnp.asarray(hanging[len(held) :])),
        velocity_modes=np.ones((1, system.num_points)),
    )


def _check_held(held: tuple[tuple[int, int], ...], rows: int, columns: int) -> list[tuple[int, ...]]:
    if not isinstance(held, tuple | list) or not held:
        raise checks.InputError("held", held, "must list at least one corner as (row, column)")
    corners = {(row, column) for row in (0, rows - 1) for column in (0, columns - 1)}
    found = [tuple(pair) if isinstance(pair, tuple | list) else (pair,) for pair in held]
    for index, pair in enumerate(found):
        if pair not in corners or pair in found[:index]:
            raise checks.InputError(
                f"held[{index}]", pair, f"must be a different corner of the sheet, one of {sorted(corners)}"
            )
    return found


def _numbering(rows: int, columns: int, held: list[tuple[int, ...]]) -> np.ndarray:
    """(rows, columns) the index of each point of the sheet, the held ones first."""
    number = np.full((rows, columns), -1)
    for index, pair in enumerate(held):
        number[pair] = index
    number[number < 0] = np.arange(len(held), rows * columns)
    return number
