import numpy as np
import pytest

from pods_jax import sim
from pods_jax.checks import InputError


def test_a_line_joins_neighbours_and_a_clique_everybody():
    assert sim.line([4, 2, 7]) == [(4, 2), (2, 7)]
    assert len(sim.clique(range(5))) == 10
    assert sim.clique([1, 2, 3]) == [(1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("shape", [(2, 2), (4, 7), (3, 5)])
def test_a_grid_joins_points_at_the_distances_of_its_kinds(shape):
    rows, columns = shape
    pairs = sim.grid(np.arange(rows * columns).reshape(shape))
    place = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).reshape(-1, 2)
    counts = {
        "structural": rows * (columns - 1) + (rows - 1) * columns,
        "shear": 2 * (rows - 1) * (columns - 1),
        "bending": rows * (columns - 2) + (rows - 2) * columns,
    }
    for kind, distance in (("structural", 1.0), ("shear", np.sqrt(2)), ("bending", 2.0)):
        found = np.array(pairs[kind], dtype=int).reshape(-1, 2)
        assert len({frozenset(pair) for pair in found.tolist()}) == len(found) == counts[kind]
        np.testing.assert_allclose(np.linalg.norm(place[found[:, 0]] - place[found[:, 1]], axis=1), distance)


@pytest.mark.parametrize("points", [np.arange(4), np.arange(4).reshape(1, 4)])
def test_a_grid_needs_rows_and_columns(points):
    with pytest.raises(InputError, match=r"must have shape \(R, C\), both at least 2"):
        sim.grid(points)


def test_joined_points_rest_at_their_distance_and_handles_are_not_joined_to_each_other():
    position = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    springs = sim.join(sim.clique(range(3)), position, num_handles=2, stiffness=10.0, damping=0.1, cable=True)
    assert springs == [
        sim.Spring(0, 2, 10.0, 5.0, 0.1, True),
        sim.Spring(1, 2, 10.0, 4.0, 0.1, True),
    ]


def test_points_that_coincide_or_are_missing_are_refused():
    position = np.zeros((3, 2))
    with pytest.raises(InputError, match=r"points 0 and 1 have the same position .* rest length 0; move one of them"):
        sim.join([(0, 1)], position, num_handles=1, stiffness=1.0)
    with pytest.raises(InputError, match=r"point = 3: .*at most 2"):
        sim.join([(0, 3)], position, num_handles=1, stiffness=1.0)
