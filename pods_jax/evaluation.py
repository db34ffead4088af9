"""How good a policy is, on a fixed bed of initial states that training never sees.

The yardstick is the optimality gap, (J* - J(pi)) / |J*|, where J* is the mean over the bed of the best return
that box-constrained Gauss-Newton, run to convergence, finds from the policy's own actions and from zero. It needs no
knowledge of anybody's constants.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax import checks
from pods_jax.envs.environment import Environment
from pods_jax.rollout import as_pytree, optimize, rollout, starts
from pods_jax.types import Policy, Trajectory

TEST_BED_NAME = 0x7E57BED
"""Folded into the seed of the bed, so that no training seed can draw the same initial states."""

OPTIMIZE_AT_ONCE = 100
"""Rollouts that the search for the open-loop optimum handles together; a batch waits for its slowest."""


def bed(env: Environment, num_rollouts: int = 1000, seed: int = 0) -> Any:
    """The initial states of the test bed, leaves (num_rollouts, ...); the same at every call."""
    checks.integer("num_rollouts", num_rollouts, at_least=1)
    key = jax.random.fold_in(jax.random.key(checks.seed("seed", seed)), TEST_BED_NAME)
    return jax.vmap(env.reset)(jax.random.split(key, num_rollouts))


def evaluate(env: Environment, policy: Policy, num_rollouts: int = 1000, seed: int = 0) -> dict[str, float]:
    """Metrics of a policy on the test bed of `num_rollouts` initial states.

    return_mean, return_std: of the return. terminal_kinetic_energy [J], terminal_distance [m], action_magnitude
    [m/s]: means over the bed, of the final state, the final state, and all actions. optimality_gap: see the module.
    nonconverged_steps: steps whose implicit equation was not solved. nonfinite_rollouts: rollouts with a NaN.
    """
    states = bed(env, num_rollouts, seed)
    trajectories = _rollouts(env, as_pytree(policy), states)
    zero = jnp.zeros_like(trajectories.action)
    best = jnp.maximum(optima(env, states, trajectories.action), optima(env, states, zero))
    summary = _summarize(env, states, trajectories)
    optimum = jnp.mean(best)
    summary["optimum_mean"] = optimum
    summary["optimality_gap"] = gap(optimum, summary["return_mean"])
    return {name: float(value) for name, value in summary.items()}


def make_monitor(
    env: Environment, num_rollouts: int = 1000, seed: int = 0
) -> Callable[[Policy], dict[str, float]]:
    """A quick `evaluate` for use between chunks: policy -> return_mean, return_std, optimality_gap.

    Its optimum is searched from zero actions only, once, here; so its gap is a lower bound of `evaluate`'s.
    """
    states = bed(env, num_rollouts, seed)
    optimum = jnp.mean(optima(env, states, jnp.zeros((num_rollouts, env.horizon, env.action_size))))

    def monitor(policy: Policy) -> dict[str, float]:
        summary = _summarize(env, states, _rollouts(env, as_pytree(policy), states))
        summary["optimality_gap"] = gap(optimum, summary["return_mean"])
        summary["optimum_mean"] = optimum
        return {name: float(value) for name, value in summary.items()}

    return monitor


def gap(optimum: jax.Array, value: jax.Array) -> jax.Array:
    """() how far a mean return is below the optimum, relative to the optimum's magnitude."""
    return (optimum - value) / jnp.maximum(jnp.abs(optimum), jnp.finfo(optimum.dtype).tiny)


@partial(jax.jit, static_argnames="batch_size")
def optima(env: Environment, states: Any, actions: jax.Array, batch_size: int = OPTIMIZE_AT_ONCE) -> jax.Array:
    """(k,) the returns of the local optima reached from actions (k, T, A); never below theirs."""
    return jax.lax.map(lambda one: optimize(env, *one).value, (states, actions), batch_size=batch_size)


@jax.jit
def _rollouts(env: Environment, policy: Policy, states: Any) -> Trajectory:
    return jax.vmap(lambda state: rollout(env, policy, state))(states)


@jax.jit
def _summarize(env: Environment, states: Any, trajectories: Trajectory) -> dict[str, jax.Array]:
    returns = jnp.sum(trajectories.reward, axis=1)
    final = jax.tree.map(lambda leaf: leaf[:, -1], trajectories.state)
    measured = jax.vmap(env.measure)(final)
    before = jax.vmap(starts)(states, trajectories.state)
    errors = jax.vmap(jax.vmap(env.step_error))(before, trajectories.action, trajectories.state)
    return {
        "return_mean": jnp.mean(returns),
        "return_std": jnp.std(returns),
        **{f"terminal_{name}": jnp.mean(values) for name, values in measured.items()},
        "action_magnitude": jnp.mean(jnp.sqrt(jnp.sum(trajectories.action**2, axis=-1))),
        "nonconverged_steps": jnp.sum(~(errors <= 1)),
        "nonfinite_rollouts": jnp.sum(~jnp.isfinite(returns)),
    }
