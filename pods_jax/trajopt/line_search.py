"""A backtracking line search along a direction, on the simulator, that may answer "no step".

It starts from the present cost, halves the step until the cost falls (a cost that is not finite never
does), and keeps the old actions if no step is worth its rounding. So no trajectory ever gets worse.

Where the states are a guess, a step of size alpha leaves the share 1 - alpha of each gap, so that a full step leaves
a trajectory of the simulator (Giftthaler et al. 2018; Mastalli et al. 2020). What falls is then the cost plus a price
times the sum of the gaps; the price is in the direction.
"""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt.directions import Direction
from pods_jax.trajopt.problem import Problem

MAX_HALVINGS = 14


@struct.dataclass
class LineSearchResult:
    """Where a line search ended."""

    actions: jax.Array  # (T, A), within the limits
    states: jax.Array  # (T, n)
    cost: jax.Array  # () never above the cost before
    step_size: jax.Array  # () in {1, 1/2, 1/4, ..., 0}
    num_trials: jax.Array  # () int32, trajectories simulated
    gaps: jax.Array | None = None  # (T, n) that are left of those of the problem, if it has any


def line_search(
    problem: Problem, direction: Direction, cost: jax.Array, max_halvings: int = MAX_HALVINGS
) -> LineSearchResult:
    """Backtracks along `direction` from the present `cost` of the problem's own actions."""

    def unfinished(carry):
        best, trial_size = carry
        worth = -direction.slope * trial_size > jnp.finfo(cost.dtype).eps * jnp.abs(cost)  # False for NaN
        if problem.gaps is not None:
            worth |= jnp.any(problem.gaps != 0)
        return worth & (best.step_size == 0) & (trial_size >= 0.5**max_halvings)

    def halve(carry):
        best, trial_size = carry
        trial = _apply(problem, direction, trial_size)
        better = _merit(trial, direction) < before  # False for NaN
        taken = jax.tree.map(lambda new, old: jnp.where(better, new, old), trial, best)
        return taken.replace(num_trials=best.num_trials + 1), trial_size / 2

    start = no_step(problem, cost)
    before = _merit(start, direction)
    return jax.lax.while_loop(unfinished, halve, (start, jnp.ones_like(cost)))[0]


def no_step(problem: Problem, cost: jax.Array) -> LineSearchResult:
    """The problem's own actions and their cost (), before any trial."""
    trials = jnp.asarray(0, jnp.int32)
    return LineSearchResult(problem.actions, problem.states, cost, jnp.zeros_like(cost), trials, problem.gaps)


def _merit(result: LineSearchResult, direction: Direction) -> jax.Array:
    if result.gaps is None or direction.gap_price is None:
        return result.cost
    return result.cost + direction.gap_price * jnp.sum(jnp.abs(result.gaps))


def _apply(problem: Problem, direction: Direction, step_size: jax.Array) -> LineSearchResult:
    def advance(state, inputs):
        action, old_start, step, gains, weight, gap = inputs
        action = action + step_size * step
        if direction.closed_loop:
            action = action + gains @ (state - old_start)
        action = jnp.clip(action, -problem.limit, problem.limit)
        state = problem.dynamics(state, action)
        if gap is not None:
            state = state - gap
        return state, (action, state, weight * problem.objective.cost(state, action))

    left = None if problem.gaps is None else (1 - step_size) * problem.gaps
    inputs = (problem.actions, problem.step_starts, direction.step, direction.gains, problem.weights, left)
    actions, states, costs = jax.lax.scan(advance, problem.state, inputs)[1]
    return LineSearchResult(actions, states, jnp.sum(costs), step_size, jnp.asarray(1, jnp.int32), left)
