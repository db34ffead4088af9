"""The line search on a toy problem whose dynamics break down beyond some action."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.trajopt import Problem, least_squares, line_search, linearize, simulate, total_cost
from pods_jax.trajopt.directions import Direction, first_order, riccati

HORIZON, ACTION_SIZE, STATE_SIZE = 4, 2, 4
STEP_SIZES = {0.0} | {0.5**halvings for halvings in range(20)}


BEYOND = np.array([np.nan, np.inf, -np.inf, 1e200])


def dynamics(state, action):
    """Nonlinear; the last two components are a threshold of the actions and which of BEYOND comes after it."""
    x, v, threshold, kind = state
    x, v = x + 0.3 * v, v + jnp.sin(3.0 * x) * action[0] + jnp.tanh(action[1]) - 0.1
    broken = jnp.max(jnp.abs(action)) > threshold
    return jnp.stack([jnp.where(broken, jnp.asarray(BEYOND)[kind.astype(int)], x), v, threshold, kind])


def residual(state, action):
    return jnp.concatenate([state[:2], 0.1 * action])


OBJECTIVE, LINEARIZE = least_squares(residual), functools.partial(linearize, dynamics)


def make_problem(seed=0, threshold=1e9, kind=0, limit=10.0):
    random = np.random.default_rng(seed)
    state = jnp.asarray([*random.normal(size=2), threshold, kind])
    actions = jnp.asarray(random.uniform(-1, 1, (HORIZON, ACTION_SIZE)) * min(limit, threshold))
    weights, limit = jnp.ones(HORIZON), jnp.full(ACTION_SIZE, limit)
    problem = Problem(dynamics, OBJECTIVE, LINEARIZE, state, actions, None, weights, limit)
    return problem.replace(states=simulate_compiled(state, actions))


simulate_compiled = jax.jit(lambda state, actions: simulate(dynamics, state, actions))
cost_of = jax.jit(lambda problem, actions: total_cost(dynamics, OBJECTIVE.cost, problem.state, actions))
follow_compiled = jax.jit(line_search)


def make_direction(step, slope, gains=None):
    identity = jnp.broadcast_to(jnp.eye(ACTION_SIZE), (HORIZON, ACTION_SIZE, ACTION_SIZE))
    closed_loop = gains is not None
    gains = jnp.zeros((HORIZON, ACTION_SIZE, STATE_SIZE)) if gains is None else gains
    return Direction(jnp.asarray(step), gains, identity, jnp.asarray(slope), closed_loop)


@pytest.mark.slow
@pytest.mark.parametrize("closed_loop", [False, True])
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    threshold=st.sampled_from([0.3, 1.0, 1e9]),
    kind=st.integers(0, len(BEYOND) - 1),
    limit=st.sampled_from([0.2, 1.0, 10.0]),
    magnitude=st.floats(1e-3, 1e3),
)
def test_it_never_ends_worse_or_broken_or_beyond_the_limits(closed_loop, seed, threshold, kind, limit, magnitude):
    """Whatever the direction promises: a random step with a slope that says it descends."""
    problem = make_problem(seed, threshold, kind, limit)
    random = np.random.default_rng([seed, 1])
    gains = jnp.asarray(random.normal(size=(HORIZON, ACTION_SIZE, STATE_SIZE))).at[:, :, 2:].set(0.0)
    step = magnitude * random.normal(size=(HORIZON, ACTION_SIZE))
    direction = make_direction(step, -1.0, gains if closed_loop else None)
    before = cost_of(problem, problem.actions)
    after = follow_compiled(problem, direction, before)
    assert float(after.cost) <= float(before)
    assert float(after.step_size) in STEP_SIZES
    assert np.all(np.abs(after.actions) <= limit)
    assert np.all(np.isfinite(after.states))
    np.testing.assert_allclose(after.states, simulate_compiled(problem.state, after.actions), rtol=1e-12)
    np.testing.assert_allclose(after.cost, cost_of(problem, after.actions), rtol=1e-12)
    if float(after.step_size) == 0:
        np.testing.assert_array_equal(after.actions, problem.actions)
    else:
        assert float(after.cost) < float(before)


@pytest.mark.parametrize("find", [jax.jit(first_order), jax.jit(riccati)])
@hypothesis.given(seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.3, 1.0]))
def test_true_directions_find_something_better_next_to_a_cliff(find, seed, threshold):
    problem = make_problem(seed, threshold)
    before = cost_of(problem, problem.actions)
    after = follow_compiled(problem, find(problem, 0.0), before)
    assert float(after.cost) < float(before)
    assert np.all(np.abs(after.actions) <= threshold)


@pytest.mark.parametrize(("step", "step_size"), [(-1.5, 1.0), (-3.0, 0.5), (-5.0, 0.25), (-12.0, 0.125)])
def test_it_takes_the_longest_step_that_improves(step, step_size):
    """The cost of one action is (1 + action)^2, and the action is zero."""
    problem = Problem(
        dynamics=lambda state, action: state + action,
        objective=least_squares(lambda state, action: state),
        linearize=None,
        state=jnp.ones(1),
        actions=jnp.zeros((1, 1)),
        states=jnp.ones((1, 1)),
        weights=jnp.ones(1),
        limit=jnp.full(1, 100.0),
    )
    ones = jnp.ones((1, 1, 1))
    direction = Direction(jnp.full((1, 1), step), 0 * ones, ones, jnp.asarray(2 * step), closed_loop=False)
    after = line_search(problem, direction, jnp.ones(()))
    assert float(after.step_size) == step_size
    np.testing.assert_allclose(after.actions, [[step_size * step]])
    np.testing.assert_allclose(after.cost, (1 + step_size * step) ** 2)


def test_it_applies_the_gains_to_the_deviation_from_the_old_states():
    problem = make_problem(3)
    random = np.random.default_rng(0)
    gains = jnp.asarray(random.normal(size=(HORIZON, ACTION_SIZE, STATE_SIZE))).at[:, :, 2:].set(0.0)
    step = 0.01 * random.normal(size=(HORIZON, ACTION_SIZE))
    after = follow_compiled(problem, make_direction(step, -1.0, gains), jnp.asarray(1e9))
    state = problem.state
    old_starts = [problem.state, *problem.states[:-1]]
    for t in range(HORIZON):
        action = problem.actions[t] + step[t] + gains[t] @ (state - old_starts[t])
        np.testing.assert_allclose(after.actions[t], action, rtol=1e-12)
        state = dynamics(state, action)


def no_step(after, problem, before):
    assert float(after.step_size) == 0
    assert float(after.cost) == float(before)
    np.testing.assert_array_equal(after.actions, problem.actions)
    np.testing.assert_array_equal(after.states, problem.states)


@pytest.fixture
def problem():
    return make_problem()


def test_no_step_along_an_ascent_direction(problem):
    before = cost_of(problem, problem.actions)
    ascent = jax.jit(jax.grad(cost_of, argnums=1))(problem, problem.actions)
    tiny = 1e-3 * ascent
    no_step(follow_compiled(problem, make_direction(tiny, -1.0), before), problem, before)
    no_step(follow_compiled(problem, make_direction(-tiny, 1.0), before), problem, before)


@pytest.mark.parametrize(("step", "slope"), [(np.nan, -1.0), (0.1, np.nan), (np.nan, np.nan)])
def test_no_step_along_a_direction_that_is_not_finite(problem, step, slope):
    before = cost_of(problem, problem.actions)
    direction = make_direction(np.full((HORIZON, ACTION_SIZE), step), slope)
    no_step(follow_compiled(problem, direction, before), problem, before)


def test_no_step_at_an_optimum(problem):
    step = jax.jit(lambda problem, cost: line_search(problem, riccati(problem), cost))
    cost = cost_of(problem, problem.actions)
    for _ in range(60):
        after = step(problem, cost)
        problem, cost = problem.replace(actions=after.actions, states=after.states), after.cost
    gradient = jax.jit(jax.grad(cost_of, argnums=1))(problem, problem.actions)
    assert np.max(np.abs(gradient)) < 1e-5
    no_step(step(problem, cost), problem, cost)


def test_no_step_from_a_cost_that_is_not_finite(problem):
    direction = make_direction(np.ones((HORIZON, ACTION_SIZE)), -1.0)
    after = follow_compiled(problem, direction, jnp.asarray(np.nan))
    assert float(after.step_size) == 0
    np.testing.assert_array_equal(after.actions, problem.actions)


@pytest.mark.slow
def test_a_broken_lane_leaves_the_rest_of_the_batch_alone():
    problems = [make_problem(seed) for seed in range(4)]
    broken = problems[2].replace(actions=problems[2].actions * jnp.nan, states=problems[2].states * jnp.nan)

    @jax.jit
    @jax.vmap
    def step(problem):
        cost = total_cost(dynamics, residual, problem.state, problem.actions)
        return line_search(problem, riccati(problem), cost)

    together = step(jax.tree.map(lambda *parts: jnp.stack(parts), *problems))
    mixed = step(jax.tree.map(lambda *parts: jnp.stack(parts), *problems[:2], broken, problems[3]))
    assert float(mixed.step_size[2]) == 0
    for index in (0, 1, 3):
        np.testing.assert_array_equal(together.actions[index], mixed.actions[index])
        assert float(together.cost[index]) == float(mixed.cost[index])
