"""The textbook form is an independent reference: nothing that makes the package fast is in it."""

import jax
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.benchmarks import cases, textbook

HORIZON = 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.exhaustive if name != "pendulum_2d" else ())
        for name in cases.PENDULUMS_AND_ROPE[:3]
    ],
)
def test_states_sensitivities_and_improvements_agree(name):
    env = envs.make(name, horizon=HORIZON)
    states, actions = cases.inputs(env, 1)
    state, actions = jax.tree.map(lambda leaf: leaf[0], states), actions[0]
    played = pods_jax.replay(env, state, actions)
    simulated = jax.jit(textbook.simulate)(env, state, actions)
    np.testing.assert_allclose(simulated.position, played.state.position, rtol=1e-9, atol=1e-9)
    better = pods_jax.improve(env, state, actions, method="gauss_newton")
    actions, cost = jax.jit(textbook.improve)(env, state, actions)
    np.testing.assert_allclose(actions, better.actions, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(cost, -better.value, rtol=1e-9)
