"""Elimination by layers, beside numpy's solve with the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pods_jax import sim
from pods_jax.sim import elimination, springs
from pods_jax.sim.elimination import find_layers


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
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_solves_what_the_whole_matrix_says(name):
    pairs, count, dimension = NETWORKS[name]
    system = network(pairs, count, dimension)
    generator = np.random.default_rng(0)
    blocks = generator.normal(size=(4, len(system.springs.ends), dimension, dimension))  # not symmetric either
    diagonal = generator.normal(size=(4, count, dimension, dimension)) + 40 * np.eye(dimension)
    right_side = generator.normal(size=(4, count * dimension))
    layers = find_layers(count, elimination.free_pairs(system))
    assert elimination.operations(layers) < elimination.WORTHWHILE * count**3, "nothing is solved by layers here"
    found = jax.jit(jax.vmap(lambda *args: elimination.solve(system, *args)))(blocks, diagonal, right_side)
    for index in range(4):
        matrix = np.asarray(springs.assemble(system, jnp.asarray(blocks[index]), jnp.asarray(diagonal[index])))
        expected = np.linalg.solve(matrix, right_side[index])
        np.testing.assert_allclose(found[index], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("size", [1, 3, elimination.LARGEST_BLOCK, elimination.LARGEST_BLOCK + 1])
def test_block_tridiagonal_systems(size):
    generator = np.random.default_rng(1)
    count = 5
    lower, upper, diagonal = generator.normal(size=(3, count, size, size))
    diagonal += 8 * size * np.eye(size)
    lower[0], upper[-1] = 0.0, 0.0
    matrix = np.zeros((count, size, count, size))
    for index in range(count):
        matrix[index, :, index] = diagonal[index]
        if index:
            matrix[index, :, index - 1], matrix[index - 1, :, index] = lower[index], upper[index - 1]
    right_side = generator.normal(size=(count, size))
    found = jax.jit(elimination.block_tridiagonal)(diagonal, lower, upper, right_side)
    expected = np.linalg.solve(matrix.reshape(count * size, -1), right_side.reshape(-1))
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-12, atol=1e-14)


def test_in_single_precision_it_is_as_exact_as_single_precision():
    pairs, count, dimension = NETWORKS["chain"]
    system = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), network(pairs, count, dimension))
    generator = np.random.default_rng(0)
    blocks = np.einsum("sij,skj->sik", *2 * [generator.normal(size=(count, dimension, dimension))])
    diagonal = np.broadcast_to(np.eye(dimension), (count, dimension, dimension))
    args = [jnp.asarray(each, jnp.float32) for each in (blocks, diagonal, generator.normal(size=count * dimension))]
    found = jax.jit(lambda *args: elimination.solve(system, *args))(*args)
    assert found.dtype == jnp.float32
    matrix = np.asarray(springs.assemble(system, *args[:2]), float)
    expected = np.linalg.solve(matrix, np.asarray(args[2], float))
    tolerance = 8 * np.finfo(np.float32).eps * np.linalg.cond(matrix)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.max(np.abs(expected)))


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    points = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(points, points).filter(lambda pair: pair[0] != pair[1]), max_size=20))
    return count, tuple(pairs)


@given(graphs())
@settings(max_examples=200, deadline=None)
def test_layers_hold_each_point_once_and_pairs_reach_no_further_than_the_next(graph):
    count, pairs = graph
    layers = find_layers(count, pairs)
    assert sorted(point for layer in layers for point in layer) == list(range(count))
    layer_of = {point: index for index, layer in enumerate(layers) for point in layer}
    assert all(abs(layer_of[first] - layer_of[second]) <= 1 for first, second in pairs)


def test_layers_are_those_that_one_would_choose():
    assert {len(layer) for layer in find_layers(9, tuple(sim.line(range(9))))} == {1}
    assert find_layers(4, ((-1, 0), (0, 1), (1, 2), (2, 3), (3, -2))) in (
        ((0,), (1,), (2,), (3,)),
        ((3,), (2,), (1,), (0,)),
    )
    rows = find_layers(28, tuple(sheet(7, 4)))  # bending springs reach over one row
    assert max(map(len, rows)) <= 8
    assert len(find_layers(4, tuple(sim.clique(range(4))))) <= 2
