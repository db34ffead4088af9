"""Which points to join, and the springs that do so: lines, cliques and grids of points.

Topology first, material second: `line`, `clique` and `grid` list pairs of points, `join` makes springs of them
whose rest lengths are the distances of the points in a reference shape.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from pods_jax import checks, linalg
from pods_jax.sim.system import Spring

Pairs = list[tuple[int, int]]


def line(points: Sequence[int]) -> Pairs:
    """Each point with the next one: a chain, a rope."""
    return list(pairwise(_points(points)))


def clique(points: Sequence[int]) -> Pairs:
    """Each point with each other one: a box or any other body that keeps its shape."""
    return list(combinations(_points(points), 2))


def grid(points: np.ndarray) -> dict[str, Pairs]:
    """The pairs of a sheet of points, an (R, C) array of indices: "structural", "shear" and "bending".

    Structural pairs are neighbours in a row or column, shear pairs the diagonals of each cell, bending pairs are two
    apart in a row or column. Raises InputError unless the array has two dimensions.
    """
    given = checks.array("points", points, np.shape(checks.sized("points", points)), at_least=0.0)
    points = given.astype(int)
    if np.any(points != given):
        raise checks.InputError("points", given, "must be whole numbers")
    if points.ndim != 2 or min(points.shape) < 2:
        raise checks.InputError(f"points has shape {points.shape}: must have shape (R, C), both at least 2")
    lines = [*points, *points.T]
    cells = [(points[:-1, :-1], points[1:, 1:]), (points[:-1, 1:], points[1:, :-1])]
    return {
        "structural": [pair for each in lines for pair in line(each)],
        "shear": [(int(i), int(j)) for first, second in cells for i, j in zip(first.flat, second.flat, strict=True)],
        "bending": [pair for each in lines for start in (0, 1) for pair in line(each[start::2])],
    }


def join(
    pairs: Iterable[tuple[int, int]],
    position: np.ndarray,
    *,
    num_handles: int,
    stiffness: float,
    damping: float = 0.0,
    cable: bool = False,
) -> list[Spring]:
    """A spring or cable for each pair of points; those that join two handles, which nothing could move, are left out.

    position: (H + P, d) [m] the reference shape, handles first, that gives the rest lengths. Raises InputError where
    a point is missing or two joined points coincide.
    """
    springs = []
    num_handles = checks.integer("num_handles", num_handles, at_least=0)
    stiffness, damping = (
        checks.scalar("stiffness", stiffness, above=0.0),
        checks.scalar("damping", damping, at_least=0.0),
    )
    cable = checks.boolean("cable", cable)
    position = checks.scalars("position", position, np.shape(checks.sized("position", position)))
    if position.ndim != 2:
        raise checks.InputError(f"position has shape {position.shape}: must have shape (H + P, d)")
    for first, second in _pairs(pairs):
        for index in (first, second):
            checks.integer("point", index, at_least=0, at_most=len(position) - 1)
        if max(first, second) < num_handles:
            continue
        length = linalg.module_of(position).linalg.norm(position[second] - position[first])
        if not checks.is_traced(length) and length == 0.0:
            raise checks.InputError(
                f"points {first} and {second} have the same position {list(position[first])}: a spring between them "
                "would have rest length 0; move one of them"
            )
        springs.append(Spring(first, second, stiffness, length, damping, cable))
    return springs


def _points(points: Any) -> list[int]:
    return [checks.integer(f"points[{i}]", each, at_least=0) for i, each in enumerate(checks.sized("points", points))]


def _pairs(pairs: Any) -> Pairs:
    found = []
    for index, pair in enumerate(_listed("pairs", pairs)):
        if len(checks.sized(f"pairs[{index}]", pair)) != 2:
            raise checks.InputError(f"pairs[{index}]", pair, "must be two numbers of points")
        found.append((pair[0], pair[1]))
    return found


def _listed(name: str, values: Any) -> list[Any]:
    if not isinstance(values, Iterable):
        raise checks.InputError(name, values, "must be a list")
    return list(values)
