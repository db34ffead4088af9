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

from pods_jax import checks
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
    shape: tuple[int, ...] = ()  # of the array that they are, row by row; of a list, if not given

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape) or (self.size,))


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
    points = checks.reals("points", points, None, _floating(points))
    if points.ndim != 2 or points.shape[0] < 1 or points.shape[1] not in (2, 3):
        raise InputError(f"points have shape {points.shape}: must have shape (N, 2) or (N, 3), with N at least 1")
    count, dimension = points.shape
    joined = _pairs(segments, count)
    if not 0 <= checks.integer("num_handles", num_handles, at_least=-(2**31)) <= count:
        raise InputError(f"num_handles = {num_handles}: must be at least 0 and at most {count}, as there are points")
    is_given = np.size(slack) > 0
    cables = _flags("cables", cables) or (is_given,) * len(joined)
    drawing = Drawing(
        points=points,
        slack=_as_bool("slack", slack) if is_given else jnp.zeros(len(joined), bool),
        normals=_rows("normals", normals, dimension, points.dtype),
        offsets=checks.reals("offsets", offsets, None, points.dtype),
        target=_rows("target", target, dimension, points.dtype),
        segments=joined,
        cables=cables,
        num_handles=num_handles,
    )
    for name, got, allowed in (
        ("slack", drawing.slack.shape, (len(joined),)),
        ("cables", (len(cables),), (len(joined),)),
        ("normals", drawing.normals.shape, (*drawing.normals.shape[:1], dimension)),
        ("offsets", drawing.offsets.shape, drawing.normals.shape[:1]),
        ("target", drawing.target.shape, (*drawing.target.shape[:1], dimension)),
    ):
        if got != allowed:
            raise InputError(f"{name} has shape {got}: must have shape {allowed}")
    return drawing


def _rows(name: str, values: Numbers, dimension: int, dtype: Any) -> jax.Array:
    """(n, d) the values as vectors; none of them if there are no values."""
    if isinstance(values, Sequence | np.ndarray) and not np.size(values):
        return jnp.zeros((0, dimension), dtype)
    return checks.reals(name, values, None, dtype)


def _floating(values: Numbers) -> Any:
    """The type of the numbers, or jax's own where they are whole, or a list."""
    dtype = getattr(values, "dtype", None)
    return dtype if dtype is not None and jnp.issubdtype(dtype, np.floating) else float


def _pairs(segments: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers of points; raises InputError for anything else."""
    if not isinstance(segments, Sequence | np.ndarray) or isinstance(segments, str):
        raise InputError("segments", segments, "must be a list of pairs of numbers of points")
    for index, pair in enumerate(segments):
        numbers = pair if isinstance(pair, Sequence | np.ndarray) and len(pair) == 2 else ()
        if len(numbers) != 2 or not all(
            isinstance(end, int | np.integer) and not isinstance(end, bool) and 0 <= end < count for end in numbers
        ):
            raise InputError(f"segments[{index}]", pair, f"must be two numbers of points, 0 to {count - 1}")
    return tuple((int(first), int(second)) for first, second in segments)


def _flags(name: str, values: Any) -> tuple[bool, ...]:
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise InputError(name, values, "must be a list of True and False")
    return tuple(checks.boolean(f"{name}[{index}]", value) for index, value in enumerate(values))


def _as_bool(name: str, values: Any) -> jax.Array:
    """An array of True and False, possibly traced; numbers other than 0 count as True."""
    try:
        return jnp.asarray(checks.leaves(name, values)).astype(bool)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(name, values, "must be True and False") from error
