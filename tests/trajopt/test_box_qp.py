import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from pods_jax.trajopt.box_qp import DenseHessian, HessianOperator, solve_box_qp

SIZES = [1, 3, 30]


def solve_dense(H, g, lower, upper):
    return solve_box_qp(DenseHessian(jnp.asarray(H)), g, lower, upper)


def solve_by_products(H, g, lower, upper):
    return solve_box_qp(HessianOperator(lambda columns: H @ columns), g, lower, upper)


minimize, minimize_by_products = jax.jit(solve_dense), jax.jit(solve_by_products)


def convex_problem(seed, size, largest_eigenvalue=30.0, around_zero=True):
    """Random H, g, lower, upper with eigenvalues between 1 / largest and largest; many bounds become active."""
    random = np.random.default_rng(seed)
    vectors = np.linalg.qr(random.normal(size=(size, size)))[0]
    eigenvalues = largest_eigenvalue ** random.uniform(-1, 1, size)
    H = (vectors * eigenvalues) @ vectors.T
    g = random.normal(size=size) * 10 ** random.uniform(-1, 1)
    width = np.abs(random.normal(size=(2, size)))
    center = np.zeros(size) if around_zero else random.normal(size=size)
    return (H + H.T) / 2, g, center - width[0], center + width[1]


def violation(H, g, lower, upper, x):
    """Largest violation of the KKT conditions, relative to the largest term of the gradient."""
    assert np.all((lower <= x) & (x <= upper))
    gradient = H @ x + g
    outwards = ((x == lower) & (gradient > 0)) | ((x == upper) & (gradient < 0))
    scale = max(np.max(np.abs(H * x)), np.max(np.abs(g)))
    return np.max(np.abs(np.where(outwards, 0.0, gradient))) / scale


@pytest.mark.parametrize("around_zero", [True, False])
@pytest.mark.parametrize("size", SIZES)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_a_solution_satisfies_the_kkt_conditions(size, around_zero, seed):
    problem = convex_problem(seed, size, around_zero=around_zero)
    solution = minimize(*problem)
    assert violation(*problem, np.asarray(solution.x)) < 1e-10
    assert float(solution.error) < 1e-10


@pytest.mark.parametrize("size", [3, 30])
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_ill_conditioned_problems_with_bounds_a_hair_away_are_solved(size, seed):
    """As at saturated actions, whose distance to the limit is mere rounding."""
    H, g, lower, upper = convex_problem(seed, size, largest_eigenvalue=300.0)
    random = np.random.default_rng([seed, 1])
    close = random.random((2, size)) < 0.4
    distance = 10 ** random.uniform(-17, -2, (2, size))
    lower = np.where(close[0], -distance[0], lower)
    upper = np.where(close[1], distance[1], upper)
    assert violation(H, g, lower, upper, np.asarray(minimize(H, g, lower, upper).x)) < 1e-10


def test_a_bound_close_to_the_start_does_not_stall_the_search():
    """The Newton direction runs into the bound of the first variable at once; the second one must turn round."""
    H, g = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([1.0, 0.5])
    solution = minimize(H, g, np.array([-1e-3, -10.0]), np.array([10.0, 10.0]))
    np.testing.assert_allclose(solution.x, [-1e-3, -0.5 + 0.9e-3], rtol=1e-12)
    np.testing.assert_array_equal(solution.free, [False, True])


def test_a_newton_step_far_beyond_the_box_is_shortened_until_it_helps():
    """Along it, projected, the cost rises at all sizes down to 1 / 512."""
    H = np.array([[19.5752, 5.2913, 30.3108], [5.2913, 13.1463, 5.6445], [30.3108, 5.6445, 47.5090]])
    g, lower, upper = np.array([-4.3, -1.0, 3.1]), np.array([-0.25, -0.19, -1.1]), np.array([0.3, 0.73, 2.1])
    assert violation(H, g, lower, upper, np.asarray(minimize(H, g, lower, upper).x)) < 1e-10


@pytest.mark.parametrize("size", SIZES)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_the_solution_is_that_of_scipy(size, seed):
    """Least squares with L L' = H and L right = -g has the same solution."""
    H, g, lower, upper = convex_problem(seed, size)
    root = np.linalg.cholesky(H)
    expected = lsq_linear(root.T, -np.linalg.solve(root, g), (lower, upper), method="bvls", tol=1e-14)
    solution = minimize(H, g, lower, upper)
    np.testing.assert_allclose(solution.x, expected.x, atol=1e-9)
    inside = (expected.x > lower + 1e-9) & (expected.x < upper - 1e-9)
    np.testing.assert_array_equal(solution.free, inside)


@pytest.mark.parametrize("bound", [1e6, np.inf])
@pytest.mark.parametrize("size", SIZES)
def test_without_active_bounds_it_is_a_linear_solve(size, bound):
    H, g, _, _ = convex_problem(0, size)
    solution = minimize(H, g, np.full(size, -bound), np.full(size, bound))
    np.testing.assert_allclose(solution.x, -np.linalg.solve(H, g), rtol=1e-10)
    assert np.all(solution.free)


@pytest.mark.parametrize("size", SIZES)
def test_all_bounds_can_be_active(size):
    H, g, lower, upper = convex_problem(1, size)
    g = 1e4 * np.sign(g)
    solution = minimize(H, g, lower, upper)
    np.testing.assert_array_equal(solution.x, np.where(g > 0, lower, upper))
    assert not np.any(solution.free)


@pytest.mark.parametrize("size", SIZES)
def test_equal_bounds_fix_a_variable(size):
    H, g, lower, upper = convex_problem(2, size)
    fixed = np.arange(size) % 2 == 0
    lower, upper = np.where(fixed, 0.3, -1e3), np.where(fixed, 0.3, 1e3)
    solution = minimize(H, g, lower, upper)
    np.testing.assert_array_equal(np.asarray(solution.x)[fixed], 0.3)
    others = ~fixed
    rest = -np.linalg.solve(H[np.ix_(others, others)], g[others] + 0.3 * H[np.ix_(others, fixed)].sum(axis=1))
    np.testing.assert_allclose(np.asarray(solution.x)[others], rest, rtol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_the_start_is_kept_where_it_is_optimal(size):
    H, _, lower, upper = convex_problem(3, size)
    np.testing.assert_array_equal(minimize(H, np.zeros(size), lower, upper).x, np.zeros(size))


@pytest.mark.parametrize("size", SIZES)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_float32_is_as_accurate_as_its_rounding(size, seed):
    problem = [part.astype(np.float32) for part in convex_problem(seed, size)]
    single = minimize(*problem)
    double = minimize(*(part.astype(np.float64) for part in problem))
    assert single.x.dtype == jnp.float32
    assert violation(*problem, np.asarray(single.x)) < 1e-5
    condition = 30.0**2
    scale = np.max(np.abs(double.x))
    np.testing.assert_allclose(single.x, double.x, atol=10 * condition * np.finfo(np.float32).eps * scale)


@pytest.mark.parametrize("size", SIZES)
def test_a_nan_ends_the_search_and_shows(size):
    H, g, lower, upper = convex_problem(4, size)
    g[0] = np.nan
    solution = minimize(H, g, lower, upper)
    assert not np.all(np.isfinite(g @ np.asarray(solution.x)))


@pytest.mark.slow
def test_a_batch_gives_what_each_problem_gives_alone():
    problems = [np.stack(parts) for parts in zip(*(convex_problem(seed, 3) for seed in range(8)), strict=True)]
    together = jax.vmap(solve_dense)(*problems)
    for index in range(8):
        alone = minimize(*(part[index] for part in problems))
        np.testing.assert_allclose(together.x[index], alone.x, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(together.free[index], alone.free)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_with_products_only_it_gains_about_what_the_matrix_does(size, seed):
    """To a few hundredths of the first projected gradient, without leaving the box."""
    H, g, lower, upper = convex_problem(seed, size)
    exact, found = minimize(H, g, lower, upper), minimize_by_products(H, g, lower, upper)

    def cost(x):
        return x @ H @ x / 2 + g @ x

    assert np.all((lower <= found.x) & (found.x <= upper))
    assert cost(exact.x) <= cost(found.x) + 1e-12 * abs(cost(exact.x))
    assert cost(found.x) <= 0.95 * cost(exact.x)


@pytest.mark.parametrize("size", SIZES)
def test_with_products_only_the_start_is_kept_where_it_is_optimal_and_a_nan_shows(size):
    H, g, lower, upper = convex_problem(3, size)
    np.testing.assert_array_equal(minimize_by_products(H, 0 * g, lower, upper).x, np.zeros(size))
    assert not np.all(np.isfinite(minimize_by_products(H, np.nan * g, lower, upper).error)) or size == 1
