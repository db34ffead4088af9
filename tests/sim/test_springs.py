"""The ends of springs, beside products with the incidence matrix."""

import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import sim
from pods_jax.sim import springs
from pods_jax.thresholds import MAX_LISTED_SPRINGS


def network(pairs, num_all):
    """One handle, point 0, and free points."""
    return sim.make_system(
        mass=[1.0] * (num_all - 1),
        springs=[sim.Spring(*pair, stiffness=1.0, rest_length=1.0) for pair in pairs],
        handles=[sim.Handle.on_axis([0.0, 0.0, 0.0])],
        time_step=0.1,
    )


SHEET = [pair for kind in sim.grid(np.arange(16).reshape(4, 4)).values() for pair in kind]
NETWORKS = {
    "written out": network([(0, 1), (2, 1), (2, 3), (3, 1)], 4),
    "slices": network(sim.line(range(15)), 15),
    "by index": network(SHEET, 16),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_ends_and_sums_over_them_are_products_with_the_incidence_matrix(name):
    system, generator = NETWORKS[name], np.random.default_rng(0)
    assert (len(system.springs.ends) <= MAX_LISTED_SPRINGS) == (name == "written out")
    incidence = springs.incidence(system)
    points = jnp.asarray(generator.normal(size=(incidence.shape[1], 3)))
    values = jnp.asarray(generator.normal(size=(incidence.shape[0], 3)))
    np.testing.assert_allclose(springs.differences(system, points), incidence @ points, atol=1e-14)
    np.testing.assert_allclose(springs.sum_over_ends(system, values), incidence.T @ values, atol=1e-14)
    both = springs.sum_over_ends(system, values, sign=1)
    np.testing.assert_allclose(both, np.abs(incidence).T @ values, atol=1e-14)
    first, second = springs.at_ends(system, points)
    np.testing.assert_allclose(first + second, np.abs(incidence) @ points, atol=1e-14)
