"""Mass-spring networks as data: masses, springs and cables, gravity, drag, planes, and driven handles.

Points are numbered handles first: 0 .. H-1 are the handles, H .. H+P-1 the free points. A spring
joins any two of them. The action moves the handles: with A numbers q, the handles stand at
`handle_origin + sum_a q[a] * handle_axes[a]`, so that one handle on a rail (A = 1), one in space
(A = 3) and two on a common axis (A = 2) are the same kind of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

STANDARD_GRAVITY = 9.81
"""[m/s^2], downwards along the last coordinate."""


Vector: TypeAlias = Sequence[float] | np.ndarray
"""(d,)"""


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
class Plane:
    """A fixed plane through `point` [m] that keeps free points on the side of its `normal`; see `contact.py`.

    stiffness: [N/m] > 0 per point. friction: coefficient >= 0. slip_speed: [m/s] > 0, below it friction is viscous:
    the smaller, the sharper. blend: [m] > 0, depth over which the plane becomes fully stiff.
    """

    point: Vector
    normal: Vector
    stiffness: float
    friction: float = 0.0
    slip_speed: float = 1e-2
    blend: float = 1e-3


@dataclass(frozen=True)
class Handle:
    """A point that the action drives: its position [m] at q = 0 and the directions it may move in."""

    position: Vector
    axes: Sequence[Vector]

    @classmethod
    def on_axis(cls, position: Vector, axis: int = 0) -> "Handle":
        """A handle on a rail along one coordinate axis: one action."""
        return cls(position, [np.eye(len(position))[axis]])

    @classmethod
    def in_plane(cls, position: Vector, axes: tuple[int, int] = (0, 1)) -> "Handle":
        """A handle that moves in a coordinate plane: two actions."""
        return cls(position, [np.eye(len(position))[axis] for axis in axes])

    @classmethod
    def in_space(cls, position: Vector) -> "Handle":
        """A handle that moves freely: one action for each coordinate."""
        return cls(position, list(np.eye(len(position))))


@struct.dataclass
class Springs:
    """All springs of a network; the topology is static so that solvers can exploit it while tracing.

    strongly_damped: so much that Newton's method has to know how damping forces turn with the springs, which takes
    longer. It only decides how a step is solved. See `build.derived`.
    """

    ends: tuple[tuple[int, int], ...] = struct.field(pytree_node=False)
    cable: tuple[bool, ...] = struct.field(pytree_node=False)
    strongly_damped: bool = struct.field(pytree_node=False)
    stiffness: jax.Array  # (S,) [N/m]
    rest_length: jax.Array  # (S,) [m]
    damping: jax.Array  # (S,) [N s/m]
    slack_blend: jax.Array  # (S,) [m]


@struct.dataclass
class Planes:
    """All planes of a system, K >= 0 of them."""

    normal: jax.Array  # (K, d), unit length
    offset: jax.Array  # (K,) [m], normal' point
    stiffness: jax.Array  # (K,) [N/m]
    friction: jax.Array  # (K,)
    slip_speed: jax.Array  # (K,) [m/s]
    blend: jax.Array  # (K,) [m]


@struct.dataclass
class System:
    """A mass-spring network with handles; build it with `make_system` of `build.py`, which validates everything."""

    mass: jax.Array  # (P,) [kg]
    drag: jax.Array  # (P,) [N s/m], force -drag * velocity
    gravity: jax.Array  # (d,) [m/s^2]
    springs: Springs
    planes: Planes
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
    def num_planes(self) -> int:
        """Number of planes K."""
        return self.planes.offset.shape[0]

    @property
    def dimension(self) -> int:
        """Number of space dimensions d."""
        return self.gravity.shape[0]

    @property
    def action_size(self) -> int:
        """Number of handle velocities A that the action sets."""
        return self.handle_axes.shape[0]


def handle_position(system: System, handle: jax.Array) -> jax.Array:
    """(H, d) [m]: where the handles stand at the handle coordinates (A,) [m]."""
    return system.handle_origin + jnp.einsum("a,ahd->hd", handle, system.handle_axes, precision="highest")


def handle_velocity(system: System, action: jax.Array) -> jax.Array:
    """(H, d) [m/s]: how fast the handles move under an action (A,) [m/s]."""
    return jnp.einsum("a,ahd->hd", action, system.handle_axes, precision="highest")
