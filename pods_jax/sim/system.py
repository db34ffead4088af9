"""Mass-spring networks as data: masses, springs and cables, gravity, drag, and driven handles.

Points are numbered handles first: 0 .. H-1 are the handles, H .. H+P-1 the free points. A spring
joins any two of them. The action moves the handles: with A numbers q, the handles stand at
`handle_origin + sum_a q[a] * handle_axes[a]`, so that one handle on a rail (A = 1), one in space
(A = 3) and two on a common axis (A = 2) are the same kind of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks

STANDARD_GRAVITY = 9.81
"""[m/s^2], downwards along the last coordinate."""


@dataclass(frozen=True)
class Spring:
    """One spring between two points, or a cable that only pulls.

    stiffness: [N/m] > 0. rest_length: [m] > 0. damping: [N s/m] >= 0, along the spring.
    cable: tension is exactly zero at or below the rest length and rises smoothly (C^2) over
    the first `slack_blend` metres of stretch; beyond, the stretch is `slack_blend / 2` more than
    that of the bilateral spring under the same load.
    """

    first: int
    second: int
    stiffness: float
    rest_length: float
    damping: float = 0.0
    cable: bool = False
    slack_blend: float = 1e-3


@dataclass(frozen=True)
class Handle:
    """A point that the action drives: its position [m] at q = 0 and the directions it may move in."""

    position: Sequence[float]
    axes: Sequence[Sequence[float]]

    @classmethod
    def on_axis(cls, position: Sequence[float], axis: int = 0) -> "Handle":
        """A handle on a rail along one coordinate axis: one action."""
        return cls(position, [np.eye(len(position))[axis]])

    @classmethod
    def in_plane(cls, position: Sequence[float], axes: tuple[int, int] = (0, 1)) -> "Handle":
        """A handle that moves in a coordinate plane: two actions."""
        return cls(position, [np.eye(len(position))[axis] for axis in axes])

    @classmethod
    def in_space(cls, position: Sequence[float]) -> "Handle":
        """A handle that moves freely: one action for each coordinate."""
        return cls(position, list(np.eye(len(position))))


@struct.dataclass
class Springs:
    """All springs of a network; the topology is static so that solvers can exploit it while tracing."""

    ends: tuple[tuple[int, int], ...] = struct.field(pytree_node=False)
    cable: tuple[bool, ...] = struct.field(pytree_node=False)
    stiffness: jax.Array  # (S,) [N/m]
    rest_length: jax.Array  # (S,) [m]
    damping: jax.Array  # (S,) [N s/m]
    slack_blend: jax.Array  # (S,) [m]


@struct.dataclass
class System:
    """A mass-spring network with handles; build it with `make_system`, which validates everything."""

    mass: jax.Array  # (P,) [kg]
    drag: jax.Array  # (P,) [N s/m], force -drag * velocity
    gravity: jax.Array  # (d,) [m/s^2]
    springs: Springs
    handle_origin: jax.Array  # (H, d) [m]
    handle_axes: jax.Array  # (A, H, d), handle velocity [m/s] per unit of action
    time_step: float = struct.field(pytree_node=False)  # [s]

    @property
    def num_points(self) -> int:
        """Number of free points P."""
        return self.mass.shape[0]

    @property
    def num_handles(self) -> int:
        """Number of handles H."""
        return self.handle_origin.shape[0]

    @property
    def dimension(self) -> int:
        """Number of space dimensions d."""
        return self.gravity.shape[0]

    @property
    def action_size(self) -> int:
        """Number of handle velocities A that the action sets."""
        return self.handle_axes.shape[0]


def make_system(
    *,
    mass: Sequence[float],
    springs: Sequence[Spring],
    handles: Sequence[Handle],
    time_step: float,
    drag: float | Sequence[float] = 0.0,
    gravity: float | Sequence[float] = STANDARD_GRAVITY,
    dimension: int = 3,
) -> System:
    """Builds a validated System.

    mass: (P,) [kg] > 0 of the free points. drag: [N s/m] >= 0, one number or (P,). gravity: downward
    acceleration [m/s^2] or a vector (d,). time_step: [s] > 0. Raises InputError naming the field, the
    value and what is allowed.
    """
    dimension = checks.integer("dimension", dimension, at_least=2, at_most=3)
    num_points = len(mass)
    if num_points == 0 or not handles:
        raise checks.InputError(
            f"mass has {num_points} entries and handles has {len(handles)}: a system needs at least one of each"
        )
    num_all = num_points + len(handles)
    for index, spring in enumerate(springs):
        _check_spring(index, spring, num_all, len(handles))
    down = np.zeros(dimension)
    if np.ndim(gravity) == 0:
        down[-1] = -checks.number("gravity", gravity)
    else:
        down = checks.array("gravity", gravity, (dimension,))
    origin = [checks.array(f"handles[{i}].position", h.position, (dimension,)) for i, h in enumerate(handles)]
    drag_each = np.full(num_points, drag) if np.ndim(drag) == 0 else drag
    return System(
        mass=jnp.asarray(checks.array("mass", mass, (num_points,), above=0.0)),
        drag=jnp.asarray(checks.array("drag", drag_each, (num_points,), at_least=0.0)),
        gravity=jnp.asarray(down),
        springs=_stack_springs(springs),
        handle_origin=jnp.asarray(np.stack(origin)),
        handle_axes=jnp.asarray(_handle_axes(handles, dimension)),
        time_step=checks.number("time_step", time_step, above=0.0),
    )


def _check_spring(index: int, spring: Spring, num_all: int, num_handles: int) -> None:
    name = f"springs[{index}]"
    for end in ("first", "second"):
        checks.integer(f"{name}.{end}", getattr(spring, end), at_least=0, at_most=num_all - 1)
    if spring.first == spring.second:
        raise checks.InputError(f"{name} joins point {spring.first} to itself: must join two different points")
    if max(spring.first, spring.second) < num_handles:
        raise checks.InputError(
            f"{name} joins handles {spring.first} and {spring.second}: at least one end must be a free point "
            f"(indices {num_handles} .. {num_all - 1})"
        )
    for field in ("stiffness", "rest_length", "slack_blend"):
        checks.number(f"{name}.{field}", getattr(spring, field), above=0.0)
    checks.number(f"{name}.damping", spring.damping, at_least=0.0)


def _stack_springs(springs: Sequence[Spring]) -> Springs:
    def column(field: str) -> jax.Array:
        return jnp.asarray([float(getattr(spring, field)) for spring in springs])

    return Springs(
        ends=tuple((int(spring.first), int(spring.second)) for spring in springs),
        cable=tuple(bool(spring.cable) for spring in springs),
        stiffness=column("stiffness"),
        rest_length=column("rest_length"),
        damping=column("damping"),
        slack_blend=column("slack_blend"),
    )


def _handle_axes(handles: Sequence[Handle], dimension: int) -> np.ndarray:
    columns = []
    for index, handle in enumerate(handles):
        axes = checks.array(f"handles[{index}].axes", handle.axes, (len(handle.axes), dimension))
        for axis in axes:
            column = np.zeros((len(handles), dimension))
            column[index] = axis
            columns.append(column)
    if not columns:
        raise checks.InputError("handles have no axes: at least one handle must be able to move")
    return np.stack(columns)


def handle_position(system: System, handle: jax.Array) -> jax.Array:
    """(H, d) [m]: where the handles stand at the handle coordinates (A,) [m]."""
    return system.handle_origin + jnp.einsum("a,ahd->hd", handle, system.handle_axes, precision="highest")


def handle_velocity(system: System, action: jax.Array) -> jax.Array:
    """(H, d) [m/s]: how fast the handles move under an action (A,) [m/s]."""
    return jnp.einsum("a,ahd->hd", action, system.handle_axes, precision="highest")
