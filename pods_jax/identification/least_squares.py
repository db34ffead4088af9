"""Levenberg-Marquardt for parameters and for the states in which windows begin, with limits for the parameters.

What is minimised stands in `normal_equations`. A step of the parameters is the solution of a quadratic program in a
box; those of the starts follow from it. Where friction holds a joint, the errors of a window change suddenly with its
start; so each window has damping of its own, and keeps its start where the new one is worse for the new parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.envs.environment import Environment
from pods_jax.envs.parameters import Parameters
from pods_jax.identification.normal_equations import Normal, Problem, costs, eliminated, normal
from pods_jax.trajopt.box_qp import DenseHessian, solve_box_qp

FIRST, LEAST, MOST = 1e-3, 1e-8, 1e8
"""The damping to begin with, and its bounds."""


CHANGE = 10.0
"""Factor by which the damping rises or falls."""


MAX_STEPS, NUM_ROUNDS = 60, 4
"""Steps of one search, and how often the noise is estimated anew from what a search left over."""


ROUGH, FINE, LEAST_GAIN = 1e-3, 1e-5, 1e-4
"""A search ends where a step gains less than FINE times the cost, or ROUGH times while the noise is not final, or
less than LEAST_GAIN, which moves no parameter by more than 0.014 of its standard deviation."""


@struct.dataclass
class Fit:
    """The minimiser and what is known about it."""

    theta: jax.Array  # (p,)
    starts: jax.Array  # (W, n)
    noise: jax.Array  # (n,) standard deviation of each component, in its own unit
    information: jax.Array  # (p, p) the Gauss-Newton matrix of the data, starts eliminated
    scores: jax.Array  # (W, p) the gradient of each window, starts eliminated
    cost: jax.Array  # () sum of squares by the noise, over 2
    steps: jax.Array  # () how many steps were taken in all
    converged: jax.Array  # () bool


@struct.dataclass
class _Pivoted(DenseHessian):
    """A matrix that may be close to singular, where parameters cannot be told apart: solved with pivots."""

    def solve(self, right_side: jax.Array, free: jax.Array) -> jax.Array:
        """See Hessian."""
        both = free[:, None] & free[None, :]
        masked = jnp.where(both, self.matrix, jnp.eye(free.shape[0], dtype=self.matrix.dtype))
        return jnp.linalg.solve(masked, jnp.where(free, right_side, 0.0))


@struct.dataclass
class _Search:
    """How far it has come; `parts` belong to theta, starts and noise unless they are `fresh`."""

    theta: jax.Array
    starts: jax.Array
    noise: jax.Array
    parts: Normal
    damping: jax.Array  # () of the parameters
    start_damping: jax.Array  # (W,) of the starts
    fresh: jax.Array  # () bool, the noise is new, so that costs before it are no measure
    converged: jax.Array  # () bool, of the present round
    round: jax.Array  # () how often the noise was estimated
    steps: jax.Array  # () in all
    steps_in_round: jax.Array


def _prior(problem: Problem, theta: jax.Array) -> jax.Array:
    return problem.prior_weight * (theta - problem.prior_mean)


def _cost(problem: Problem, parts: Normal, theta: jax.Array) -> jax.Array:
    return jnp.sum(parts.cost) + jnp.sum(_prior(problem, theta) ** 2) / 2


def change(problem: Problem, found: _Search) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The damped step of the parameters (p,) within their limits, that of the starts (W, n), and what it promises
    ().
    """
    matrix, scores, solved = eliminated(found.parts, found.start_damping)
    weight = problem.prior_weight
    matrix = matrix + jnp.diag(weight**2)
    gradient = jnp.sum(scores, axis=0) + weight * _prior(problem, found.theta)
    diagonal = jnp.diagonal(matrix)
    sensitive = diagonal > 0
    scale = jnp.where(sensitive, 1 / jnp.sqrt(jnp.where(sensitive, diagonal, 1.0)), 1.0)
    scaled = scale[:, None] * matrix * scale[None] + jnp.diag(found.damping + jnp.where(sensitive, 0.0, 1.0))
    lower, upper = (problem.lower - found.theta) / scale, (problem.upper - found.theta) / scale
    step = solve_box_qp(_Pivoted(scaled), scale * gradient, lower, upper).x
    promised = -jnp.sum(scale * gradient * step) - jnp.sum(step * jnp.sum(scaled * step[None], axis=1)) / 2
    step = scale * step
    promised += jnp.sum(found.parts.g_start * solved[:, :, -1]) / 2
    return step, -solved[:, :, -1] - jnp.sum(solved[:, :, :-1] * step[None, None], axis=2), promised


@dataclass(frozen=True)
class _Model:
    """What the search asks of the environment, of all windows at theta (p,), starts (W, n), noise (n,)."""

    parts: Callable[[jax.Array, jax.Array, jax.Array], Normal]
    cost: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # (W,)


def _advance(problem: Problem, model: _Model, found: _Search) -> _Search:
    """One step, taken if it lowers the cost; at the end of a round the noise is estimated anew."""
    step, move, promised = change(problem, found)
    moves = jnp.where(found.fresh, 0.0, 1.0).astype(step.dtype)
    theta = jnp.clip(found.theta + moves * step, problem.lower, problem.upper)
    moved = found.starts + moves * move
    new, old = jax.vmap(lambda starts: model.cost(theta, starts, found.noise))(jnp.stack([moved, found.starts]))
    improved = new <= old
    starts = jnp.where(improved[:, None], moved, found.starts)
    parts = model.parts(theta, starts, found.noise)
    before, after = _cost(problem, found.parts, found.theta), _cost(problem, parts, theta)
    better = (after < before) | found.fresh
    share = jnp.where(found.round < NUM_ROUNDS - 1, ROUGH, FINE).astype(step.dtype)
    tolerance = jnp.maximum(LEAST_GAIN, share * before)
    done = (better & (before - after < tolerance)) | (~better & (promised < tolerance)) | (found.damping >= MOST)
    done = (done | (found.steps_in_round >= MAX_STEPS)) & ~found.fresh
    kept = jax.tree.map(
        lambda new, old: jnp.where(better, new, old), (theta, starts, parts), (found.theta, found.starts, found.parts)
    )
    restart = found.fresh | done
    return _Search(
        theta=kept[0],
        starts=kept[1],
        noise=jnp.where(done, left_over(problem, kept[2], found.noise), found.noise),
        parts=kept[2],
        damping=_adapted(found.damping, better, restart),
        start_damping=_adapted(found.start_damping, improved, restart),
        fresh=done,
        converged=jnp.where(done, found.steps_in_round < MAX_STEPS, found.converged),
        round=found.round + done,
        steps=found.steps + 1,
        steps_in_round=jnp.where(done, 0, found.steps_in_round + 1),
    )


def _adapted(damping: jax.Array, good: jax.Array, restart: jax.Array) -> jax.Array:
    """The next damping, after steps that were good or not; the first one again for new noise."""
    changed = jnp.clip(damping * jnp.where(good, 1 / CHANGE, CHANGE), LEAST, MOST)
    return jnp.where(restart, FIRST, changed).astype(damping.dtype)


def left_over(problem: Problem, parts: Normal, noise: jax.Array) -> jax.Array:
    """(n,) the noise that the errors show, for the components whose noise was not given."""
    count = jnp.sum(problem.windows.known, axis=(0, 1))  # (n,)
    unknowns = parts.g_theta.shape[1] + jnp.sum(jnp.diagonal(parts.start, axis1=1, axis2=2) > 0)
    share = jnp.maximum(1 - unknowns / jnp.maximum(jnp.sum(count), 1.0), 0.1)
    found = jnp.sqrt(jnp.sum(parts.square, axis=0) / jnp.maximum(count * share, 1.0))
    # Never quite zero, or one component would outweigh all others.
    found = jnp.maximum(found, 1e-6 * jnp.max(noise))
    return jnp.where(problem.noise_known | (count == 0), noise, found)


@partial(jax.jit, static_argnums=0)
def fit(parameters: Parameters, env: Environment, problem: Problem, theta: jax.Array, noise: jax.Array) -> Fit:
    """The parameters that fit best, from theta (p,) and a first guess of the noise (n,), which is estimated too."""
    model = _Model(partial(normal, parameters, env, problem), partial(costs, parameters, env, problem))
    starts = problem.windows.start
    shapes = jax.eval_shape(model.parts, theta, starts, noise)
    first = _Search(
        theta=theta,
        starts=starts,
        noise=noise,
        parts=jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), shapes),
        damping=jnp.asarray(FIRST, theta.dtype),
        start_damping=jnp.full(starts.shape[0], FIRST, theta.dtype),
        fresh=jnp.asarray(True),
        converged=jnp.asarray(False),
        round=jnp.asarray(0),
        steps=jnp.asarray(0),
        steps_in_round=jnp.asarray(0),
    )
    # The last pass of the loop is the evaluation with the last noise.
    found = jax.lax.while_loop(
        lambda found: (found.round < NUM_ROUNDS) | found.fresh, partial(_advance, problem, model), first
    )
    information, scores, _ = eliminated(found.parts, jnp.zeros_like(found.start_damping))
    cost = _cost(problem, found.parts, found.theta)
    return Fit(found.theta, found.starts, found.noise, information, scores, cost, found.steps, found.converged)
