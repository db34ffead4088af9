"""A camera: pictures of what an environment draws of itself, grey and small, differentiable and cheap.

Each point p of the drawing, and each of some points between the ends of a segment, is a Gaussian spot in the plane of
the picture,

    I[i, j] = min(1, sum_p w_p exp(-(u_i - u_p)^2 / (2 s^2)) exp(-(v_j - v_p)^2 / (2 s^2))),

with (u_i, v_j) the centre of pixel (i, j), u to the right and v upwards. Each spot is the product of a column and a
row of numbers, so that a picture costs one product of two small matrices.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.description import Drawing
from pods_jax.envs.environment import Environment, State

VIEWS = {"front": (0, -1), "side": (1, -1), "top": (0, 1)}
"""Which coordinates of a drawing are to the right and upwards."""

MARGIN = 1.3
"""Half the width of a picture, by the largest distance from its centre in drawings of initial states."""

NUM_DRAWN = 16
"""Initial states that are drawn for it."""

NUM_BETWEEN = 4
"""Spots of a segment, between its ends."""

SEGMENT_WEIGHT = 0.3
"""Of these, by those of points."""


@dataclass(frozen=True)
class Camera:
    """A picture (size, size) with numbers from 0 to 1, rows from the top."""

    size: int  # pixels of a row and of a column
    follow: str  # "handle": the centre is the mean of the handles; "origin": it stays at zero
    half_width: float  # [m] from the centre to each side; 0: not chosen yet, see `fitted`
    view: str  # one of VIEWS
    spot: float  # [pixels] standard deviation of a spot

    def read(self, env: Environment, state: State) -> jax.Array:
        """The picture (size, size)."""
        places, weights = _spots(env.draw(state), self)
        pixel = 2 * self.half_width / self.size
        right = (jnp.arange(self.size, dtype=places.dtype) + 0.5) * pixel - self.half_width
        columns, rows = (
            jnp.exp(-(((line[None] - place[:, None]) / (self.spot * pixel)) ** 2) / 2)
            for line, place in ((right, places[:, 0]), (-right, places[:, 1]))
        )
        return jnp.minimum(jnp.matmul((weights[:, None] * rows).T, columns, precision="highest"), 1.0)

    def fitted(self, env: Environment) -> "Camera":
        """The same with a half width that shows all of some initial states, if none was given."""
        if self.half_width:
            return self
        self.describe(env)
        reset = jax.vmap(lambda key: _spots(env.draw(env.reset(key)), self)[0])
        places = reset(jax.random.split(jax.random.key(0), NUM_DRAWN))
        return dataclasses.replace(self, half_width=float(MARGIN * jnp.max(jnp.abs(places))))

    def describe(self, env: Environment) -> tuple[str, str]:
        """A picture; raises InputError where the environment cannot be drawn, or has no such view."""
        if env.space_dimension is None:
            env.drawing_function()  # raises
        if env.space_dimension == 2 and self.view != "front":
            raise InputError("view", self.view, f"must be 'front': {env.name} moves in a plane")
        return "", "picture from 0 (dark) to 1, rows from the top"


def camera(
    size: int = 32,
    follow: str = "handle",
    half_width: float = 0.0,
    view: str = "front",
    spot: float = 1.0,
) -> Camera:
    """A camera that looks along one coordinate, without perspective.

    size: pixels of a row and of a column. follow: what stays in the middle, the mean of the handles ("handle"), or
    where that of the origin is ("origin"). half_width: [m] that is seen to each side of it; 0: 1.3 times what an
    initial state needs. view: from the "front", the "side" or the "top". spot: [pixels] standard deviation of a
    point's spot. Raises InputError on values that are not allowed.
    """
    return Camera(
        checks.integer("size", size, at_least=2, at_most=1024),
        checks.choice("follow", follow, ("handle", "origin")),
        checks.number("half_width", half_width, at_least=0.0),
        checks.choice("view", view, tuple(VIEWS)),
        checks.number("spot", spot, above=0.0),
    )


def _spots(drawing: Drawing, camera: Camera) -> tuple[jax.Array, jax.Array]:
    """(P, 2) [m] to the right of and above the centre of the picture, and (P,) weights of all spots."""
    points, axes = drawing.points, jnp.asarray(VIEWS[camera.view])
    first, second = np.asarray(drawing.segments, int).reshape(-1, 2).T
    share = jnp.asarray(np.arange(1, NUM_BETWEEN + 1) / (NUM_BETWEEN + 1), points.dtype)[:, None, None]
    between = points[first][None] + share * (points[second] - points[first])[None]
    between = between.reshape(-1, points.shape[1])
    places = jnp.concatenate([points, between])[:, axes]
    if camera.follow == "handle" and drawing.num_handles:
        places = places - jnp.mean(points[: drawing.num_handles, axes], axis=0, keepdims=True)
    weights = np.concatenate([np.ones(points.shape[0]), np.full(between.shape[0], SEGMENT_WEIGHT)])
    return places, jnp.asarray(weights, points.dtype)
