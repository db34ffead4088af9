"""Steps from guessed states: gaps close by the size of the step, and a full step solves a linear problem."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax.trajopt import Problem, around_guess, least_squares, line_search, linearize, no_step, riccati, simulate
from tests.tiers import slow_but
from tests.trajopt.test_line_search import dynamics, make_problem

HORIZON, STATE_SIZE, ACTION_SIZE = 5, 3, 2


def linear_problem(seed, limit=1e3):
    """Random linear dynamics and a quadratic cost that couples state and action."""
    random = np.random.default_rng(seed)
    A, B = random.normal(size=(STATE_SIZE, STATE_SIZE)), random.normal(size=(STATE_SIZE, ACTION_SIZE))
    C, D = random.normal(size=(6, STATE_SIZE)), random.normal(size=(6, ACTION_SIZE))

    def move(state, action):
        return A @ state + B @ action

    def residual(state, action):
        return C @ state + D @ action + 1.0

    start, actions = jnp.asarray(random.normal(size=STATE_SIZE)), jnp.zeros((HORIZON, ACTION_SIZE))
    return Problem(
        dynamics=move,
        objective=least_squares(residual),
        linearize=lambda state, action, _: linearize(move, state, action),
        state=start,
        actions=actions,
        states=simulate(move, start, actions),
        weights=jnp.ones(HORIZON),
        limit=jnp.full(ACTION_SIZE, limit),
    )


def cost_of(problem):
    return jnp.sum(problem.weights * jax.vmap(problem.objective.cost)(problem.states, problem.actions))


@jax.jit
def from_states(problem, states, scale=1.0):
    """Where one step leads from a guess of the states; scale: of the step and of the gains."""
    guessed = around_guess(problem, states)
    direction = riccati(guessed)
    direction = dataclasses.replace(direction, step=scale * direction.step, gains=scale * direction.gains)
    return guessed, direction, line_search(guessed, direction, cost_of(guessed))


@pytest.mark.parametrize("seed", slow_but(range(3), 0))
def test_one_step_from_any_guess_solves_a_linear_problem(seed):
    problem = linear_problem(seed)
    expected = jax.jit(lambda problem: line_search(problem, riccati(problem), cost_of(problem)))(problem)
    guess = jnp.asarray(np.random.default_rng(seed + 10).normal(size=(HORIZON, STATE_SIZE)))
    guessed, _, after = jax.jit(lambda states: from_states(problem, states))(guess)
    assert np.max(np.abs(guessed.gaps)) > 0.1
    assert float(after.step_size) == 1.0
    assert not np.any(after.gaps)
    np.testing.assert_allclose(after.actions, expected.actions, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(after.states, expected.states, rtol=1e-8, atol=1e-9)


def next_to_a_cliff(seed, scale):
    """A step from random states, `scale` times as long as it should be, where large actions break the simulator."""
    problem = make_problem(seed, threshold=1.0)
    states = problem.states.at[:, :2].set(np.random.default_rng(seed).normal(size=(len(problem.actions), 2)))
    return problem, *from_states(problem, states, scale)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_the_gaps_that_are_left_are_those_of_the_simulator(seed, scale):
    problem, guessed, direction, after = next_to_a_cliff(seed, scale)
    np.testing.assert_allclose(after.gaps, (1 - after.step_size) * guessed.gaps, rtol=1e-12)
    here = dataclasses.replace(problem, actions=after.actions, states=after.states)
    real = jax.vmap(dynamics)(here.step_starts, here.actions) - here.states
    np.testing.assert_allclose(after.gaps, real, atol=1e-10)
    before = cost_of(guessed) + direction.gap_price * np.sum(np.abs(guessed.gaps))
    assert after.cost + direction.gap_price * np.sum(np.abs(after.gaps)) <= before


def test_some_steps_are_cut_short_and_some_are_not():
    """So that the test above has something to say."""
    sizes = [float(next_to_a_cliff(seed, scale)[-1].step_size) for seed in range(4) for scale in (1.0, 6.0)]
    assert any(0 < size < 1 for size in sizes)


@pytest.mark.slow
def test_the_price_of_a_gap_is_above_every_costate():
    """The costate is the derivative of the cost to go by a state: here by differences, on a linear problem."""
    problem = linear_problem(0)
    solved = jax.jit(lambda problem: line_search(problem, riccati(problem), cost_of(problem)))(problem)
    around = around_guess(dataclasses.replace(problem, actions=solved.actions), solved.states)

    @jax.jit
    def best_cost_after(gaps):
        shifted = dataclasses.replace(around, gaps=gaps)
        direction = riccati(shifted)
        return line_search(shifted, direction, cost_of(shifted)).cost, direction.gap_price

    step, (_, price) = 1e-4, best_cost_after(around.gaps)
    for index in range(HORIZON):
        for axis in np.eye(STATE_SIZE):
            costs = [best_cost_after(around.gaps.at[index].set(sign * step * axis))[0] for sign in (1, -1)]
            assert abs(costs[0] - costs[1]) / (2 * step) <= price


def test_without_a_guess_nothing_is_carried():
    problem = make_problem(0)
    assert problem.gaps is None
    assert no_step(problem, jnp.ones(())).gaps is None
    assert jax.eval_shape(riccati, problem).gap_price is None
