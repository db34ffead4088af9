"""What the paper says of derivatives, measured: how often the exact Hessian is indefinite, what a Jacobian costs."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax.envs.environment import Environment, State
from pods_jax.evaluation import bed
from pods_jax.rollout import replay, starts
from pods_jax.types import Trajectory

REPETITIONS = 5
"""How often each program is timed; the fastest counts."""


def measure(env: Environment, num_rollouts: int = 100) -> dict[str, float]:
    """Of rollouts with zero actions from the test bed: what the paper claims of their derivatives.

    indefinite_share: of those whose Hessian of the cost by all actions has a negative eigenvalue, beyond rounding.
    jacobian_ratio: the time of the derivatives of all steps, relative to that of the rollouts themselves.
    """
    states = bed(env, num_rollouts)
    actions = jnp.zeros((num_rollouts, env.horizon, env.action_size), env.action_limit.dtype)
    roll = partial(jax.vmap(replay, in_axes=(None, 0, 0)), env)
    trajectories = roll(states, actions)
    negative = jax.lax.map(lambda pair: is_indefinite(env, *pair), (states, actions), batch_size=20)
    rollout_time = fastest(jax.jit(roll), states, actions)
    jacobian_time = fastest(jax.jit(jax.vmap(partial(jacobians, env))), states, trajectories)
    return {"indefinite_share": float(jnp.mean(negative)), "jacobian_ratio": jacobian_time / rollout_time}


def is_indefinite(env: Environment, state: State, actions: jax.Array) -> jax.Array:
    """() whether the exact Hessian of the cost by the actions (T, A) has a negative eigenvalue."""

    def cost(flat):
        return -jnp.sum(replay(env, state, flat.reshape(actions.shape)).reward)

    hessian = jax.jacfwd(jax.jacfwd(cost))(actions.reshape(-1))  # twice forwards: see `anatomy`
    eigenvalues = jnp.linalg.eigvalsh((hessian + hessian.T) / 2)
    rounding = actions.size * jnp.finfo(actions.dtype).eps * jnp.max(jnp.abs(eigenvalues))
    return eigenvalues[0] < -rounding


def jacobians(env: Environment, state: State, trajectory: Trajectory) -> Any:
    """(T, n, n) and (T, A, n): the derivatives of all steps of a trajectory from `state`, dense and transposed."""
    began = starts(state, trajectory.state)
    models = jax.vmap(env.linearize)(began, trajectory.action, trajectory.state)
    size = sum(leaf.size for leaf in jax.tree.leaves(state))
    identity = jnp.eye(size, dtype=trajectory.action.dtype)
    return jax.vmap(lambda model: model.pull_back(identity))(models)


def fastest(program: Callable[..., Any], *inputs: Any) -> float:
    """[s] of one call, compiled before."""
    jax.block_until_ready(program(*inputs))
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        jax.block_until_ready(program(*inputs))
        seconds.append(time.perf_counter() - started)
    return min(seconds)
