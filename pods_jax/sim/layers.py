"""Layers of points such that springs join points of one layer or of two neighbouring ones.

Each point of a chain is a layer, so are rows of a sheet. What a network adds up is then block tridiagonal.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

from pods_jax.sim.system import System

Layers = tuple[tuple[int, ...], ...]

Pairs = tuple[tuple[int, int], ...]


class Chain(NamedTuple):
    """A network that is one point after the other, with nothing but handles beyond its ends."""

    points: tuple[int, ...]  # (P,) in order
    springs: tuple[int, ...]  # (P + 1,) before, between and after them; the number of all springs where there is none


def operations(layers: Layers) -> int:
    """How many operations elimination by layers takes, relative to those of a matrix of one entry."""
    return len(layers) * max(map(len, layers)) ** 3


def free_pairs(system: System) -> Pairs:
    """The free points that each spring joins, from 0 on; negative where it ends at a handle."""
    count = system.num_handles
    return tuple((first - count, second - count) for first, second in system.springs.ends)


@functools.lru_cache
def find_layers(num_points: int, pairs: Pairs) -> Layers:
    """Layers of points such that each pair is of one layer or of two neighbouring ones: the best of a few ways.

    Distances from a set of points are such layers; the set is what is furthest from one of the points.
    """
    neighbours: list[set[int]] = [set() for _ in range(num_points)]
    for first, second in pairs:
        if min(first, second) >= 0:
            neighbours[first].add(second)
            neighbours[second].add(first)

    def by_distance(start: Iterable[int]) -> list[tuple[int, ...]]:
        found, seen = [tuple(sorted(start))], set(start)
        while len(seen) < num_points:
            reached = {other for point in found[-1] for other in neighbours[point]} - seen
            reached = reached or {min(set(range(num_points)) - seen)}  # another part, joined to nothing so far
            found.append(tuple(sorted(reached)))
            seen |= reached
        return found

    candidates = [tuple(by_distance(by_distance([point])[-1])) for point in range(num_points)]
    best = min(candidates, key=operations)
    return min(best, best[::-1])


def find_chain(layers: Layers, pairs: Pairs) -> Chain | None:
    """The chain that these layers are, if they are one: a spring at most between each point and the next."""
    if max(map(len, layers)) > 1:
        return None
    points = [layer[0] for layer in layers]
    place = {point: index for index, point in enumerate(points)}
    springs = [len(pairs)] * (len(points) + 1)
    for index, pair in enumerate(pairs):
        inner = sorted(place[point] for point in pair if point >= 0)
        if len(inner) == 1 and inner[0] not in (0, len(points) - 1):
            return None
        gap = inner[-1] if len(inner) == 2 or inner[0] == 0 else len(points)
        if springs[gap] != len(pairs):
            return None
        springs[gap] = index
    return Chain(tuple(points), tuple(springs))
