"""A backtracking line search along a direction, on the simulator, that may answer "no step".

It starts from the present cost, halves the step until the cost falls (a cost that is not finite never
does), and keeps the old actions if no step is worth its rounding. So no trajectory ever gets worse.
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


def line_search(problem: Problem, direction: Direction, cost: jax.Array) -> LineSearchResult:
    """Backtracks along `direction` from the present `cost` of the problem's own actions."""

    def unfinished(carry):
        best, trial_size = carry
        worth = -direction.slope * trial_size > jnp.finfo(cost.dtype).eps * jnp.abs(cost)  # False for NaN
        return worth & (best.step_size == 0) & (trial_size >= 0.5**MAX_HALVINGS)

    def halve(carry):
        best, trial_size = carry
        trial = _apply(problem, direction, trial_size)
        better = trial.cost < cost  # False for NaN
        taken = jax.tree.map(lambda new, old: jnp.where(better, new, old), trial, best)
        return taken.replace(num_trials=best.num_trials + 1), trial_size / 2

    return jax.lax.while_loop(unfinished, halve, (no_step(problem, cost), jnp.ones_like(cost)))[0]


def no_step(problem: Problem, cost: jax.Array) -> LineSearchResult:
    """The problem's own actions and their cost (), before any trial."""
    return LineSearchResult(problem.actions, problem.states, cost, jnp.zeros_like(cost), jnp.asarray(0, jnp.int32))


def _apply(problem: Problem, direction: Direction, step_size: jax.Array) -> LineSearchResult:
    def advance(state, inputs):
        action, old_start, step, gains, weight = inputs
        action = action + step_size * step
        if direction.closed_loop:
            action = action + gains @ (state - old_start)
        action = jnp.clip(action, -problem.limit, problem.limit)
        state = problem.dynamics(state, action)
        return state, (action, state, weight * problem.objective.cost(state, action))

    inputs = (problem.actions, problem.step_starts, direction.step, direction.gains, problem.weights)
    actions, states, costs = jax.lax.scan(advance, problem.state, inputs)[1]
    return LineSearchResult(actions, states, jnp.sum(costs), step_size, jnp.asarray(1, jnp.int32))
