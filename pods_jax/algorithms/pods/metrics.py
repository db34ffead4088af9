"""The metrics of one epoch: where return was gained, and how much of it reached the policy."""

import jax
import jax.numpy as jnp

from pods_jax.algorithms.pods.guard import Guarded
from pods_jax.algorithms.pods.teacher import Teacher
from pods_jax.envs.environment import Environment
from pods_jax.improvement import Improvement
from pods_jax.rollouts import healthy_mean
from pods_jax.types import Metrics, Trajectory

STEP_SIZE_BINS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Upper ends of the bins of the step-size histogram; the first counts "no step", the last full steps."""


def improved_metrics(env: Environment, better: Improvement, healthy: jax.Array) -> Metrics:
    """Metrics of k trajectories and their improvements, leaves (k, ...).

    What was simulated are the rollouts of the policy and the trials of the line searches; derivatives along a
    trajectory that was simulated are no steps.
    """
    simulated = healthy.shape[0] + jnp.sum(better.num_trials)
    return _trajectory_metrics(
        env,
        better.actions,
        better.value_before,
        better.value,
        better.step_size,
        healthy,
        simulated,
        jnp.sum(better.nonfinite_derivatives),
    )


def visited_metrics(
    env: Environment, trajectories: Trajectory, healthy: jax.Array, num_more: int, num_failed: jax.Array
) -> Metrics:
    """The same metrics of k trajectories that were not improved, leaves (k, ...); `num_more` were simulated too.

    num_failed: () gradients of the policy that were not finite.
    """
    returns = jnp.sum(trajectories.reward, axis=1)
    simulated = healthy.shape[0] + num_more
    return _trajectory_metrics(
        env, trajectories.action, returns, returns, jnp.zeros_like(returns), healthy, simulated, num_failed
    )


def teacher_metrics(env: Environment, teacher: Teacher, failed: jax.Array) -> Metrics:
    """The same metrics of the k trajectories of a teacher; those without gaps are healthy.

    failed: (k,) whether derivatives along one were not finite.
    """
    best, value = teacher.best, -teacher.best.cost
    num_trials = jnp.sum(best.num_trials)
    return _trajectory_metrics(
        env, best.actions, value, value, best.step_size, teacher.is_whole, num_trials, jnp.sum(failed)
    )


def _trajectory_metrics(
    env: Environment,
    actions: jax.Array,
    before: jax.Array,
    after: jax.Array,
    step_size: jax.Array,
    healthy: jax.Array,
    simulated: jax.Array | int,
    num_failed: jax.Array,
) -> Metrics:
    """Of actions (k, T, A), returns before and after (k,) and steps (k,), means over the healthy (k,)."""
    ratio = jnp.abs(actions) / env.action_limit[None, None]
    return {
        "value": healthy_mean(before, healthy),
        "value_improved": healthy_mean(after, healthy),
        "improved_fraction": healthy_mean((step_size > 0).astype(before.dtype), healthy),
        "worse_rollouts": jnp.sum(after < before),
        "step_size_mean": healthy_mean(step_size, healthy),
        "step_size_histogram": _histogram(step_size),
        "saturated_fraction": healthy_mean(jnp.mean(ratio >= 1 - 1e-3, axis=(1, 2)), healthy),
        "largest_action_ratio": jnp.max(jnp.where(healthy[:, None, None], ratio, 0.0)),
        "unhealthy_rollouts": jnp.sum(~healthy),
        "nonfinite_derivatives": num_failed,
        "environment_steps": jnp.asarray(env.horizon * simulated, jnp.int32),
    }


def epoch_metrics(
    env: Environment,
    trajectories: Metrics,
    healthy: jax.Array,
    losses: jax.Array,
    guarded: Guarded,
    value_fitted: jax.Array,
) -> Metrics:
    """All metrics of an epoch of k rollouts, the rollouts of the fitted policy counted among environment_steps.

    trajectories: by `improved_metrics` or `visited_metrics`. healthy: (k,). losses: of each gradient step.
    value_fitted: (k,) return of the fitted policy from the same initial states.
    """
    before, gained = trajectories["value"], trajectories["value_improved"] - trajectories["value"]
    after = healthy_mean(value_fitted, healthy)
    return {
        **trajectories,
        "value_fitted": after,
        "retention": jnp.where(gained > 0, (after - before) / jnp.where(gained > 0, gained, 1.0), 1.0),
        "fit_loss_before": losses[0],
        "fit_loss": losses[-1],
        "environment_steps": trajectories["environment_steps"] + env.horizon * value_fitted.size,
        "guard_value": guarded.value,
        "guard_acted": guarded.acted,
    }


def _histogram(step_size: jax.Array) -> jax.Array:
    """(6,) how many step sizes fall at or below each of STEP_SIZE_BINS and above the one before."""
    upper = jnp.asarray(STEP_SIZE_BINS, step_size.dtype)
    at_most = jnp.sum(step_size[:, None] <= upper[None], axis=0)
    return jnp.diff(at_most, prepend=jnp.zeros_like(at_most[:1]))
