"""The control phase of guided policy search: the best feedback that stays close to the policy, for one rollout.

    minimise  C(a)   such that   KL(p || pi) <= bound,

p and pi being distributions of trajectories: p acts by N(a_t + K_t (s - s_t), Sigma_t), pi by N(mu(s), Sigma), both
under the true dynamics. For a multiplier eta the Lagrangian C + eta KL is minimised over the means by iterated LQR,

    sum_t c_t(s_{t+1}, a_t) + eta/2 e_t' Sigma^-1 e_t,      e_t = a_t - mu(s_t),

to convergence, on the simulator and within the action limits, and over the covariances by Sigma_t = eta Q_aa,t^-1
(Levine & Abbeel 2014). Dual descent finds the eta for which the constraint holds with little to spare. The penalty
couples s_t and a_t, a cost of arriving s_{t+1} and a_t: so e_t is carried as a part of the state that is arrived in.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import linalg, trajopt
from pods_jax.algorithms.gps.kl_penalty import Mean, penalized_problem
from pods_jax.improvement import Unravel
from pods_jax.trajopt import Direction, LinearModel, Problem
from pods_jax.trajopt.lqr import Feedback, solve_lqr
from pods_jax.trajopt.problem import bounds, models
from pods_jax.types import LocalFeedback

MIN_DIVERGENCE_SHARE = 0.7
"""The search for eta ends where the divergence is between this share of the bound and the bound."""

MAX_DUAL_STEPS, MAX_STEPS = 16, 20
"""Values of eta that are tried, and steps of iterated LQR for each."""

TOLERANCE = 1e-4
"""Iterated LQR has converged when a step lowers the Lagrangian by less than this share of it."""

MAX_MULTIPLIER_FACTOR = 10.0
"""By which eta changes at most from one trial to the next."""

MIN_BRACKET_RATIO = 1.05
"""The search also ends where the bounds of eta are as near as this ratio: the divergence is not continuous in eta."""

MIN_MULTIPLIER, MAX_MULTIPLIER = 1e-8, 1e16
"""Between which eta is searched."""


@struct.dataclass
class LocalController:
    """A feedback controller near the policy."""

    actions: jax.Array  # (T, A) in action units, within the limits
    states: jax.Array  # (T, n + A) flattened, where they lead, and e_t = a_t - mu(s_t)
    gains: jax.Array  # (T, A, n)
    precision: jax.Array  # (T, A, A) the inverse of Sigma_t
    cost: jax.Array  # () of the actions
    divergence: jax.Array  # () KL(p || pi)
    multiplier: jax.Array  # () eta, in units of the cost
    num_trials: jax.Array  # () int32, trajectories simulated

    def feedback(self, unravel: Unravel) -> LocalFeedback:
        """How to act near its trajectory, an error of an action being weighed by the precision."""
        states = jax.vmap(unravel)(self.states[:, : self.gains.shape[2]])
        return LocalFeedback(self.actions, states, self.gains, self.precision)


@dataclass(frozen=True, eq=False)
class Lagrangian:
    """The problem of one rollout of the policy, for any multiplier."""

    base: Problem  # of improving that rollout, without a penalty
    mean: Mean  # of the policy
    precision: jax.Array  # (A, A) the inverse of the policy's covariance Sigma

    def problem(self, multiplier: jax.Array, actions: jax.Array, states: jax.Array) -> Problem:
        """The penalised problem of actions (T, A) that lead to flattened states and deviations (T, n + A)."""
        return penalized_problem(self.base, self.mean, multiplier * self.precision, actions, states)

    def minimize(self, multiplier: jax.Array, actions: jax.Array, states: jax.Array) -> LocalController:
        """The minimum of the Lagrangian that iterated LQR finds from these actions."""

        def unfinished(carry):
            _, converged, count, _ = carry
            return ~converged & (count < MAX_STEPS)

        def advance(carry):
            controller, _, count, (actions, states) = carry
            problem = self.problem(multiplier, actions, states)
            step_models = models(problem)
            feedback = solve_lqr(*step_models, *bounds(problem))
            direction = Direction(
                feedback.step, feedback.gains, feedback.action_hessian, feedback.slope, closed_loop=True
            )
            cost = _total(problem)
            after = trajopt.line_search(problem, direction, cost)
            controller = LocalController(
                actions=actions,
                states=states,
                gains=feedback.gains[:, :, : -actions.shape[1]],
                precision=feedback.action_hessian / multiplier,
                cost=cost - multiplier * self._penalty(states, actions.shape[1]),
                divergence=self.divergence(step_models[0], feedback, states, multiplier),
                multiplier=multiplier,
                num_trials=controller.num_trials + after.num_trials,
            )
            # The first step is always taken: many small changes of eta would otherwise move nothing.
            converged = (count > 0) & ~(cost - after.cost > TOLERANCE * jnp.abs(cost))
            return controller, converged, count + 1, (after.actions, after.states)

        # The feedback is linear around the trajectory that it was computed for, so the last step is not taken.
        start = (without_feedback(actions, states), jnp.asarray(False), 0, (actions, states))
        return jax.lax.while_loop(unfinished, advance, start)[0]

    def divergence(self, model: Any, feedback: Feedback, states: jax.Array, multiplier: jax.Array) -> jax.Array:
        """() KL(p || pi) of two linear-Gaussian controllers with the same linear dynamics, from the same start.

        model: the KlPenalizedModel of each step, leaves (T, ...).
        """
        size = model.gains.shape[2]

        def advance(state_covariance, inputs):
            model, gains, action_hessian, deviation = inputs
            gains = gains[:, :size]
            covariance = linalg.inverse(action_hessian / multiplier)
            relative, lead = self.precision @ covariance, gains - model.gains
            number = jnp.trace(relative) - gains.shape[0] - jnp.linalg.slogdet(relative)[1]
            number += deviation @ self.precision @ deviation
            number += jnp.trace(self.precision @ lead @ state_covariance @ lead.T)
            return _next_covariance(model.model, gains, covariance, state_covariance), number / 2

        inputs = (model, feedback.gains, feedback.action_hessian, states[:, size:])
        return jnp.sum(jax.lax.scan(advance, jnp.zeros((size, size), states.dtype), inputs)[1])

    def _penalty(self, states: jax.Array, num_actions: int) -> jax.Array:
        deviations = states[:, -num_actions:]
        return jnp.einsum("ta,ab,tb->", deviations, self.precision, deviations) / 2


def control_phase(
    lagrangian: Lagrangian, cost: jax.Array, bound: jax.Array, multiplier: jax.Array
) -> LocalController:
    """The best controller with a divergence of at most `bound` that dual descent finds, starting from `multiplier`.

    cost: () of the policy's own rollout. If no controller is better, it is the policy, at divergence zero.
    """
    base = lagrangian.base
    policy = without_feedback(base.actions, jnp.concatenate([base.states, jnp.zeros_like(base.actions)], axis=1))
    policy = dataclasses.replace(
        policy,
        gains=jax.vmap(jax.jacfwd(lagrangian.mean))(base.step_starts),
        precision=jnp.broadcast_to(lagrangian.precision, policy.precision.shape),
        cost=cost,
        multiplier=multiplier,
    )

    def unfinished(carry):
        best, lower, upper, _, count = carry
        return (
            (best.divergence < MIN_DIVERGENCE_SHARE * bound)
            & (upper > MIN_BRACKET_RATIO * lower)
            & (count < MAX_DUAL_STEPS)
        )

    def search(carry):
        best, lower, upper, multiplier, count = carry
        found = lagrangian.minimize(multiplier, best.actions, best.states)
        near = found.divergence <= bound  # False for NaN
        better = near & (found.divergence > best.divergence) & (found.cost <= policy.cost)
        chosen = jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)
        chosen = dataclasses.replace(chosen, num_trials=best.num_trials + found.num_trials)
        lower, upper = jnp.where(near, lower, multiplier), jnp.where(near, multiplier, upper)
        return chosen, lower, upper, between(lower, upper, multiplier), count + 1

    lower, upper = (jnp.asarray(value, multiplier.dtype) for value in (MIN_MULTIPLIER, MAX_MULTIPLIER))
    return jax.lax.while_loop(unfinished, search, (policy, lower, upper, multiplier, 0))[0]


def between(lower: jax.Array, upper: jax.Array, last: jax.Array) -> jax.Array:
    """() the eta to try after `last`: amid the bounds, but within the factor `MAX_MULTIPLIER_FACTOR` of `last`."""
    middle = jnp.sqrt(lower) * jnp.sqrt(upper)
    return jnp.clip(middle, last / MAX_MULTIPLIER_FACTOR, last * MAX_MULTIPLIER_FACTOR)


def without_feedback(actions: jax.Array, states: jax.Array) -> LocalController:
    """A controller with such actions (T, A) and joint states (T, n + A), everything else zero."""
    horizon, num_actions = actions.shape
    zero = jnp.zeros((), actions.dtype)
    return LocalController(
        actions=actions,
        states=states,
        gains=jnp.zeros((horizon, num_actions, states.shape[1] - num_actions), actions.dtype),
        precision=jnp.zeros((horizon, num_actions, num_actions), actions.dtype),
        cost=zero,
        divergence=zero,
        multiplier=zero,
        num_trials=jnp.asarray(0, jnp.int32),
    )


def _total(problem: Problem) -> jax.Array:
    return jnp.sum(jax.vmap(problem.objective.cost)(problem.states, problem.actions))


def _next_covariance(
    model: LinearModel, gains: jax.Array, covariance: jax.Array, state_covariance: jax.Array
) -> jax.Array:
    """(n, n) the covariance of the next state: (A + B K) S (A + B K)' + B Sigma B'."""
    no_state = jnp.zeros((state_covariance.shape[0], covariance.shape[0]), covariance.dtype)
    half = model.product(state_covariance, gains @ state_covariance).T
    noise = model.product(no_state, covariance).T
    return model.product(half, gains @ half) + model.product(jnp.zeros_like(state_covariance), noise)
