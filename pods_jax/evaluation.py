"""How good a policy is, on initial states that stay the same and that training never sees: held-out states.

The yardstick is the optimality gap, (J* - J(pi)) / |J*|, where J* is the mean over the held-out states of the
best return that box-constrained Gauss-Newton, run to convergence, finds: from the policy's own actions, from zero,
from the guess of being at the goal where the environment names one, and from as many random actions as are asked for.
It needs no knowledge of anybody's constants.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import checks
from pods_jax.envs.environment import Environment
from pods_jax.envs.trial import check_reports
from pods_jax.improvement import Improvement, optimize
from pods_jax.rollouts import (
    as_pytree,
    check_environment,
    check_fits,
    check_policy,
    random_actions,
    replay,
    rollout,
    step_starts,
)
from pods_jax.types import Policy, Trajectory

HELDOUT_NAME = 0x7E57BED
"""Folded into the seed of held-out states, so that no training seed can draw the same initial states."""

SEARCH_BATCH, SEARCH_STEPS, SEARCH_ROUNDS = 100, 8, 15
"""The search for an optimum: rollouts at once, steps in a round, rounds."""

GUESS_STEPS = 30
"""Steps from a guess, before the rounds."""

RESTART_NAME = 0x5EA6C4
"""Folded into the seed of held-out states, for the random actions that searches restart from."""


@struct.dataclass
class HeldOutSet:
    """Initial states that training never sees, and how well each could be handled."""

    states: Any  # leaves (k, ...)
    optimum: jax.Array  # (k,) return of the best local optimum found, NaN if none was searched
    last_gain: jax.Array | float = float("nan")  # of the mean optimum by the last restart, relative; NaN without any
    num_failed: jax.Array | int = 0  # searches that ended where derivatives are not finite
    searched: bool = struct.field(pytree_node=False, default=True)


def heldout_states(env: Environment, num_rollouts: int = 1000, seed: int = 0) -> Any:
    """The held-out initial states, leaves (num_rollouts, ...); the same at every call.

    Raises InputError for what is no environment, no count or no seed.
    """
    check_environment(env)
    num_rollouts = checks.integer("num_rollouts", num_rollouts, at_least=1)
    key = jax.random.fold_in(jax.random.key(checks.seed("seed", seed)), HELDOUT_NAME)
    return jax.vmap(env.reset)(jax.random.split(key, num_rollouts))


def make_heldout_set(
    env: Environment, num_rollouts: int = 1000, seed: int = 0, search: bool = True, num_restarts: int = 0
) -> HeldOutSet:
    """Held-out states with their optima: a search by trajectory optimization, the slow part of an evaluation.

    search: False leaves it out, for large systems; the optimality gap is then NaN. num_restarts: further searches of
    each state, from random actions, in turn new ones in every step and few that are held for long.
    """
    search, num_restarts = checks.boolean("search", search), checks.integer("num_restarts", num_restarts, at_least=0)
    states = heldout_states(env, num_rollouts, seed)
    if not search:
        return HeldOutSet(states, jnp.full(num_rollouts, jnp.nan, env.action_limit.dtype), searched=False)
    zero = jnp.zeros((num_rollouts, env.horizon, env.action_size), env.action_limit.dtype)
    _, best, failed = best_actions(env, states, zero)
    num_failed, last_gain = jnp.sum(failed), float("nan")
    if env.simulator.goal is not None:
        _, others, failed = best_actions(env, states, zero, from_goal=True)
        best, num_failed = jnp.fmax(best, others), num_failed + jnp.sum(failed)
    key = jax.random.fold_in(jax.random.key(seed), RESTART_NAME)
    for restart in range(num_restarts):
        actions = random_actions(env, jax.random.fold_in(key, restart), num_rollouts, held=bool(restart % 2))
        _, others, failed = best_actions(env, states, actions)
        better, num_failed = jnp.fmax(best, others), num_failed + jnp.sum(failed)
        best, last_gain = better, float(gap(jnp.mean(better), jnp.mean(best)))
    return HeldOutSet(states, best, last_gain, num_failed)


def evaluate(
    env: Environment,
    policy: Policy,
    num_rollouts: int = 1000,
    seed: int = 0,
    heldout: HeldOutSet | None = None,
    num_restarts: int = 0,
    *,
    test_bed: None = None,
) -> dict[str, float]:
    """Metrics of a policy on `num_rollouts` held-out initial states.

    return_mean, return_std: of the return. terminal_ and the name of each quantity that `Environment.measure` gives:
    its mean in the final states. action_magnitude: the mean over states and steps, in action units. With `_std`: the
    standard deviations over the states. optimum_mean, optimality_gap: see the module. nonconverged_steps: steps whose
    implicit equation was not solved. nonfinite_rollouts: rollouts with a NaN. nonfinite_derivatives: searches for
    an optimum that ended where a derivative is not finite, such as a kink of the reward: optimum and gap may be too
    small then. optimum_last_gain: by how much the last
    restart raised the mean optimum, relative to it; with num_restarts only. heldout: of `make_heldout_set`, made anew
    from `num_rollouts`, `seed` and `num_restarts` if not given. test_bed: what it was called before. Raises
    InputError for what is no environment, no policy or no held-out set.
    """
    if test_bed is not None:
        raise checks.InputError("test_bed: is called heldout now, evaluate(env, policy, heldout=...)")
    _check(env, policy, heldout)
    num_rollouts = checks.integer("num_rollouts", num_rollouts, at_least=1)
    seed, num_restarts = checks.seed("seed", seed), checks.integer("num_restarts", num_restarts, at_least=0)
    heldout = heldout or make_heldout_set(env, num_rollouts, seed, num_restarts=num_restarts)
    trajectories = _rollouts(env, as_pytree(policy), heldout.states)
    best = heldout.optimum
    if heldout.searched:
        _, others, failed = best_actions(env, heldout.states, trajectories.action)
        heldout = dataclasses.replace(heldout, num_failed=heldout.num_failed + jnp.sum(failed))
        best = jnp.fmax(best, others)
    return _numbers(env, dataclasses.replace(heldout, optimum=best), trajectories)


def monitor(env: Environment, policy: Policy, heldout: HeldOutSet) -> dict[str, float]:
    """`evaluate` without the search from the policy's own actions: quick, for use between chunks.

    Each optimum is the better one of the search from zero and the policy's own return, so the gap is a lower bound.
    Raises InputError as `evaluate`.
    """
    _check(env, policy, heldout)
    trajectories = _rollouts(env, as_pytree(policy), heldout.states)
    best = heldout.optimum
    if heldout.searched:
        best = jnp.fmax(best, jnp.sum(trajectories.reward, axis=1))
    return _numbers(env, dataclasses.replace(heldout, optimum=best), trajectories)


def gap(optimum: jax.Array, value: jax.Array) -> jax.Array:
    """() how far a mean return is below the optimum, relative to the optimum's magnitude."""
    return (optimum - value) / jnp.maximum(jnp.abs(optimum), jnp.finfo(optimum.dtype).tiny)


def evaluate_actions(env: Environment, states: Any, actions: jax.Array) -> dict[str, float]:
    """The metrics of `evaluate` that need no optimum, of actions (k, T, A) taken from k states whatever happens."""
    trajectories = jax.vmap(partial(replay, env))(states, actions)
    return _as_floats(_summarize(env, states, trajectories))


def optima(env: Environment, states: Any, actions: jax.Array) -> jax.Array:
    """(k,) the returns of the local optima reached from actions (k, T, A); never below theirs."""
    return best_actions(env, states, actions)[1]


def best_actions(
    env: Environment, states: Any, actions: jax.Array, from_goal: bool = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(k, T, A), (k,) and (k,): local optima from actions (k, T, A), their returns, and which searches failed.

    One fails where derivatives are not finite; what it returns is then no optimum.

    from_goal: whether the search starts from the guess that the trajectory is at `Environment.goal` all the time.
    A batch under `vmap` waits for its slowest member, so the search goes in rounds of a few steps, and those that
    have converged or failed drop out in between.
    """
    num_states = actions.shape[0]
    best, values, failed = np.array(actions), np.zeros(num_states, actions.dtype), np.zeros(num_states, bool)
    pending = np.arange(num_states)
    for number in range(SEARCH_ROUNDS):
        search = _search_from_goal if from_goal and number == 0 else _search
        converged = np.zeros(num_states, bool)
        for first in range(0, len(pending), SEARCH_BATCH):
            chosen = pending[first : first + SEARCH_BATCH]
            padded = np.resize(chosen, min(SEARCH_BATCH, num_states))  # one shape, compiled once
            initial = jax.tree.map(lambda leaf, padded=padded: leaf[padded], states)
            better, done = search(env, initial, best[padded])
            best[padded], values[padded], converged[padded] = better.actions, better.value, done
            failed[padded] = better.nonfinite_derivatives
        pending = pending[~converged[pending] & ~failed[pending]]
    return jnp.asarray(best), jnp.asarray(values), jnp.asarray(failed)


@jax.jit
def _search(env: Environment, states: Any, actions: jax.Array) -> tuple[Improvement, jax.Array]:
    return jax.vmap(lambda state, start: optimize(env, state, start, max_steps=SEARCH_STEPS))(states, actions)


@jax.jit
def _search_from_goal(env: Environment, states: Any, actions: jax.Array) -> tuple[Improvement, jax.Array]:
    def find(state: Any, start: jax.Array) -> tuple[Improvement, jax.Array]:
        core, state = env.core(state)
        guess = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (env.horizon, *leaf.shape)), core.goal)
        return optimize(core, state, start, max_steps=GUESS_STEPS, guess=guess)

    return jax.vmap(find)(states, actions)


def _check(env: Environment, policy: Policy, heldout: HeldOutSet | None) -> None:
    check_environment(env)
    check_policy(policy)
    check_fits(env, policy)
    check_reports(env)
    if not isinstance(heldout, HeldOutSet | None):
        raise checks.InputError(f"heldout is a {type(heldout).__name__}: must be what make_heldout_set returns")


def _numbers(env: Environment, heldout: HeldOutSet, trajectories: Trajectory) -> dict[str, float]:
    summary = _summarize(env, heldout.states, trajectories)
    summary["optimum_mean"] = jnp.mean(heldout.optimum)
    summary["optimality_gap"] = gap(summary["optimum_mean"], summary["return_mean"])
    summary["nonfinite_derivatives"] = jnp.asarray(heldout.num_failed)
    restarted = {"optimum_last_gain": heldout.last_gain} if np.isfinite(heldout.last_gain) else {}
    return _as_floats(summary | restarted)


def _as_floats(summary: dict[str, jax.Array]) -> dict[str, float]:
    return {name: float(value) for name, value in summary.items()}


def _spread(named: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Mean and standard deviation of each quantity (k,) over the states."""
    means = {name: jnp.mean(values) for name, values in named.items()}
    return means | {f"{name}_std": jnp.std(values) for name, values in named.items()}


@jax.jit
def _rollouts(env: Environment, policy: Policy, states: Any) -> Trajectory:
    return jax.vmap(lambda state: rollout(env, policy, state))(states)


@jax.jit
def _summarize(env: Environment, states: Any, trajectories: Trajectory) -> dict[str, jax.Array]:
    returns = jnp.sum(trajectories.reward, axis=1)
    final = jax.tree.map(lambda leaf: leaf[:, -1], trajectories.state)
    measured = jax.vmap(env.measure)(final)
    before = jax.vmap(step_starts)(states, trajectories.state)
    errors = jax.vmap(jax.vmap(env.step_error))(before, trajectories.action, trajectories.state)
    return {
        "return_mean": jnp.mean(returns),
        "return_std": jnp.std(returns),
        **_spread({f"terminal_{name}": values for name, values in measured.items()}),
        **_spread({"action_magnitude": jnp.mean(jnp.sqrt(jnp.sum(trajectories.action**2, axis=-1)), axis=1)}),
        "nonconverged_steps": jnp.sum(~(errors <= 1)),
        "nonfinite_rollouts": jnp.sum(~jnp.isfinite(returns)),
    }
