import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import linalg
from pods_jax.sim.newton import MAX_ITERATIONS, implicit_root, newton

TOLERANCE = 1e-13


def find_root(residual, guess, **options):
    """Of a residual of one unknown, with Newton's own direction."""

    def direction(x, value):
        return -value / jax.vmap(jax.grad(lambda x: residual(x[None])[0]))(x)

    return newton(residual, direction, jnp.asarray([guess]), jnp.asarray(TOLERANCE), **options)


class TestGlobalization:
    def test_halving_finds_the_root_where_full_steps_diverge(self):
        x = 5.0
        for _ in range(4):  # the plain method, to show that the problem is hard
            x = x - np.arctan(x) * (1 + x**2)
        assert abs(x) > 1e10
        np.testing.assert_allclose(find_root(jnp.arctan, 5.0), 0.0, atol=TOLERANCE)

    def test_a_step_to_where_the_residual_is_not_a_number_is_halved(self):
        assert 5.0 - np.log(5.0) * 5.0 < 0  # the first full step
        np.testing.assert_allclose(find_root(jnp.log, 5.0), 1.0, rtol=1e-12)

    def test_near_the_root_it_converges_quadratically(self):
        def residual(x):
            return x**3 + x - 2.0

        errors = [abs(float(find_root(residual, 1.1, max_iterations=count)[0]) - 1.0) for count in range(4)]
        for before, after in zip(errors[:-1], errors[1:], strict=True):
            assert after < 2 * before**2

    def test_a_root_as_a_guess_is_returned_as_it_is(self):
        np.testing.assert_array_equal(find_root(jnp.arctan, 0.0), [0.0])


class TestWithoutARoot:
    @pytest.mark.parametrize("guess", [0.3, 2.0, -7.0])
    def test_it_ends_with_a_finite_point_not_far_away(self, guess):
        """Which one, rounding decides: without a root, the iteration is a chaotic map of the line."""
        x = find_root(lambda x: x**2 + 1.0, guess)
        assert abs(x[0]) <= abs(guess) + 1.0  # False for NaN

    def test_the_number_of_passes_is_bounded(self):
        passes = []

        def residual(x):
            jax.debug.callback(lambda: passes.append(1))
            return x**2 + 1.0

        newton(residual, lambda x, value: -x / 2, jnp.asarray([3.0]), jnp.asarray(TOLERANCE), max_iterations=7)
        jax.effects_barrier()
        assert len(passes) == 7 + 1  # and one at the guess

    @pytest.mark.parametrize("guess", [np.nan, np.inf])
    def test_a_guess_that_is_not_finite_does_not_hang(self, guess):
        assert not np.isfinite(find_root(jnp.arctan, guess) + find_root(lambda x: x - 1.0, guess))

    def test_a_direction_that_is_not_finite_leaves_the_guess(self):
        found = newton(jnp.arctan, lambda x, value: x * jnp.nan, jnp.asarray([2.0]), jnp.asarray(TOLERANCE))
        np.testing.assert_array_equal(found, [2.0])


def test_one_bad_problem_in_a_batch_leaves_the_others_unchanged():
    def solve(level, guess):
        return find_root(lambda x: jnp.arctan(x) - level, guess)[0]

    solve_all = jax.jit(jax.vmap(solve))
    levels, guesses = np.linspace(-1.2, 1.2, 8), np.linspace(-6.0, 6.0, 8)
    good = np.asarray(solve_all(levels, guesses))
    np.testing.assert_allclose(good, np.tan(levels), rtol=1e-11)
    for bad_level, bad_guess in ((10.0, 0.5), (np.nan, 0.5), (0.1, np.nan)):  # the first has no root
        levels[3], guesses[3] = bad_level, bad_guess
        mixed = np.asarray(solve_all(levels, guesses))
        np.testing.assert_array_equal(np.delete(mixed, 3), np.delete(good, 3))
        levels[3], guesses[3] = np.linspace(-1.2, 1.2, 8)[3], np.linspace(-6.0, 6.0, 8)[3]


MATRIX = np.asarray([[4.0, 1.0, 0.0], [-2.0, 5.0, 1.0], [0.5, -1.0, 6.0]])


def cubic_root(p, guess=0.0):
    """x(p) with A x + x^3 = p for an unsymmetric A, found with an approximate direction."""
    matrix = jnp.asarray(MATRIX)

    def residual(x):
        return matrix @ x + x**3 - p

    def direction(x, value):  # neither the cubic term nor the asymmetry
        return -linalg.solve((matrix + matrix.T) / 2, value)

    def search(guess):
        return newton(residual, direction, guess, jnp.asarray(TOLERANCE))

    return implicit_root(residual, search, jnp.full(3, guess))


solve_cubic = jax.jit(cubic_root)


def closed_forms(p):
    """J = dx/dp = (A + 3 diag(x^2))^-1 and d2x_i / dp_j dp_k = -sum_m J_im 6 x_m J_mj J_mk."""
    x = np.asarray(solve_cubic(p))
    np.testing.assert_allclose(MATRIX @ x + x**3, p, atol=1e-12)
    first = np.linalg.inv(MATRIX + 3 * np.diag(x**2))
    return first, -np.einsum("im,m,mj,mk->ijk", first, 6 * x, first, first)


class TestDerivativesOfARoot:
    POINT = np.asarray([3.0, -1.0, 2.0])

    @pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
    def test_first(self, mode):
        found = jax.jit(mode(cubic_root))(self.POINT)
        np.testing.assert_allclose(found, closed_forms(self.POINT)[0], rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev])
    def test_second(self, inner):
        found = jax.jit(jax.jacfwd(inner(cubic_root)))(self.POINT)
        np.testing.assert_allclose(found, closed_forms(self.POINT)[1], rtol=1e-10, atol=1e-12)

    def test_jvp_and_vjp_agree(self):
        generator = np.random.default_rng(0)
        tangent, weight = generator.normal(size=(2, 3))
        forward = jax.jvp(solve_cubic, (self.POINT,), (tangent,))[1]
        backward = jax.vjp(solve_cubic, self.POINT)[1](weight)[0]
        assert float(weight @ forward) == pytest.approx(float(tangent @ backward), rel=1e-12)

    def test_the_guess_has_no_influence(self):
        slope = jax.grad(lambda guess: jnp.sum(solve_cubic(self.POINT, guess)))(0.3)
        assert slope == 0.0

    def test_in_a_batch(self):
        points = np.random.default_rng(1).normal(size=(5, 3))
        found = jax.jit(jax.vmap(jax.jacrev(cubic_root)))(points)
        expected = np.stack([closed_forms(point)[0] for point in points])
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_a_matrix_much_too_stiff_does_not_make_it_creep():
    """Full steps alone would gain one percent each, and be far from done after the last pass."""

    def residual(x):
        return 0.01 * (x - 5.0)

    root = jax.jit(lambda guess: newton(residual, lambda x, value: -value, guess, jnp.asarray(1e-12)))(jnp.zeros(1))
    np.testing.assert_allclose(root, 5.0, atol=1e-9)
    assert 0.99**MAX_ITERATIONS * 0.05 > 1e-3
