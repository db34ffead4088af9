"""Layers of points, and chains of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pods_jax import sim
from pods_jax.sim.layers import find_chain, find_layers


def sheet(rows, columns):
    pairs = sim.grid(np.arange(rows * columns).reshape(rows, columns))
    return [pair for kind in pairs.values() for pair in kind]


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


def chain_of(num_points, pairs):
    return find_chain(find_layers(num_points, pairs), pairs)


def test_a_rope_is_a_chain_from_its_handle_to_its_end():
    pairs = tuple((point - 1, point) for point in range(6))
    assert chain_of(6, pairs) == ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5, 6))


def test_chains_may_hang_between_handles_in_any_order_and_in_parts():
    points, springs = chain_of(4, ((1, 3), (-1, 1), (0, 3), (2, -2), (2, 0)))
    assert (points, springs) == ((1, 3, 0, 2), (1, 0, 2, 4, 3))
    points, springs = chain_of(4, ((0, 1), (2, 3)))
    assert springs[0] == springs[2] == springs[4] == 2
    assert {springs[1], springs[3]} == {0, 1}


@pytest.mark.parametrize(
    "pairs",
    [
        (*sim.line(range(5)), (0, 2)),  # bending
        (*sim.line(range(5)), (-1, 2)),  # held in the middle
        (*sim.line(range(5)), (-1, 0), (-2, 0)),  # twice at one end
        (*sim.line(range(5)), (4, 0)),  # a ring
    ],
)
def test_what_is_no_chain(pairs):
    assert chain_of(5, pairs) is None
