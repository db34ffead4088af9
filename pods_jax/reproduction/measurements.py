"""What no training tells, measured: what the paper says of derivatives, and what the best actions do."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax.envs.environment import Environment, State
from pods_jax.evaluation import best_actions, evaluate_actions, heldout_states
from pods_jax.rollouts import replay, step_starts
from pods_jax.types import Trajectory

REPETITIONS = 5
"""How often each program is timed; the fastest counts."""


def measure(env: Environment, num_rollouts: int = 100) -> dict[str, float]:
    """Of rollouts with zero actions from held-out states: what the paper claims of their derivatives.

    indefinite_share: of those whose Hessian of the cost by all actions has a negative eigenvalue, beyond rounding.
    jacobian_ratio: the time of the derivatives of all steps, relative to that of the rollouts themselves.
    """
    states, actions = _at_rest(env, num_rollouts)
    roll = partial(jax.vmap(replay, in_axes=(None, 0, 0)), env)
    trajectories = roll(states, actions)
    negative = jax.lax.map(lambda pair: is_indefinite(env, *pair), (states, actions), batch_size=20)
    rollout_time = fastest(jax.jit(roll), states, actions)
    jacobian_time = fastest(jax.jit(jax.vmap(partial(jacobians, env))), states, trajectories)
    return {"indefinite_share": float(jnp.mean(negative)), "jacobian_ratio": jacobian_time / rollout_time}


def best(env: Environment, num_rollouts: int = 1000, num_draws: int = 8) -> dict[str, float]:
    """The metrics of `evaluate_actions` of the best actions that are found for each held-out state.

    From zero and from random actions: a pendulum can be stopped in several ways, each a local optimum.
    """
    states, actions = _at_rest(env, num_rollouts)
    actions, values, _ = best_actions(env, states, actions)
    for key in jax.random.split(jax.random.key(0), num_draws):
        limit = jnp.broadcast_to(env.action_limit, actions.shape)
        drawn = jax.random.uniform(key, actions.shape, actions.dtype, -limit, limit)
        others, their_values, _ = best_actions(env, states, drawn)
        better = (their_values > values) | jnp.isnan(values)
        actions = jnp.where(better[:, None, None], others, actions)
        values = jnp.where(better, their_values, values)
    return evaluate_actions(env, states, actions)


def is_indefinite(env: Environment, state: State, actions: jax.Array) -> jax.Array:
    """() whether the exact Hessian of the cost by the actions (T, A) has a negative eigenvalue."""

    def cost(flat):
        return -jnp.sum(replay(env, state, flat.reshape(actions.shape)).reward)

    hessian = jax.jacfwd(jax.jacfwd(cost))(actions.reshape(-1))  # twice forwards: see `visual.jacobians`
    eigenvalues = jnp.linalg.eigvalsh((hessian + hessian.T) / 2)
    rounding = actions.size * jnp.finfo(actions.dtype).eps * jnp.max(jnp.abs(eigenvalues))
    return eigenvalues[0] < -rounding


def jacobians(env: Environment, state: State, trajectory: Trajectory) -> Any:
    """(T, n, n) and (T, A, n): the derivatives of all steps of a trajectory from `state`, dense and transposed."""
    began = step_starts(state, trajectory.state)
    models = jax.vmap(env.linearize)(began, trajectory.action, trajectory.state)
    size = sum(leaf.size for leaf in jax.tree.leaves(state))
    identity = jnp.eye(size, dtype=trajectory.action.dtype)
    return jax.vmap(lambda model: model.transpose_product(identity))(models)


def fastest(program: Callable[..., Any], *inputs: Any) -> float:
    """[s] of one call, compiled before."""
    jax.block_until_ready(program(*inputs))
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        jax.block_until_ready(program(*inputs))
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _at_rest(env: Environment, num_rollouts: int) -> tuple[State, jax.Array]:
    """The held-out states and, for each, actions (T, A) of zero."""
    actions = jnp.zeros((num_rollouts, env.horizon, env.action_size), env.action_limit.dtype)
    return heldout_states(env, num_rollouts), actions
