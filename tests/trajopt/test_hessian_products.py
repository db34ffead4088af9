import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.trajopt import hessian_products, least_squares
from pods_jax.trajopt.linearize import Linearization

HORIZON, NUM_STATES, NUM_ACTIONS = 5, 3, 2


@pytest.fixture(scope="module")
def linear():
    """Models (A, B, D, residuals), all random, and shifts of the actions."""
    keys = iter(jax.random.split(jax.random.key(0), 8))

    def draw(*shape):
        return 0.5 * jax.random.normal(next(keys), (HORIZON, *shape), jnp.float64)

    model = Linearization(draw(NUM_STATES, NUM_STATES), draw(NUM_STATES, NUM_ACTIONS))
    by_state, by_action, constant = draw(6, NUM_STATES), draw(6, NUM_ACTIONS), draw(6)
    return model, draw(NUM_ACTIONS, NUM_STATES), (by_state, by_action, constant), draw(NUM_ACTIONS)


def closed_loop_cost(model, gains, residuals, shifts):
    """() of the linear system from zero, whose actions are shifts + gains times states."""
    state, cost = jnp.zeros(NUM_STATES), 0.0
    for t in range(HORIZON):
        action = shifts[t] + gains[t] @ state
        state = model.A[t] @ state + model.B[t] @ action
        cost += jnp.sum((residuals[0][t] @ state + residuals[1][t] @ action + residuals[2][t]) ** 2)
    return cost


@pytest.mark.slow
@pytest.mark.parametrize("reacts", [False, True])
def test_gradient_and_hessian_are_those_of_what_a_reacting_policy_costs(linear, reacts):
    model, gains, residuals, shifts = linear
    reaction = gains if reacts else jnp.zeros_like(gains)

    def quadratize(by_state, by_action, constant):
        objective = least_squares(lambda state, action: by_state @ state + by_action @ action + constant)
        return objective.quadratize(jnp.zeros(NUM_STATES), jnp.zeros(NUM_ACTIONS))

    cost = jax.vmap(quadratize)(*residuals)
    product, gradient = hessian_products(model, cost, gains=gains if reacts else None)
    by_shift = jax.grad(lambda shifts: closed_loop_cost(model, reaction, residuals, shifts))
    np.testing.assert_allclose(gradient, by_shift(jnp.zeros_like(shifts)).reshape(-1), rtol=1e-10)
    expected = (by_shift(shifts) - by_shift(jnp.zeros_like(shifts))).reshape(-1)  # it is quadratic
    np.testing.assert_allclose(product(shifts.reshape(-1, 1))[:, 0], expected, rtol=1e-10)
