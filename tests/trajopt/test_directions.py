"""Every direction, on a linear-quadratic problem and on the pendulums; the references are in numpy.

Horizons are such that a dense step has more than 20 unknowns: a scalarized solve of fewer compiles for longer.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pods_jax import InputError, envs, improve
from pods_jax.trajopt import (
    DIRECTIONS,
    Problem,
    directions,
    least_squares,
    line_search,
    linearize,
    simulate,
    total_cost,
)
from pods_jax.trajopt.hessian_products import dense_hessian, hessian_products
from pods_jax.trajopt.linearize import Linearization
from pods_jax.trajopt.problem import models
from tests.tiers import slow_but

SECOND_ORDER = ["gauss_newton", "riccati", "newton"]
HORIZONS = {"pendulum_2d": 21, "pendulum_3d": 8, "double_pendulum_3d": 7}
FAR, NEAR = 1e4, 0.5
"""An action limit that is never active, and one that most second-order steps run into."""


def late(name, method=None):
    """Marks what compiles for long, longest of all the double pendulum, and exact Hessians in space."""
    if name == "double_pendulum_3d" or (method in ("newton", "conjugate_gradient") and name != "pendulum_2d"):
        return [pytest.mark.exhaustive]
    slow = name == "pendulum_3d" or method in ("first_order", "newton", "conjugate_gradient")
    return [pytest.mark.slow] if slow else []


CASES = [pytest.param(name, method, marks=late(name, method)) for name in HORIZONS for method in DIRECTIONS]

_find = {method: jax.jit(direction) for method, direction in DIRECTIONS.items()}
follow_compiled = jax.jit(line_search)


def find(method, problem, damping=0.0):
    return _find[method](problem, damping)


def make_problem(dynamics, residual, linearize, state, actions, states, limit):
    weights = jnp.ones(actions.shape[0])
    return Problem(dynamics, least_squares(residual), linearize, state, actions, states, weights, limit)


class Swing:
    """A pendulum, a random initial state and random actions up to `speed`."""

    def __init__(self, name, speed=0.4):
        self.env = envs.make(name, "stop_at_origin", horizon=HORIZONS[name])
        self.state, self.unravel = ravel_pytree(self.env.reset(jax.random.key(0)))
        self.shape = (self.env.horizon, self.env.action_size)
        self.actions = speed * jax.random.uniform(jax.random.key(1), self.shape, minval=-1.0)

    def dynamics(self, state, action):
        return ravel_pytree(self.env.step(self.unravel(state), action))[0]

    def residual(self, state, action):
        return self.env.residual(self.unravel(state), action)

    def linearize(self, state, action, next_state):
        return self.env.linearize(self.unravel(state), action, self.unravel(next_state))

    @functools.cached_property
    def forward(self):
        """Actions (T, A) -> states (T, n), residuals (T, R)."""

        def run(actions):
            states = simulate(self.dynamics, self.state, actions)
            return states, jax.vmap(self.residual)(states, actions)

        return jax.jit(run)

    def cost(self, actions):
        return np.sum(np.asarray(self.forward(actions)[1]) ** 2)

    def problem(self, limit):
        limit = jnp.full(self.shape[1], limit)
        states = self.forward(self.actions)[0]
        return make_problem(self.dynamics, self.residual, self.linearize, self.state, self.actions, states, limit)

    @functools.cached_property
    def linearization(self):
        """A, B of each step, by forward mode through `custom_root`: the oracle of the structured derivative."""
        states = self.forward(self.actions)[0]
        starts = jnp.concatenate([self.state[None], states[:-1]])
        model = jax.jit(jax.vmap(functools.partial(linearize, self.dynamics)))(starts, self.actions)
        return np.asarray(model.A), np.asarray(model.B)

    @functools.cached_property
    def dense(self):
        """All residuals (T R,) and their derivative by all actions (T R, T A), from the linearized steps."""
        A, B = self.linearization
        horizon, num_actions = self.shape
        states, value = self.forward(self.actions)
        C, D = jax.jit(jax.vmap(jax.jacfwd(self.residual, argnums=(0, 1))))(states, self.actions)
        by_action = np.zeros((self.state.size, horizon, num_actions))
        rows = []
        for t in range(horizon):
            by_action = np.einsum("nm,mta->nta", A[t], by_action)
            by_action[:, t] += B[t]
            row = np.einsum("rn,nta->rta", C[t], by_action)
            row[:, t] += D[t]
            rows.append(row)
        return np.asarray(value).reshape(-1), np.concatenate(rows).reshape(value.size, -1)


swings = functools.cache(Swing)


@pytest.fixture(params=[pytest.param(name, marks=late(name)) for name in HORIZONS])
def swing(request):
    return swings(request.param)


@functools.cache
def linear_quadratic(horizon=11):
    """A Problem with linear dynamics and residuals; all its residuals and their derivative by all actions."""
    random = np.random.default_rng(0)
    A, B = random.normal(size=(3, 3)) / 2, random.normal(size=(3, 2))
    C, D, e = random.normal(size=(5, 3)), random.normal(size=(5, 2)), random.normal(size=5)
    state, actions = jnp.asarray(random.normal(size=3)), jnp.asarray(random.normal(size=(horizon, 2)))

    def dynamics(state, action):
        return A @ state + B @ action

    def residual(state, action):
        return C @ state + D @ action + e

    J = np.zeros((horizon, 5, horizon, 2))
    for effect in range(horizon):
        J[effect, :, effect] = D
        for cause in range(effect + 1):
            J[effect, :, cause] += C @ np.linalg.matrix_power(A, effect - cause) @ B
    states = simulate(dynamics, state, actions)
    value = np.asarray(states) @ C.T + np.asarray(actions) @ D.T + e[None]
    linear = functools.partial(linearize, dynamics)
    problem = make_problem(dynamics, residual, linear, state, actions, states, jnp.full(2, FAR))
    return problem, value.reshape(-1), J.reshape(5 * horizon, 2 * horizon)


@pytest.mark.parametrize("method", slow_but(SECOND_ORDER, "riccati"))
def test_one_second_order_step_solves_the_linear_quadratic_problem(method):
    problem, value, J = linear_quadratic()
    step = -np.linalg.lstsq(J, value, rcond=None)[0]
    after = follow_compiled(problem, find(method, problem), jnp.sum(value**2))
    np.testing.assert_allclose(after.cost, np.sum((value + J @ step) ** 2), rtol=1e-12)
    np.testing.assert_allclose(after.actions, problem.actions + step.reshape(-1, 2), rtol=1e-9, atol=1e-10)
    assert float(after.step_size) == 1


def test_a_first_order_step_follows_the_gradient_of_the_linear_quadratic_problem():
    problem, value, J = linear_quadratic()
    direction = find("first_order", problem)
    np.testing.assert_allclose(direction.step.reshape(-1), -2 * J.T @ value, rtol=1e-10, atol=1e-12)
    after = follow_compiled(problem, direction, jnp.sum(value**2))
    best = np.sum((value - J @ np.linalg.lstsq(J, value, rcond=None)[0]) ** 2)
    assert best < float(after.cost) < np.sum(value**2)


@pytest.mark.parametrize("method", ["gauss_newton", "newton"])
def test_the_hessian_of_a_linear_quadratic_problem_is_exact_and_damping_is_added_to_it(method):
    problem, value, J = linear_quadratic()
    for damping in (0.0, 3.0):
        hessian = 2 * J.T @ J + damping * np.eye(J.shape[1])
        step = np.linalg.solve(hessian, -2 * J.T @ value)
        direction = find(method, problem, damping)
        np.testing.assert_allclose(direction.step.reshape(-1), step, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(direction.slope, 2 * step @ J.T @ value, rtol=1e-9)


@pytest.mark.parametrize("limit", [FAR, NEAR])
@pytest.mark.parametrize(("name", "method"), CASES)
def test_it_descends_within_the_limits(name, method, limit):
    problem = swings(name).problem(limit)
    direction = find(method, problem)
    before = swings(name).cost(problem.actions)
    after = follow_compiled(problem, direction, jnp.asarray(before))
    assert float(direction.slope) < 0
    assert float(after.cost) < before
    assert np.all(np.abs(after.actions) <= limit)
    np.testing.assert_allclose(after.cost, swings(name).cost(after.actions), rtol=1e-12)
    if method != "first_order":
        assert np.all(np.abs(problem.actions + direction.step) <= limit * (1 + 1e-15))


@pytest.mark.slow
def test_first_order_is_the_gradient_and_asks_for_no_reaction(swing):
    direction = find("first_order", swing.problem(FAR))
    step = 1e-5
    axes = step * np.eye(swing.actions.size).reshape(-1, *swing.shape)
    differences = [swing.cost(swing.actions + axis) - swing.cost(swing.actions - axis) for axis in axes]
    gradient = np.reshape(differences, swing.shape) / (2 * step)
    np.testing.assert_allclose(-direction.step, gradient, rtol=1e-6, atol=1e-6 * np.max(np.abs(gradient)))
    np.testing.assert_allclose(direction.slope, -np.sum(gradient**2), rtol=1e-6)
    assert not np.any(direction.gains)
    identity = np.broadcast_to(np.eye(swing.shape[1]), (*swing.shape, swing.shape[1]))
    np.testing.assert_array_equal(direction.action_hessian, identity)


@pytest.mark.slow
def test_forward_and_reverse_derivatives_of_the_cost_agree(swing):
    value, J = swing.dense
    reverse = -np.asarray(find("first_order", swing.problem(FAR)).step).reshape(-1)
    forward = 2 * J.T @ value
    np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-10 * np.max(np.abs(reverse)))


@pytest.mark.slow
def test_dense_and_riccati_steps_agree_without_active_limits(swing):
    problem = swing.problem(FAR)
    dense, riccati = find("gauss_newton", problem), find("riccati", problem)
    A, B = swing.linearization
    ds, rolled = np.zeros(swing.state.size), []
    for t in range(swing.shape[0]):
        rolled.append(np.asarray(riccati.step[t]) + np.asarray(riccati.gains[t]) @ ds)
        ds = A[t] @ ds + B[t] @ rolled[-1]
    np.testing.assert_allclose(dense.step, rolled, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dense.slope, riccati.slope, rtol=1e-9)
    np.testing.assert_allclose(dense.gains, riccati.gains, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dense.action_hessian, riccati.action_hessian, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_unlimited_dense_step_is_the_least_squares_solution(swing):
    value, J = swing.dense
    step = -np.linalg.lstsq(J, value, rcond=None)[0]
    direction = find("gauss_newton", swing.problem(FAR))
    np.testing.assert_allclose(direction.step.reshape(-1), step, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(direction.slope, 2 * step @ J.T @ value, rtol=1e-9)


@pytest.mark.slow
def test_the_limited_dense_step_satisfies_the_kkt_conditions(swing):
    value, J = swing.dense
    step = np.asarray(find("gauss_newton", swing.problem(NEAR)).step).reshape(-1)
    actions = np.asarray(swing.actions).reshape(-1)
    lower, upper = -NEAR - actions, NEAR - actions
    gradient = 2 * J.T @ (value + J @ step)
    at_lower, at_upper = step == lower, step == upper
    inside = (lower < step) & (step < upper)
    assert np.all(at_lower | at_upper | inside)
    assert np.any(at_lower | at_upper)
    assert np.any(inside)
    tolerance = 1e-6 * np.max(np.abs(2 * J.T @ value))
    assert np.all(gradient[at_lower] > -tolerance)
    assert np.all(gradient[at_upper] < tolerance)
    assert np.all(np.abs(gradient[inside]) < tolerance)


@pytest.fixture(scope="module")
def shaken():
    """A pendulum shaken so violently that the curvature of its motion matters, and its exact Hessian."""
    swing = Swing("pendulum_2d", speed=3.0)
    gradient, step = jax.jit(jax.grad(lambda actions: jnp.sum(swing.forward(actions)[1] ** 2))), 1e-5
    axes = step * np.eye(swing.actions.size).reshape(-1, *swing.shape)
    differences = [gradient(swing.actions + axis) - gradient(swing.actions - axis) for axis in axes]
    hessian = np.reshape(differences, (swing.actions.size, -1)) / (2 * step)
    return swing, np.asarray(gradient(swing.actions)).reshape(-1), (hessian + hessian.T) / 2


@pytest.mark.slow
def test_the_exact_hessian_is_indefinite_where_gauss_newton_is_not(shaken):
    swing, _, hessian = shaken
    _, J = swing.dense
    weight = swing.env.parameters.weights.action
    assert np.linalg.eigvalsh(hessian)[0] < -0.1
    assert np.linalg.eigvalsh(2 * J.T @ J)[0] > 2 * weight * (1 - 1e-9)


@pytest.mark.slow
def test_newton_uses_the_exact_hessian_with_absolute_eigenvalues(shaken):
    swing, gradient, hessian = shaken
    eigenvalues, vectors = np.linalg.eigh(hessian)
    expected = -vectors @ ((vectors.T @ gradient) / np.abs(eigenvalues))
    direction = find("newton", swing.problem(FAR))
    tolerance = 1e-5 * np.max(np.abs(expected))
    np.testing.assert_allclose(direction.step.reshape(-1), expected, rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(direction.slope, gradient @ expected, rtol=1e-5)


@pytest.mark.parametrize("method", DIRECTIONS)
def test_an_action_beyond_its_limit_by_rounding_is_no_obstacle(method):
    problem, _, _ = linear_quadratic()
    actions = jnp.clip(problem.actions, -1, 1).at[0, 0].set(1 + 2e-16)
    states = simulate(problem.dynamics, problem.state, actions)
    problem = problem.replace(actions=actions, states=states, limit=jnp.full(2, 1.0))
    cost = total_cost(problem.dynamics, problem.objective.cost, problem.state, actions)
    after = follow_compiled(problem, find(method, problem), cost)
    assert float(after.cost) < float(cost)
    assert np.all(np.abs(after.actions) <= 1)


@pytest.mark.parametrize("method", DIRECTIONS)
def test_a_nan_shows_in_the_slope(method):
    problem, _, _ = linear_quadratic()
    problem = problem.replace(state=problem.state * jnp.nan, states=problem.states * jnp.nan)
    assert np.isnan(find(method, problem).slope)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [FAR, NEAR])
def test_conjugate_gradients_find_about_what_the_dense_hessian_gives(limit):
    problem, _, _ = linear_quadratic()
    problem = problem.replace(
        actions=jnp.clip(problem.actions, -limit / 2, limit / 2), limit=jnp.full_like(problem.limit, limit)
    )
    hessian, gradient = dense_hessian(*models(problem))
    product, found = hessian_products(*models(problem), damping=0.1)
    columns = np.random.default_rng(0).normal(size=(gradient.size, 3))
    expected = (hessian + 0.1 * np.eye(gradient.size)) @ columns
    np.testing.assert_allclose(product(columns), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-12)

    def decrease(method):
        direction = find(method, problem)
        step = direction.step.reshape(-1)
        assert np.all(np.abs(problem.actions + direction.step) <= limit * (1 + 1e-12))
        np.testing.assert_allclose(direction.slope, gradient @ step, rtol=1e-8)
        return -(gradient @ step + step @ hessian @ step / 2)

    assert decrease("conjugate_gradient") >= 0.999 * decrease("gauss_newton") > 0


@pytest.mark.parametrize(("size", "expected"), [(9, "riccati"), (300, "riccati"), (3000, "conjugate_gradient")])
def test_auto_takes_what_needs_fewer_operations(size, expected):
    def linearize_by_zeros(state, action, after):
        return Linearization(jnp.zeros((size, size)), jnp.zeros((size, 2)))

    state, actions, states = jnp.zeros(size), jnp.zeros((5, 2)), jnp.zeros((5, size))
    problem = make_problem(None, None, linearize_by_zeros, state, actions, states, jnp.ones(2))
    assert directions.choose("auto", problem) == expected
    assert directions.choose("gauss_newton", problem) == "gauss_newton"


@pytest.mark.slow
def test_an_improvement_says_what_auto_chose():
    env = envs.make("pendulum_2d", horizon=5)

    def automatic(key):
        return improve(env, env.reset(key), jnp.zeros((5, 1)), method="auto")

    assert jax.eval_shape(automatic, jax.random.key(0)).method == "riccati"


def test_an_unknown_method_is_refused_with_the_closest_name():
    with pytest.raises(InputError, match="did you mean 'gauss_newton'"):
        directions.choose("gauss-newton", None)
