"""Covariances, and combinations of parameters that are told or left open."""

import numpy as np

from pods_jax.identification import uncertainty

RNG = np.random.default_rng(0)
JACOBIAN = RNG.normal(size=(200, 3))


def test_the_covariance_is_the_inverse_of_the_information():
    information = JACOBIAN.T @ JACOBIAN
    found = uncertainty.covariance(information, None, np.array([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(found, np.linalg.inv(information), rtol=1e-9)


def test_independent_windows_give_the_same_where_the_model_is_right():
    """Scores of white noise, in many windows, have the information as the sum of their squares."""
    factor = np.linalg.cholesky(JACOBIAN.T @ JACOBIAN / 10_000)
    scores = RNG.normal(size=(10_000, 3)) @ factor.T
    scale = np.full(3, 0.1)
    found = uncertainty.covariance(JACOBIAN.T @ JACOBIAN, scores, scale)
    np.testing.assert_allclose(found, np.linalg.inv(JACOBIAN.T @ JACOBIAN), rtol=0.1, atol=3e-4)


def test_errors_that_go_together_widen_the_intervals():
    scores = RNG.normal(size=(500, 3)) @ np.linalg.cholesky(JACOBIAN.T @ JACOBIAN / 500).T
    alone = uncertainty.covariance(JACOBIAN.T @ JACOBIAN, scores, np.ones(3))
    together = uncertainty.covariance(JACOBIAN.T @ JACOBIAN, 3 * scores, np.ones(3))
    np.testing.assert_allclose(together, 9 * alone, rtol=1e-6)


def test_a_product_of_two_parameters_leaves_their_ratio_open():
    # y = a b x and c alone: relative changes of a and b with opposite signs are not seen.
    a, b, c = 2.0, 0.5, 3.0
    x = np.linspace(0, 1, 50)
    columns = np.stack([b * x, a * x, np.cos(7 * x)], axis=1)
    known, left_open = uncertainty.directions(("a", "b", "c"), 1e4 * columns.T @ columns, np.array([a, b, c]))
    (direction,) = left_open
    assert {name: round(share, 6) for name, share in direction.shares} in ({"a": 1, "b": -1}, {"a": -1, "b": 1})
    assert "not seen" in str(direction)
    assert len(known) == 2
    spread = uncertainty.covariance(1e4 * columns.T @ columns, None, np.array([a, b, c]))
    assert spread[0, 0] > 1e3 * a**2 / 2
    assert spread[2, 2] < 1e-4


def test_an_open_plane_is_told_in_few_parameters_each():
    space = np.array([[1, 0, 1, 0], [0, 1, 0, 2.0]])  # what is open
    seen = np.linalg.svd(space)[2][2:]
    _, left_open = uncertainty.directions(tuple("abcd"), 1e6 * seen.T @ seen, np.ones(4))
    assert sorted(len(direction.shares) for direction in left_open) == [2, 2]
