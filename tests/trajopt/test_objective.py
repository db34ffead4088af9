import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.trajopt import differentiable, least_squares, simulate, total_cost

STATE, ACTIONS = np.array([0.4, -0.3, 0.8]), np.random.default_rng(0).normal(size=(5, 2))


def dynamics(state, action):
    return jnp.stack(
        [
            state[0] + 0.1 * state[1],
            state[1] + 0.1 * (jnp.sin(state[0]) + action[0]),
            state[2] + 0.1 * state[0] * action[1],
        ]
    )


def residual(state, action):
    """Couples state and action, and is not linear in either."""
    return jnp.stack([state[0] + 0.5 * action[1], state[1] * action[0], jnp.cos(state[2]), action[1] ** 2])


def linear_residual(state, action):
    return jnp.concatenate([2.0 * state - 1.0, 0.3 * action + state[:2]])


def by_hand():
    """States, residuals and cost by a plain loop, in numpy."""
    state, states, values = STATE, [], []
    for action in ACTIONS:
        x, v, z = state
        state = np.array([x + 0.1 * v, v + 0.1 * (np.sin(x) + action[0]), z + 0.1 * x * action[1]])
        states.append(state)
        x, v, z = state
        values.append([x + 0.5 * action[1], v * action[0], np.cos(z), action[1] ** 2])
    return np.array(states), np.array(values), sum(r**2 for value in values for r in value)


def test_states_are_those_that_the_actions_lead_to():
    states, _, _ = by_hand()
    np.testing.assert_allclose(simulate(dynamics, STATE, ACTIONS), states, rtol=1e-14)


def test_each_step_pays_on_arrival_for_the_action_that_led_there():
    _, values, cost = by_hand()
    cost_of = least_squares(residual).cost
    np.testing.assert_allclose(total_cost(dynamics, cost_of, STATE, ACTIONS), cost, rtol=1e-14)
    last = total_cost(dynamics, cost_of, STATE, ACTIONS, jnp.asarray([0.0, 0.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(last, np.sum(np.square(values[-1])), rtol=1e-14)


def cost_of_step(residual, state, action):
    return np.sum(np.asarray(residual(state, action)) ** 2)


def test_the_expansion_of_a_linear_residual_is_exact():
    random = np.random.default_rng(1)
    state, action, ds, da = (random.normal(size=size) for size in (3, 2, 3, 2))
    model = least_squares(linear_residual).quadratize(jnp.asarray(state), jnp.asarray(action))
    change = model.s @ ds + model.a @ da + (ds @ model.ss @ ds + da @ model.aa @ da) / 2 + da @ model.as_ @ ds
    after = cost_of_step(linear_residual, state + ds, action + da)
    np.testing.assert_allclose(change, after - cost_of_step(linear_residual, state, action), rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_expansion_is_that_of_the_cost(seed):
    random = np.random.default_rng(seed)
    point = random.normal(size=5)
    model = least_squares(residual).quadratize(jnp.asarray(point[:3]), jnp.asarray(point[3:]))
    step = 1e-6
    differences = [
        cost_of_step(residual, *np.split(point + step * axis, [3]))
        - cost_of_step(residual, *np.split(point - step * axis, [3]))
        for axis in np.eye(5)
    ]
    gradient = np.concatenate([model.s, model.a])
    np.testing.assert_allclose(gradient, np.array(differences) / (2 * step), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_hessian_of_the_expansion_is_positive_semidefinite_and_gauss_newton(seed):
    random = np.random.default_rng(seed)
    x, v, z, a, b = random.normal(size=5)
    model = least_squares(residual).quadratize(jnp.asarray([x, v, z]), jnp.asarray([a, b]))
    hessian = np.block([[model.ss, model.as_.T], [model.as_, model.aa]])
    jacobian = np.array([[1, 0, 0, 0, 0.5], [0, a, 0, v, 0], [0, 0, -np.sin(z), 0, 0], [0, 0, 0, 0, 2 * b]])
    np.testing.assert_allclose(hessian, 2 * jacobian.T @ jacobian, atol=1e-14)
    assert np.min(np.linalg.eigvalsh(hessian)) > -1e-14


def test_the_last_action_counts():
    cost_of = least_squares(residual).cost
    gradient = jax.grad(total_cost, argnums=3)(dynamics, cost_of, jnp.asarray(STATE), jnp.asarray(ACTIONS))
    assert np.all(np.abs(gradient[-1]) > 1e-3)


def coupled_cost(state, action):
    """Curved both ways, state and action coupled."""
    return state[0] ** 2 * (1 + action[0] ** 2) - jnp.cos(state[1] - action[1]) + state[2] * action[0]


@pytest.mark.slow
def test_any_cost_has_a_quadratic_model_with_its_gradient_and_the_convex_part_of_its_hessian():
    for seed in range(3):
        x, v, z, a, b = np.random.default_rng(seed).normal(size=5)
        model = differentiable(coupled_cost).quadratize(jnp.asarray([x, v, z]), jnp.asarray([a, b]))
        gradient = [2 * x * (1 + a**2), np.sin(v - b), a, 2 * x**2 * a + z, -np.sin(v - b)]
        np.testing.assert_allclose(np.concatenate([model.s, model.a]), gradient, rtol=1e-12)
        c = np.cos(v - b)
        exact = np.zeros((5, 5))
        exact[0, 0], exact[3, 3], exact[0, 3], exact[2, 3] = 2 * (1 + a**2), 2 * x**2, 4 * x * a, 1.0
        exact[1, 1], exact[4, 4], exact[1, 4] = c, c, -c
        exact += np.triu(exact, 1).T
        eigenvalues, vectors = np.linalg.eigh(exact)
        assert eigenvalues[0] < 0
        hessian = np.block([[model.ss, model.as_.T], [model.as_, model.aa]])
        np.testing.assert_allclose(hessian, vectors * np.maximum(eigenvalues, 0) @ vectors.T, atol=1e-12)


@pytest.mark.slow
def test_a_squared_residual_that_is_linear_has_the_same_model_either_way():
    state, action = jnp.asarray([0.3, -0.8, 0.1]), jnp.asarray([0.5, -0.2])
    squares = least_squares(linear_residual)
    one, other = squares.quadratize(state, action), differentiable(squares.cost).quadratize(state, action)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), one, other)
