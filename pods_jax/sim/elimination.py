"""Solves with the matrix of a network, which has a block for each point and for each spring between two of them.

The points fall into layers (`layers.py`), so that the matrix is block tridiagonal. Elimination goes from layer to
layer (`linalg.block_tridiagonal`). Small systems are written out as a whole,
and `scalarize` finds their zeros by itself.
"""

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import linalg
from pods_jax.linalg.block_tridiagonal import Row, block_tridiagonal, block_tridiagonal_inverse
from pods_jax.linalg.static_indices import take
from pods_jax.sim import springs
from pods_jax.sim.layers import Chain, Layers, find_chain, find_layers, free_pairs, operations
from pods_jax.sim.springs import SpringBlocks
from pods_jax.sim.system import System
from pods_jax.thresholds import MAX_BLOCK_SIZE, MAX_INVERSE_SIZE, MAX_SCALARIZED_SIZE, MIN_LAYER_SAVING


def solve(system: System, blocks: SpringBlocks, diagonal: jax.Array, right_side: jax.Array) -> jax.Array:
    """(P d,) x with `springs.assemble(system, blocks, diagonal)` x = right_side (P d,), by whatever is fastest."""
    pairs = free_pairs(system)
    layers = find_layers(system.num_points, pairs)
    if system.num_points * system.dimension <= MAX_SCALARIZED_SIZE or not _worthwhile(system, layers):
        return linalg.solve(springs.assemble(system, blocks.matrices(), diagonal), right_side)
    chain = find_chain(layers, pairs)
    if chain is not None:
        return _solve_chain(chain, blocks, diagonal, right_side)
    matrix, place = _by_layers(system, layers, blocks.matrices(), diagonal)
    values = jnp.concatenate([right_side.reshape(-1, system.dimension), jnp.zeros_like(diagonal[:1, 0])])
    x = block_tridiagonal(matrix, values[place].reshape(len(layers), -1)).reshape(-1, system.dimension)
    return x[_places_of_points(system, place)].reshape(-1)


def inverse(system: System, blocks: jax.Array, diagonal: jax.Array) -> jax.Array:
    """(P d, P d) the inverse of `springs.assemble(system, blocks (S, d, d), diagonal (P, d, d))`."""
    layers = find_layers(system.num_points, free_pairs(system))
    size = max(map(len, layers)) * system.dimension
    whole = system.num_points * system.dimension
    if whole <= MAX_INVERSE_SIZE or size > MAX_BLOCK_SIZE or not _worthwhile(system, layers):
        return linalg.inverse(springs.assemble(system, blocks, diagonal))
    matrix, place = _by_layers(system, layers, blocks, diagonal)
    index = _places_of_points(system, place)
    unknowns = (index[:, None] * system.dimension + np.arange(system.dimension)).reshape(-1)
    found = block_tridiagonal_inverse(matrix)
    return found if np.array_equal(unknowns, np.arange(len(found))) else found[unknowns][:, unknowns]


def _worthwhile(system: System, layers: Layers) -> bool:
    return operations(layers) <= MIN_LAYER_SAVING * system.num_points**3


def _solve_chain(chain: Chain, blocks: SpringBlocks, diagonal: jax.Array, right_side: jax.Array) -> jax.Array:
    """As `solve`; the matrix is put together while it is eliminated, since it is what takes memory."""
    padded = jax.tree.map(lambda leaf: jnp.concatenate([leaf, jnp.zeros_like(leaf[:1])]), blocks)
    before, after = (
        jax.tree.map(lambda leaf, index=index: take(leaf, index), padded)
        for index in (chain.springs[:-1], chain.springs[1:])
    )

    def row(point):
        before, after, diagonal = point
        lower, upper = before.matrix(), after.matrix()
        return diagonal + lower + upper, -lower, -upper

    values = take(right_side.reshape(len(chain.points), -1), chain.points)
    x = block_tridiagonal((before, after, take(diagonal, chain.points)), values, row)
    return take(x, tuple(np.argsort(chain.points).tolist())).reshape(-1)


def _by_layers(system: System, layers: Layers, blocks: jax.Array, diagonal: jax.Array) -> tuple[Row, np.ndarray]:
    """The rows (L, n, n) of the matrix, and the points (L, size) in them; one past the last where there is none."""
    dimension, size = system.dimension, max(map(len, layers))
    place = np.full((len(layers), size), system.num_points)
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
    on = between(place, place) + own.reshape(len(layers), size * dimension, size * dimension)
    outside = np.full((1, size), -1)
    below = between(place, np.concatenate([outside, place[:-1]]))
    above = between(place, np.concatenate([place[1:], outside]))
    return (on, below, above), place


def _places_of_points(system: System, place: np.ndarray) -> np.ndarray:
    """(P,) where each point is in the layers (L, size), counted one after the other."""
    places = np.empty(system.num_points, dtype=int)
    places[place[place < system.num_points]] = np.flatnonzero(place.reshape(-1) < system.num_points)
    return places
