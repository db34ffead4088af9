"""Solves with the matrix of a network, which has a block for each point and for each spring between two of them.

The points fall into layers (`layers.py`), so that the matrix is block tridiagonal. Elimination goes from layer to
layer,

    D'_i = D_i - L_i D'_{i-1}^-1 U_{i-1},     r'_i = r_i - L_i D'_{i-1}^-1 r'_{i-1},
    x_i = D'_i^-1 (r'_i - U_i x_{i+1}),

and takes operations in proportion to the number of layers, not to its cube. Small systems are written out as a whole,
and `unroll` finds their zeros by itself.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import linalg
from pods_jax.sim import layers as topology
from pods_jax.sim import springs
from pods_jax.sim.indices import take
from pods_jax.sim.layers import Chain, Layers
from pods_jax.sim.springs import SpringBlocks
from pods_jax.sim.system import System
from pods_jax.unroll import LARGEST, scan_by_scalars

WORTHWHILE = 0.5
"""Layers are used where they save at least so much of the operations of the whole matrix."""

LARGEST_BLOCK = 6
"""Blocks of up to so many unknowns are eliminated by scalars, larger ones by LAPACK."""

Row = tuple[jax.Array, jax.Array, jax.Array]
"""One row of a block tridiagonal matrix: on, below and above the diagonal, (n, n) each."""


def solve(system: System, blocks: SpringBlocks, diagonal: jax.Array, right_side: jax.Array) -> jax.Array:
    """(P d,) x with `springs.assemble(system, blocks, diagonal)` x = right_side (P d,), by whatever is fastest."""
    pairs = topology.free_pairs(system)
    layers = topology.find_layers(system.num_points, pairs)
    if system.num_points * system.dimension <= LARGEST or not _worthwhile(system, layers):
        return linalg.solve(springs.assemble(system, blocks.matrices(), diagonal), right_side)
    chain = topology.find_chain(layers, pairs)
    if chain is not None:
        return _solve_chain(chain, blocks, diagonal, right_side)
    matrix, place = _by_layers(system, layers, blocks.matrices(), diagonal)
    values = jnp.concatenate([right_side.reshape(-1, system.dimension), jnp.zeros_like(diagonal[:1, 0])])
    x = block_tridiagonal(matrix, values[place].reshape(len(layers), -1)).reshape(-1, system.dimension)
    return x[_places_of_points(system, place)].reshape(-1)


def inverse(system: System, blocks: jax.Array, diagonal: jax.Array) -> jax.Array:
    """(P d, P d) the inverse of `springs.assemble(system, blocks (S, d, d), diagonal (P, d, d))`."""
    layers = topology.find_layers(system.num_points, topology.free_pairs(system))
    size = max(map(len, layers)) * system.dimension
    whole = system.num_points * system.dimension
    if whole <= linalg.LARGEST_INVERSE or size > LARGEST_BLOCK or not _worthwhile(system, layers):
        return linalg.inverse(springs.assemble(system, blocks, diagonal))
    matrix, place = _by_layers(system, layers, blocks, diagonal)
    index = _places_of_points(system, place)
    unknowns = (index[:, None] * system.dimension + np.arange(system.dimension)).reshape(-1)
    found = block_tridiagonal_inverse(matrix)
    return found if np.array_equal(unknowns, np.arange(len(found))) else found[unknowns][:, unknowns]


def _worthwhile(system: System, layers: Layers) -> bool:
    return topology.operations(layers) <= WORTHWHILE * system.num_points**3


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
    for index, (first, second) in enumerate(topology.free_pairs(system)):
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


def block_tridiagonal(
    matrix: Any, right_side: jax.Array, row: Callable[[Any], Row] = lambda blocks: blocks
) -> jax.Array:
    """(L, n) x with below_i x_{i-1} + on_i x_i + above_i x_{i+1} = right_side_i, where row(matrix_i) are the blocks.

    Below the first and above the last counts as zero. Layers are not exchanged (no pivoting among them).
    """
    small = right_side.shape[1] <= LARGEST_BLOCK
    none = jnp.zeros_like(right_side[0])

    def forwards(carry, layer):
        W, z = carry  # D'^-1 U and D'^-1 r' of the layer before
        on, below, above = row(layer[0])
        sides = jnp.concatenate([above, (layer[1] - linalg.product(below, z[:, None])[:, 0])[:, None]], axis=1)
        eliminated = on - linalg.product(below, W)
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
    solved = scan(forwards, (jnp.zeros((none.size, none.size), none.dtype), none), (matrix, right_side))[1]
    return scan(backwards, none, solved, reverse=True)[1]


def block_tridiagonal_inverse(matrix: Row) -> jax.Array:
    """(L n, L n) the inverse of the matrix whose rows (L, n, n) these are, by blocks of few unknowns n."""
    count, size = matrix[0].shape[:2]
    whole = count * size
    none = jnp.zeros_like(matrix[0][0])

    def factorise(W, blocks):  # D'^-1 U of the layer before; to D'^-1 and D'^-1 U of this one
        on, below, above = blocks
        eliminated = linalg.inverse(on - linalg.product(below, W))
        W = linalg.product(eliminated, above)
        return W, (eliminated, W)

    def forwards(columns, layer):
        (_, below, _), eliminated, side = layer
        columns = linalg.product(eliminated, side - linalg.product(below, columns))
        return columns, columns

    def backwards(columns, layer):
        W, reduced = layer
        columns = reduced - linalg.product(W, columns)
        return columns, columns

    eliminated, Ws = scan_by_scalars(factorise, none, matrix)[1]
    sides = jnp.eye(whole, dtype=none.dtype).reshape(count, size, whole)
    nothing = jnp.zeros_like(sides[0])
    reduced = jax.lax.scan(forwards, nothing, (matrix, eliminated, sides))[1]
    return jax.lax.scan(backwards, nothing, (Ws, reduced), reverse=True)[1].reshape(whole, whole)
