"""Every direction, on a linear-quadratic toy problem and on the pendulums; references in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pods_jax import InputError, envs
from pods_jax.trajopt import DIRECTIONS, Problem, directions, follow
from pods_jax.trajopt.linearize import linearize
from pods_jax.trajopt.objective import residuals, simulate, total_cost

SECOND_ORDER = ["gauss_newton", "riccati", "newton"]
HORIZONS = {"pendulum_2d": 12, "pendulum_3d": 8, "double_pendulum_3d": 6}
FAR, NEAR = 1e4, 0.5
"""Action limits that are never active, and limits that most second-order steps run into."""

slow_on_large = functools.partial(pytest.param, marks=pytest.mark.slow)
CASES = [
    (slow_on_large if method == "newton" and name != "pendulum_2d" else pytest.param)(name, method)
    for name in HORIZONS
    for method in DIRECTIONS
]

find = {method: jax.jit(direction) for method, direction in DIRECTIONS.items()}
follow_jit = jax.jit(follow)


class Swing:
    """A pendulum, a random initial state and random actions, within NEAR."""

    def __init__(self, name):
        self.env = envs.make(name, "stop_at_origin", horizon=HORIZONS[name])
        self.state, self.unravel = ravel_pytree(self.env.reset(jax.random.key(0)))
        self.shape = (self.env.horizon, self.env.action_size)
        self.actions = jax.random.uniform(jax.random.key(1), self.shape, minval=-0.4, maxval=0.4)
        self.states = jax.jit(functools.partial(simulate, self.dynamics))(self.state, self.actions)
        self.costs = jax.jit(jax.vmap(self.cost))

    def dynamics(self, state, action):
        return ravel_pytree(self.env.step(self.unravel(state), action))[0]

    def residual(self, state, action):
        return self.env.residual(self.unravel(state), action)

    def cost(self, actions):
        return total_cost(self.dynamics, self.residual, self.state, actions)

    def problem(self, limit):
        limit = jnp.full(self.shape[1], limit)
        return Problem(self.dynamics, self.residual, self.state, self.actions, self.states, limit)

    @functools.cached_property
    def linearization(self):
        """A, B of each step as numpy arrays."""
        model = jax.jit(functools.partial(linearize, self.dynamics))(self.state, self.states, self.actions)
        return np.asarray(model.A), np.asarray(model.B)

    @functools.cached_property
    def dense(self):
        """All residuals (T R,) and their derivative by all actions (T R, T A), from the linearized steps."""
        A, B = self.linearization
        horizon, num_actions = self.shape
        value = jax.vmap(self.residual)(self.states, self.actions)
        C, D = jax.vmap(jax.jacfwd(self.residual, argnums=(0, 1)))(self.states, self.actions)
        by_action = np.zeros((self.state.size, horizon, num_actions))
        J = []
        for t in range(horizon):
            by_action = np.einsum("nm,mta->nta", A[t], by_action)
            by_action[:, t] += B[t]
            rows = np.einsum("rn,nta->rta", C[t], by_action)
            rows[:, t] += D[t]
            J.append(rows)
        return np.asarray(value).reshape(-1), np.concatenate(J).reshape(value.size, -1)


swings = functools.cache(Swing)


@pytest.fixture(params=HORIZONS)
def swing(request):
    return swings(request.param)


def central_differences(costs, actions, step=1e-5):
    axes = step * np.eye(actions.size).reshape(-1, *actions.shape)
    return ((costs(actions[None] + axes) - costs(actions[None] - axes)) / (2 * step)).reshape(actions.shape)


def linear_quadratic(seed=0, horizon=6):
    """A Problem with linear dynamics and residuals, and its dense Jacobian and residuals."""
    random = np.random.default_rng(seed)
    A, B = random.normal(size=(3, 3)) / 2, random.normal(size=(3, 2))
    C, D, e = random.normal(size=(5, 3)), random.normal(size=(5, 2)), random.normal(size=5)
    state, actions = random.normal(size=3), random.normal(size=(horizon, 2))

    def dynamics(state, action):
        return A @ state + B @ action

    def residual(state, action):
        return C @ state + D @ action + e

    blocks = [[np.zeros((5, 2)) for _ in range(horizon)] for _ in range(horizon)]
    for effect in range(horizon):
        for cause in range(effect + 1):
            blocks[effect][cause] = C @ np.linalg.matrix_power(A, effect - cause) @ B + (cause == effect) * D
    J = np.block(blocks)
    states = simulate(dynamics, state, jnp.asarray(actions))
    value = np.concatenate([C @ s + D @ a + e for s, a in zip(np.asarray(states), actions, strict=True)])
    problem = Problem(dynamics, residual, jnp.asarray(state), jnp.asarray(actions), states, jnp.full(2, FAR))
    return problem, J, value


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_one_second_order_step_solves_the_linear_quadratic_problem(method):
    problem, J, value = linear_quadratic()
    step = -np.linalg.lstsq(J, value, rcond=None)[0]
    after = follow_jit(problem, find[method](problem), jnp.sum(value**2))
    np.testing.assert_allclose(after.cost, np.sum((value + J @ step) ** 2), rtol=1e-12)
    np.testing.assert_allclose(after.actions, problem.actions + step.reshape(-1, 2), rtol=1e-9, atol=1e-11)
    assert float(after.step_size) == 1


def test_one_first_order_step_improves_the_linear_quadratic_problem():
    problem, J, value = linear_quadratic()
    direction = find["first_order"](problem)
    np.testing.assert_allclose(direction.change.reshape(-1), -2 * J.T @ value, rtol=1e-12)
    after = follow_jit(problem, direction, jnp.sum(value**2))
    best = np.sum((value - J @ np.linalg.lstsq(J, value, rcond=None)[0]) ** 2)
    assert best < float(after.cost) < np.sum(value**2)


def test_gauss_newton_is_newton_for_linear_dynamics():
    problem, _, _ = linear_quadratic(seed=1)
    gauss_newton, newton = find["gauss_newton"](problem), find["newton"](problem)
    np.testing.assert_allclose(gauss_newton.change, newton.change, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(gauss_newton.slope, newton.slope, rtol=1e-9)


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_damping_is_added_to_the_hessian(method):
    """On one step, where the dense and the stage-wise problem are the same."""
    problem, J, value = linear_quadratic(horizon=1)
    damped = 2 * J.T @ J + 3.0 * np.eye(2)
    change = find[method](problem, 3.0).change
    np.testing.assert_allclose(change.reshape(-1), np.linalg.solve(damped, -2 * J.T @ value), rtol=1e-10)


@pytest.mark.parametrize("limit", [FAR, NEAR])
@pytest.mark.parametrize(("name", "method"), CASES)
def test_it_descends_within_the_limits(name, method, limit):
    swing = swings(name)
    problem = swing.problem(limit)
    direction = find[method](problem)
    cost = swing.cost(swing.actions)
    after = follow_jit(problem, direction, cost)
    assert float(direction.slope) < 0
    assert float(after.cost) < float(cost)
    assert np.all(np.abs(after.actions) <= limit)
    np.testing.assert_allclose(after.cost, swing.costs(after.actions[None])[0], rtol=1e-12)
    if method != "first_order":
        assert np.all(np.abs(problem.actions + direction.change) <= limit * (1 + 1e-15))


@pytest.mark.parametrize(("name", "method"), CASES)
def test_slope_is_the_derivative_of_the_cost_along_the_step(name, method):
    """Along the path that the line search follows, in closed loop for the Riccati step."""
    swing = swings(name)
    problem = swing.problem(FAR)
    direction = find[method](problem)
    tiny = 1e-6 / np.max(np.abs(direction.change))
    ahead, behind = (_cost_along(problem, direction, sign * tiny) for sign in (1, -1))
    np.testing.assert_allclose(direction.slope, (ahead - behind) / (2 * tiny), rtol=1e-5)


def _cost_along(problem, direction, step_size):
    return _follow_fixed(problem, direction, step_size).cost


_follow_fixed = jax.jit(
    lambda problem, direction, step_size: follow(
        problem,
        direction.replace(change=direction.change * step_size, slope=-jnp.ones(())),
        jnp.full((), 1e300),
    )
)


def test_first_order_is_the_gradient_and_leaves_feedback_neutral(swing):
    direction = find["first_order"](swing.problem(FAR))
    gradient = central_differences(swing.costs, swing.actions)
    np.testing.assert_allclose(-direction.change, gradient, rtol=1e-6, atol=1e-6 * np.max(np.abs(gradient)))
    assert not np.any(direction.gains)
    np.testing.assert_array_equal(
        direction.curvature, np.broadcast_to(np.eye(swing.shape[1]), swing.shape + swing.shape[1:])
    )


def test_forward_and_reverse_derivatives_of_the_cost_agree(swing):
    gradient = -find["first_order"](swing.problem(FAR)).change
    tangents = jax.random.normal(jax.random.key(2), (5, *swing.shape))
    forward = jax.jit(jax.vmap(lambda tangent: jax.jvp(swing.cost, (swing.actions,), (tangent,))[1]))(tangents)
    np.testing.assert_allclose(forward, np.einsum("ta,kta->k", gradient, tangents), rtol=1e-10)


def test_dense_and_riccati_steps_agree_without_active_limits(swing):
    problem = swing.problem(FAR)
    dense, riccati = find["gauss_newton"](problem), find["riccati"](problem)
    A, B = swing.linearization
    ds, rolled = np.zeros(swing.state.size), []
    for t in range(swing.shape[0]):
        rolled.append(np.asarray(riccati.change[t]) + np.asarray(riccati.gains[t]) @ ds)
        ds = A[t] @ ds + B[t] @ rolled[-1]
    np.testing.assert_allclose(dense.change, rolled, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dense.slope, riccati.slope, rtol=1e-9)
    np.testing.assert_allclose(dense.gains, riccati.gains, rtol=1e-12)
    np.testing.assert_allclose(dense.curvature, riccati.curvature, rtol=1e-12)


def test_the_unlimited_dense_step_is_the_least_squares_solution(swing):
    value, J = swing.dense
    step = -np.linalg.lstsq(J, value, rcond=None)[0]
    np.testing.assert_allclose(
        find["gauss_newton"](swing.problem(FAR)).change.reshape(-1), step, rtol=1e-9, atol=1e-9
    )


def test_the_limited_dense_step_satisfies_the_kkt_conditions(swing):
    value, J = swing.dense
    step = np.asarray(find["gauss_newton"](swing.problem(NEAR)).change).reshape(-1)
    actions = np.asarray(swing.actions).reshape(-1)
    lower, upper = -NEAR - actions, NEAR - actions
    assert np.all((lower <= step) & (step <= upper))
    gradient = 2 * J.T @ (value + J @ step)
    at_lower, at_upper = step == lower, step == upper
    scale = np.max(np.abs(2 * J.T @ value))
    assert np.any(at_lower | at_upper)
    assert not np.all(at_lower | at_upper)
    assert np.all(gradient[at_lower] > -1e-6 * scale)
    assert np.all(gradient[at_upper] < 1e-6 * scale)
    assert np.all(np.abs(gradient[~(at_lower | at_upper)]) < 1e-6 * scale)


@pytest.fixture(scope="module")
def shaken():
    """A pendulum moved so violently that the second derivatives of its motion matter, and its exact Hessian."""
    swing = Swing("pendulum_2d")
    swing.actions = jax.random.uniform(jax.random.key(7), swing.shape, minval=-3.0, maxval=3.0)
    swing.states = simulate(swing.dynamics, swing.state, swing.actions)
    gradients, step = jax.jit(jax.vmap(jax.grad(swing.cost))), 1e-5
    axes = step * np.eye(swing.actions.size).reshape(-1, *swing.shape)
    differences = gradients(swing.actions[None] + axes) - gradients(swing.actions[None] - axes)
    hessian = np.asarray(differences).reshape(swing.actions.size, -1) / (2 * step)
    return swing, (hessian + hessian.T) / 2


def test_the_exact_hessian_is_indefinite_where_gauss_newton_is_not(shaken):
    swing, hessian = shaken
    _, J = swing.dense
    weight = swing.env.parameters.weights.action
    assert np.linalg.eigvalsh(hessian)[0] < -0.1
    assert np.linalg.eigvalsh(2 * J.T @ J)[0] > 2 * weight * (1 - 1e-9)


def test_newton_uses_the_exact_hessian_with_absolute_eigenvalues(shaken):
    swing, hessian = shaken
    eigenvalues, vectors = np.linalg.eigh(hessian)
    direction = find["newton"](swing.problem(FAR))
    gradient = -np.asarray(find["first_order"](swing.problem(FAR)).change).reshape(-1)
    expected = -vectors @ ((vectors.T @ gradient) / np.abs(eigenvalues))
    np.testing.assert_allclose(
        direction.change.reshape(-1), expected, rtol=1e-5, atol=1e-5 * np.max(np.abs(expected))
    )
    np.testing.assert_allclose(direction.slope, gradient @ expected, rtol=1e-5)


@pytest.mark.parametrize("method", DIRECTIONS)
def test_actions_a_rounding_error_beyond_the_limit_are_no_obstacle(method):
    problem, _, value = linear_quadratic()
    actions = problem.actions.at[0, 0].set(1 + 1e-15)
    problem = problem.replace(actions=actions, limit=jnp.ones(2))
    problem = problem.replace(states=simulate(problem.dynamics, problem.state, actions))
    cost = total_cost(problem.dynamics, problem.residual, problem.state, actions)
    after = follow_jit(problem, find[method](problem), cost)
    assert float(after.cost) <= float(cost)
    assert np.all(np.isfinite(after.actions))


@pytest.mark.parametrize("method", DIRECTIONS)
def test_a_nan_shows_in_the_slope(method):
    problem, _, _ = linear_quadratic()
    problem = problem.replace(states=jnp.full_like(problem.states, jnp.nan), state=problem.state * jnp.nan)
    assert np.isnan(find[method](problem).slope)


def test_an_unknown_method_is_refused_with_the_closest_name():
    with pytest.raises(InputError, match="did you mean 'gauss_newton'"):
        directions.get("gauss-newton")
