"""Damping that adapts, on an inverted pendulum that falls from almost every guess but the right one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, optimize, replay
from pods_jax.improvement import trajectory_problem
from pods_jax.trajopt import Problem, differentiable, levenberg_marquardt, linearize, no_step
from tests.tiers import slow_but
from tests.unstable import LIMIT, make_unstable

HORIZON = 30


@pytest.fixture(scope="module")
def env():
    return make_unstable(HORIZON)


@pytest.fixture(scope="module")
def states(env):
    return jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))


@pytest.fixture(scope="module")
def zero():
    return jnp.zeros((HORIZON, 1))


@pytest.fixture(scope="module")
def from_goal(env, states, zero):
    guess = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (HORIZON, *leaf.shape)), env.goal)
    return jax.jit(jax.vmap(lambda state: optimize(env, state, zero, guess=guess)))(states)


def final_heights(env, state):
    return np.asarray(jax.vmap(env.measure)(jax.tree.map(lambda leaf: leaf[:, -1], state))["height"])


@pytest.mark.slow
def test_from_the_guess_of_being_at_the_goal_every_start_is_balanced(env, from_goal):
    best, converged = from_goal
    assert np.all(converged)
    assert np.all(final_heights(env, best.state) > 1 - 1e-6)


@pytest.mark.slow
def test_without_the_guess_every_start_costs_many_times_as_much(env, states, zero, from_goal):
    """The pendulum falls and is swung up once more: a local optimum, and what guesses are for."""
    alone, _ = jax.jit(jax.vmap(lambda state: optimize(env, state, zero)))(states)
    assert np.all(alone.value < 10 * from_goal[0].value)  # both are negative


@pytest.mark.slow
def test_what_it_returns_is_a_trajectory_of_the_simulator_within_the_limits(env, states, from_goal):
    best, _ = from_goal
    played = jax.vmap(lambda state, actions: replay(env, state, actions))(states, best.actions)
    for name in ("angle", "velocity"):
        np.testing.assert_allclose(best.state[name], played.state[name], atol=1e-6)
    np.testing.assert_allclose(best.value, np.sum(played.reward, axis=1), rtol=1e-6)
    assert np.all(np.abs(best.actions) <= LIMIT)
    assert np.all(best.value > best.value_before)


def test_a_guess_that_leads_nowhere_leaves_the_given_actions(env, states, zero):
    state = jax.tree.map(lambda leaf: leaf[0], states)
    nowhere = {name: jnp.full(HORIZON, jnp.nan) for name in ("angle", "velocity")}
    best, converged = optimize(env, state, zero, guess=nowhere)
    assert not converged
    np.testing.assert_array_equal(best.actions, zero)
    assert float(best.value) == float(best.value_before)
    np.testing.assert_array_equal(best.state["angle"], replay(env, state, zero).state["angle"])


@pytest.mark.slow
def test_each_step_is_at_least_as_good_as_the_last(env, states, zero):
    state = jax.tree.map(lambda leaf: leaf[0], states)
    played = replay(env, state, zero)
    problem, _ = trajectory_problem(env, state, played)
    best, damping = no_step(problem, -jnp.sum(played.reward)), jnp.asarray(levenberg_marquardt.FIRST)
    step = jax.jit(lambda best, damping: levenberg_marquardt.damped_step(problem, best, damping)[1])
    for _ in range(10):
        after = step(best, damping)
        assert float(after.cost) <= float(best.cost)
        assert int(after.num_trials) >= int(best.num_trials)
        best, damping = after, levenberg_marquardt.adapted(damping, after.step_size)
    assert float(best.cost) < -float(jnp.sum(played.reward))


@pytest.mark.parametrize(
    ("step_size", "factor"), [(0.0, 10.0), (1 / 8, 10.0), (1 / 4, 10.0), (1 / 2, 0.1), (1.0, 0.1)]
)
def test_short_steps_raise_the_damping_and_long_ones_lower_it(step_size, factor):
    after = levenberg_marquardt.adapted(jnp.asarray(1e-2), jnp.asarray(step_size))
    np.testing.assert_allclose(after, 1e-2 * factor, rtol=1e-12)


def test_damping_stays_within_its_bounds():
    for start in (levenberg_marquardt.LEAST, levenberg_marquardt.MOST):
        for step_size in (0.0, 1.0):
            after = float(levenberg_marquardt.adapted(jnp.asarray(start), jnp.asarray(step_size)))
            assert levenberg_marquardt.LEAST <= after <= levenberg_marquardt.MOST


@pytest.mark.parametrize("unit", slow_but([1e-2, 1e3], 1e3))
def test_the_unit_of_actions_does_not_matter(env, states, zero, unit):
    """Actions in another unit, with the limit in it, give the same trajectory: damping has no unit."""
    state = jax.tree.map(lambda leaf: leaf[0], states)
    problem, _ = trajectory_problem(env, state, replay(env, state, zero))
    other = dataclasses.replace(
        problem,
        dynamics=lambda vector, action: problem.dynamics(vector, action / unit),
        objective=dataclasses.replace(
            problem.objective,
            cost=lambda vector, action: problem.objective.cost(vector, action / unit),
            quadratize=lambda vector, action: rescaled(problem.objective.quadratize(vector, action / unit), unit),
        ),
        linearize=lambda vector, action, after: rescaled_model(problem, vector, action, after, unit),
        limit=problem.limit * unit,
    )
    search = jax.jit(lambda problem: levenberg_marquardt.search(problem, 5, 1e-12).best)
    ours, theirs = search(problem), search(other)
    np.testing.assert_allclose(theirs.actions / unit, ours.actions, rtol=1e-6, atol=1e-9)


def rescaled(cost, unit):
    return cost.replace(a=cost.a / unit, aa=cost.aa / unit**2, as_=cost.as_ / unit)


def rescaled_model(problem, vector, action, after, unit):
    model = problem.linearize(vector, action / unit, after)
    return dataclasses.replace(model, B=model.B / unit)


def test_a_goal_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"goal\['angle'\] has shape \(2,\)"):
        make_unstable(HORIZON, goal={"angle": jnp.zeros(2), "velocity": 0.0})
    with pytest.raises(InputError, match=r"goal.*'angle'"):
        make_unstable(HORIZON, goal={"angle": 0.0})


@pytest.mark.slow
def test_a_search_fails_where_derivatives_are_not_finite():
    """At a kink of the cost there is nothing to gain by numbers that say nothing: that is no optimum."""
    problem = Problem(
        dynamics=lambda state, action: state + action,
        objective=differentiable(lambda state, action: jnp.linalg.norm(action) + jnp.sum((state - 1) ** 2)),
        linearize=lambda state, action, after: linearize(lambda s, a: s + a, state, action),
        state=jnp.zeros(1),
        actions=jnp.zeros((3, 1)),
        states=jnp.zeros((3, 1)),
        weights=jnp.ones(3),
        limit=jnp.ones(1),
    )
    found = jax.jit(lambda problem: levenberg_marquardt.search(problem, 100, 1e-5))(problem)
    assert found.failed
    assert not found.converged
    assert not found.direction.is_finite
    moved = dataclasses.replace(problem, actions=jnp.full((3, 1), 0.1), states=jnp.asarray([[0.1], [0.2], [0.3]]))
    found = levenberg_marquardt.search(moved, 100, 1e-5)
    assert not found.failed
    assert found.best.cost < 2.2
