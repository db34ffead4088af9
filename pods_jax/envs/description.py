"""What an environment may tell of itself, for people to look at: what is observed, its energy, a drawing.

Training needs none of it. Pictures, policy files and the doctor know nothing else of an environment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import ArrayLike

from pods_jax.checks import InputError

Numbers: TypeAlias = ArrayLike | Sequence[Any]
"""An array, or nested sequences of numbers."""


@dataclass(frozen=True)
class Block:
    """Neighbouring components of an observation that mean the same thing."""

    name: str
    unit: str  # such as "m/s", or "unknown"
    size: int  # how many components
    meaning: str  # one phrase


@struct.dataclass
class Energy:
    """The mechanical energy of one state."""

    kinetic: jax.Array  # () [J]
    potential: jax.Array  # () [J]


@struct.dataclass
class Drawing:
    """One state as points and lines in the plane or in space; `make_drawing` builds and checks it."""

    points: jax.Array  # (N, d) [m], d = 2 or 3, the last coordinate upwards; those that the action drives come first
    slack: jax.Array  # (S,) bool, which segments hang slack
    normals: jax.Array  # (K, d) of planes: unit vectors
    offsets: jax.Array  # (K,) [m] of planes: normal' x of all their points x
    target: jax.Array  # (M, d) [m], where points are to come to rest
    segments: tuple[tuple[int, int], ...] = struct.field(pytree_node=False)  # S pairs of points that are joined
    cables: tuple[bool, ...] = struct.field(pytree_node=False)  # (S,) which segments can hang slack
    num_handles: int = struct.field(pytree_node=False)  # how many of the points the action drives


def make_drawing(
    points: Numbers,
    segments: Sequence[tuple[int, int]] = (),
    *,
    slack: Numbers = (),
    cables: Sequence[bool] = (),
    num_handles: int = 0,
    normals: Numbers = (),
    offsets: Numbers = (),
    target: Numbers = (),
) -> Drawing:
    """A Drawing of points (N, d) [m], in the plane (d = 2) or in space (d = 3), of which some are joined.

    segments: S pairs of indices of points. slack (S,): which of them hang slack; none, if not given. cables (S,):
    which of them could; all or none, as slack is given or not. num_handles: so many of the points, the first ones,
    are driven by the action. normals (K, d), offsets (K,) [m]: planes, such as a floor; of those, pictures show the
    ones that face upwards. target (M, d) [m]: where points are to come to rest. Raises InputError on other shapes and
    on indices of points that there are not.
    """
    points = jnp.asarray(points)
    if points.ndim != 2 or points.shape[0] < 1 or points.shape[1] not in (2, 3):
        raise InputError(f"points have shape {points.shape}: must have shape (N, 2) or (N, 3), with N at least 1")
    count, dimension = points.shape
    joined = tuple((int(first), int(second)) for first, second in segments)
    for index, pair in enumerate(joined):
        if not all(0 <= end < count for end in pair):
            raise InputError(f"segments[{index}] = {pair}: must be two numbers of points, 0 to {count - 1}")
    if not 0 <= num_handles <= count:
        raise InputError(f"num_handles = {num_handles}: must be at least 0 and at most {count}, as there are points")
    is_given = np.size(slack) > 0
    cables = tuple(map(bool, cables)) or (is_given,) * len(joined)
    drawing = Drawing(
        points=points,
        slack=jnp.asarray(slack if is_given else np.zeros(len(joined)), bool),
        normals=_rows(normals, dimension, points.dtype),
        offsets=jnp.asarray(offsets, points.dtype),
        target=_rows(target, dimension, points.dtype),
        segments=joined,
        cables=cables,
        num_handles=num_handles,
    )
    for name, got, allowed in (
        ("slack", drawing.slack.shape, (len(joined),)),
        ("cables", (len(cables),), (len(joined),)),
        ("normals", drawing.normals.shape, (len(drawing.normals), dimension)),
        ("offsets", drawing.offsets.shape, (len(drawing.normals),)),
        ("target", drawing.target.shape, (len(drawing.target), dimension)),
    ):
        if got != allowed:
            raise InputError(f"{name} has shape {got}: must have shape {allowed}")
    return drawing


def _rows(values: Numbers, dimension: int, dtype: jnp.dtype) -> jax.Array:
    """(n, d) the values as vectors; none of them if there are no values."""
    return jnp.asarray(values, dtype) if np.size(values) else jnp.zeros((0, dimension), dtype)
