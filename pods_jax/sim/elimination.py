"""Solves with the matrix of a network, which has a block for each point and for each spring between two of them.

The points fall into layers such that springs join points of one layer or of two neighbouring ones: each point of a
chain is a layer, so are rows of a sheet. The matrix is then block tridiagonal, and its elimination goes from layer to
layer,

    D'_i = D_i - L_i D'_{i-1}^-1 U_{i-1},     r'_i = r_i - L_i D'_{i-1}^-1 r'_{i-1},
    x_i = D'_i^-1 (r'_i - U_i x_{i+1}),

and takes operations in proportion to the number of layers, not to its cube. Small systems are written out as a whole,
and `unroll` finds their zeros by itself.
"""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import linalg
from pods_jax.sim import springs
from pods_jax.sim.system import System
from pods_jax.unroll import LARGEST, scan_by_scalars

Layers = tuple[tuple[int, ...], ...]

WORTHWHILE = 0.5
"""Layers are used where they save at least so much of the operations of the whole matrix."""

LARGEST_BLOCK = 6
"""Blocks of up to so many unknowns are eliminated by scalars, larger ones by LAPACK."""


def solve(system: System, blocks: jax.Array, diagonal: jax.Array, right_side: jax.Array) -> jax.Array:
    """(P d,) x with `springs.assemble(system, blocks, diagonal)` x = right_side (P d,), by whatever is fastest."""
    layers = find_layers(system.num_points, free_pairs(system))
    whole = system.num_points * system.dimension
    if whole <= LARGEST or operations(layers) > WORTHWHILE * system.num_points**3:
        return linalg.solve(springs.assemble(system, blocks, diagonal), right_side)
    return _solve_by_layers(system, layers, blocks, diagonal, right_side)


def operations(layers: Layers) -> int:
    """How many operations elimination by layers takes, relative to those of a matrix of one entry."""
    return len(layers) * max(map(len, layers)) ** 3


def free_pairs(system: System) -> tuple[tuple[int, int], ...]:
    """The free points that each spring joins, from 0 on; negative where it ends at a handle."""
    count = system.num_handles
    return tuple((first - count, second - count) for first, second in system.springs.ends)


@functools.lru_cache
def find_layers(num_points: int, pairs: tuple[tuple[int, int], ...]) -> Layers:
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
    return min(candidates, key=operations)


def _solve_by_layers(
    system: System, layers: Layers, blocks: jax.Array, diagonal: jax.Array, right_side: jax.Array
) -> jax.Array:
    dimension, size = system.dimension, max(map(len, layers))
    shape = (len(layers), size)
    place = np.full(shape, system.num_points)  # of each point; where a layer has fewer, of one that is alone
    for index, layer in enumerate(layers):
        place[index, : len(layer)] = layer
    spring_of: dict[tuple[int, int], int] = {}
    for index, (first, second) in enumerate(free_pairs(system)):
        spring_of[first, second] = spring_of[second, first] = index

    def between(rows: np.ndarray, columns: np.ndarray) -> jax.Array:
        """(L, size d, size d) the blocks of the springs from points (L, size) to points (L, size), negative."""
        none = blocks.shape[0]
        pairs = np.stack(np.broadcast_arrays(rows[:, :, None], columns[:, None, :]), axis=-1)
        index = np.apply_along_axis(lambda pair: spring_of.get(tuple(pair), none), -1, pairs)
        found = jnp.concatenate([-blocks, jnp.zeros_like(blocks[:1])])[index]
        return found.transpose(0, 1, 3, 2, 4).reshape(len(rows), size * dimension, size * dimension)

    alone = jnp.eye(dimension, dtype=blocks.dtype)[None]
    own = jnp.concatenate([springs.add_at_points(system, blocks, diagonal), alone])[place]
    own = own[:, :, :, None] * np.eye(size, dtype=own.dtype)[None, :, None, :, None]
    matrix = between(place, place) + own.reshape(len(layers), size * dimension, size * dimension)
    outside = np.full((1, size), -1)
    lower = between(place, np.concatenate([outside, place[:-1]]))
    upper = between(place, np.concatenate([place[1:], outside]))
    values = jnp.concatenate([right_side.reshape(-1, dimension), jnp.zeros((1, dimension), right_side.dtype)])
    x = block_tridiagonal(matrix, lower, upper, values[place].reshape(len(layers), -1)).reshape(-1, dimension)
    back = np.empty(system.num_points, dtype=int)
    back[place[place < system.num_points]] = np.flatnonzero(place.reshape(-1) < system.num_points)
    return x[back].reshape(-1)


def block_tridiagonal(diagonal: jax.Array, lower: jax.Array, upper: jax.Array, right_side: jax.Array) -> jax.Array:
    """(L, n) x with lower_i x_{i-1} + diagonal_i x_i + upper_i x_{i+1} = right_side_i, all blocks (L, n, n).

    The first of `lower` and the last of `upper` count as zero. Layers are not exchanged (no pivoting among them).
    """
    size = diagonal.shape[1]
    small = size <= LARGEST_BLOCK

    def forwards(carry, blocks):
        W, z = carry  # D'^-1 U and D'^-1 r' of the layer before
        diagonal, lower, upper, right_side = blocks
        sides = jnp.concatenate([upper, (right_side - linalg.product(lower, z[:, None])[:, 0])[:, None]], axis=1)
        eliminated = diagonal - linalg.product(lower, W)
        if small:
            solved = jax.vmap(linalg.solve, in_axes=(None, 1), out_axes=1)(eliminated, sides)
        else:
            solved = jnp.linalg.solve(eliminated, sides)
        return (solved[:, :-1], solved[:, -1]), (solved[:, :-1], solved[:, -1])

    def backwards(x, solved):
        W, z = solved
        x = z - linalg.product(W, x[:, None])[:, 0]
        return x, x

    scan = scan_by_scalars if small else jax.lax.scan
    nothing = jnp.zeros_like(right_side[0])
    solved = scan(forwards, (jnp.zeros_like(upper[0]), nothing), (diagonal, lower, upper, right_side))[1]
    return scan(backwards, nothing, solved, reverse=True)[1]
