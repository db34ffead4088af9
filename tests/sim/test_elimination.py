"""Elimination by layers, beside numpy's solve with the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import sim
from pods_jax.sim import elimination, springs
from pods_jax.sim.layers import find_layers, free_pairs, operations
from pods_jax.thresholds import MIN_LAYER_SAVING
from tests.tiers import slow_but


def network(pairs, num_points, dimension=3):
    """A network of one handle, joined to the first free point, and of free points joined in pairs from 0 on."""
    ends = [(0, 1), *((first + 1, second + 1) for first, second in pairs)]
    return sim.make_system(
        mass=[1.0] * num_points,
        springs=[sim.Spring(first, second, stiffness=1.0, rest_length=1.0) for first, second in ends],
        handles=[sim.Handle.on_axis([0.0] * dimension)],
        time_step=0.1,
        dimension=dimension,
    )


def sheet(rows, columns):
    pairs = sim.grid(np.arange(rows * columns).reshape(rows, columns))
    return [pair for kind in pairs.values() for pair in kind]


NETWORKS = {
    "chain": (sim.line(range(12)), 12, 3),
    "chain from its middle": ([(5, 4), (4, 3), (3, 2), (2, 1), (1, 0), (5, 6), (6, 7), (7, 8), (8, 9)], 10, 3),
    "ring": ([*sim.line(range(12)), (11, 0)], 12, 2),
    "sheet": (sheet(7, 3), 21, 3),
    "two ropes": ([*sim.line(range(6)), *sim.line(range(6, 12))], 12, 2),
    "loose points": (sim.line(range(4)), 12, 3),
    "comb": ([*sim.line(range(12)), (3, 12), (7, 13)], 14, 2),
}


@pytest.mark.parametrize("name", slow_but(NETWORKS, "chain", "sheet"))
def test_it_solves_what_the_whole_matrix_says(name):
    pairs, count, dimension = NETWORKS[name]
    system = network(pairs, count, dimension)
    generator = np.random.default_rng(0)
    num_springs = len(system.springs.ends)
    blocks = springs.SpringBlocks(
        jnp.asarray(generator.normal(size=(4, num_springs, dimension))),
        *jnp.asarray(generator.normal(size=(2, 4, num_springs))),
    )
    diagonal = generator.normal(size=(4, count, dimension, dimension)) + 40 * np.eye(dimension)  # not symmetric
    right_side = generator.normal(size=(4, count * dimension))
    layers = find_layers(count, free_pairs(system))
    assert operations(layers) < MIN_LAYER_SAVING * count**3, "nothing is solved by layers here"
    found = jax.jit(jax.vmap(lambda *args: elimination.solve(system, *args)))(blocks, diagonal, right_side)
    matrices = jax.vmap(springs.SpringBlocks.matrices)(blocks)
    for index in range(4):
        matrix = np.asarray(springs.assemble(system, matrices[index], jnp.asarray(diagonal[index])))
        expected = np.linalg.solve(matrix, right_side[index])
        np.testing.assert_allclose(found[index], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", slow_but(NETWORKS, "sheet", "two ropes"))
def test_its_inverse_is_that_of_the_whole_matrix(name):
    pairs, count, dimension = NETWORKS[name]
    system = network(pairs, count, dimension)
    generator = np.random.default_rng(0)
    blocks = generator.normal(size=(2, len(system.springs.ends), dimension, dimension))  # not symmetric either
    diagonal = generator.normal(size=(2, count, dimension, dimension)) + 40 * np.eye(dimension)
    found = jax.jit(jax.vmap(lambda *args: elimination.inverse(system, *args)))(blocks, diagonal)
    for index in range(2):
        matrix = np.asarray(springs.assemble(system, jnp.asarray(blocks[index]), jnp.asarray(diagonal[index])))
        np.testing.assert_allclose(found[index], np.linalg.inv(matrix), rtol=1e-10, atol=1e-14)


def test_in_single_precision_it_is_as_exact_as_single_precision():
    pairs, count, dimension = NETWORKS["chain"]
    system = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), network(pairs, count, dimension))
    generator = np.random.default_rng(0)
    direction = generator.normal(size=(count, dimension))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    blocks = springs.SpringBlocks(direction, *np.abs(generator.normal(size=(2, count))))
    diagonal = np.broadcast_to(np.eye(dimension), (count, dimension, dimension))
    blocks, diagonal, right_side = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float32), (blocks, diagonal, generator.normal(size=count * dimension))
    )
    found = jax.jit(lambda *args: elimination.solve(system, *args))(blocks, diagonal, right_side)
    assert found.dtype == jnp.float32
    matrix = np.asarray(springs.assemble(system, blocks.matrices(), diagonal), float)
    expected = np.linalg.solve(matrix, np.asarray(right_side, float))
    tolerance = 8 * np.finfo(np.float32).eps * np.linalg.cond(matrix)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.max(np.abs(expected)))
