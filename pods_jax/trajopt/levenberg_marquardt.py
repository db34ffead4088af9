"""Riccati steps with damping that adapts to each trajectory (Levenberg 1944, Marquardt 1963), to a local optimum.

A step that had to be shortened says that the quadratic model does not hold so far from here: the next one is damped
more. A step that was taken whole allows less damping. The damping lambda has no unit,

    Q_aa + lambda |C| / T diag(1 / limit^2),

so that with lambda = 1 actions that change by their limits in every step cost as much as the whole trajectory.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt.directions import Direction, riccati
from pods_jax.trajopt.line_search import LineSearchResult, line_search, no_step
from pods_jax.trajopt.problem import Problem

FIRST, LEAST, MOST = 1e-2, 1e-6, 1e4
"""The damping to begin with, and its bounds."""

CHANGE = 10.0
"""Factor by which the damping rises or falls."""

MAX_HALVINGS = 4
"""Of a step; where that is not enough, the next one is damped more."""

SHORT, LONG = 0.25, 0.5
"""Step sizes up to SHORT raise the damping, from LONG on they lower it."""


@struct.dataclass
class Search:
    """How far the search for a local optimum has come."""

    best: LineSearchResult  # the trajectory, which never gets worse
    damping: jax.Array  # () of the next step
    direction: Direction  # the last one
    converged: jax.Array  # () bool, nothing is left to gain
    failed: jax.Array  # () bool, derivatives are not finite, with the largest damping too


def damped_step(problem: Problem, best: LineSearchResult, damping: jax.Array) -> tuple[Direction, LineSearchResult]:
    """One Riccati step from the trajectory `best` of a problem, with a line search; its trials add up."""
    here = dataclasses.replace(problem, actions=best.actions, states=best.states, gaps=best.gaps)
    scale = jnp.abs(best.cost) / best.actions.shape[0] / problem.limit**2
    with jax.default_matmul_precision("highest"):
        direction = riccati(here, damping * scale)
        after = line_search(here, direction, best.cost, MAX_HALVINGS)
    return direction, dataclasses.replace(after, num_trials=best.num_trials + after.num_trials)


def adapted(damping: jax.Array, step_size: jax.Array) -> jax.Array:
    """() the damping for the next step, after one of the given size (), 0 if none was taken."""
    factor = jnp.where(step_size <= SHORT, CHANGE, jnp.where(step_size >= LONG, 1 / CHANGE, 1.0))
    return jnp.clip(damping * factor, LEAST, MOST).astype(damping.dtype)


def search(problem: Problem, max_steps: int | jax.Array, tolerance: float | jax.Array) -> Search:
    """Damped steps until one gains less than `tolerance` of the cost, or until `max_steps`.

    The problem may be one around guessed states; it has not converged before their gaps are closed. Where a direction
    is not finite, it fails: that there is nothing to gain would be said of derivatives that say nothing.
    """

    def unfinished(carry):
        found, count = carry
        return ~found.converged & ~found.failed & (count < max_steps)

    def advance(carry):
        found, count = carry
        direction, after = damped_step(problem, found.best, found.damping)
        little = ~(found.best.cost - after.cost > tolerance * jnp.abs(after.cost))  # True for NaN
        is_model_trusted = (after.step_size >= LONG) & (found.damping <= FIRST)
        is_flat = ~(-direction.slope > tolerance * jnp.abs(after.cost))
        is_exhausted = (after.step_size == 0) & (found.damping >= MOST)
        is_optimal = _is_closed(after) & ((little & (is_model_trusted | is_flat)) | is_exhausted)
        converged, failed = direction.is_finite & is_optimal, ~direction.is_finite & is_exhausted
        return Search(after, adapted(found.damping, after.step_size), direction, converged, failed), count + 1

    cost = jnp.sum(problem.weights * jax.vmap(problem.objective.cost)(problem.states, problem.actions))
    start = no_step(problem, cost)
    damping = jnp.asarray(FIRST, cost.dtype)
    no_direction = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda: damped_step(problem, start, damping)[0]))
    no = jnp.asarray(False)
    return jax.lax.while_loop(unfinished, advance, (Search(start, damping, no_direction, no, no), 0))[0]


def _is_closed(result: LineSearchResult) -> jax.Array:
    """() whether the actions lead to the states, with no gap left."""
    return jnp.asarray(True) if result.gaps is None else ~jnp.any(result.gaps != 0)
