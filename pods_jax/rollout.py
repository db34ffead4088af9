"""Trajectories of an environment: by a policy, by given actions, and better ones.

Everything here is written for one trajectory and compiled; use `jax.vmap` for a batch.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.flatten_util import ravel_pytree

from pods_jax import checks, trajopt
from pods_jax.envs.environment import Environment
from pods_jax.trajopt import directions
from pods_jax.types import Policy, Trajectory


@struct.dataclass
class Improvement:
    """Better actions, the trajectory they give, and how to react near it."""

    actions: jax.Array  # (T, A) [m/s], within the limits
    state: Any  # every leaf has a leading T: where the actions lead
    value: jax.Array  # () return of the actions, never below `value_before`
    value_before: jax.Array  # () return of the given actions
    step_size: jax.Array  # () accepted by the line search, 0 if it found nothing better
    gains: jax.Array  # (T, A, n) reaction to deviations of the flattened state; zero for directions without feedback
    curvature: jax.Array  # (T, A, A) how much an error of one action costs; identity for these
    slope: jax.Array  # () derivative of the cost along the direction, 0 at an optimum
    num_trials: jax.Array  # () int32, trajectories that the line searches simulated
    method: str = struct.field(pytree_node=False)  # what was taken, also where "auto" chose it


def rollout(env: Environment, policy: Policy, state: Any) -> Trajectory:
    """Follows a policy from `state` for one episode.

    A policy that is a pytree (as `algorithm.policy` returns) is compiled once for all its parameters; any
    other callable is compiled once for each new object.
    """
    return _rollout(env, as_pytree(policy), state)


@jax.jit
def replay(env: Environment, state: Any, actions: jax.Array) -> Trajectory:
    """Takes the given actions (T, A) [m/s] from `state`. Raises InputError on another shape."""
    _check_actions(env, actions)

    def advance(state, action):
        return _transition(env, state, action)

    return _weighted(env, jax.lax.scan(advance, state, actions)[1])


@partial(jax.jit, static_argnames=("method", "num_steps"))
def improve(
    env: Environment,
    state: Any,
    actions: jax.Array,
    method: str = "gauss_newton",
    damping: float = 0.0,
    num_steps: int = 1,
) -> Improvement:
    """Better actions for one initial state: a direction, followed by a line search (Eq. 6, Eq. 14).

    actions: (T, A) [m/s] within the limits. method: "first_order", "gauss_newton", "riccati", "conjugate_gradient",
    "newton", or "auto": that of the third and the fourth which takes fewer operations. damping: >= 0, added to the
    diagonal of the Hessian; needed where w_a = 0. num_steps: how many times; it stops early where nothing better is
    found. Raises InputError on an unknown method or a wrong shape.
    """
    _check_actions(env, actions)
    played = replay(env, state, actions)
    return improve_trajectory(env, state, played, method=method, damping=damping, num_steps=num_steps)


@partial(jax.jit, static_argnames=("method", "num_steps"))
def improve_trajectory(
    env: Environment,
    state: Any,
    trajectory: Trajectory,
    method: str = "gauss_newton",
    damping: float = 0.0,
    num_steps: int = 1,
) -> Improvement:
    """`improve` for actions whose trajectory from `state` is known, which saves simulating it again."""
    checks.integer("num_steps", num_steps, at_least=1)
    better = _improve(env, state, trajectory.action, trajectory.state, jnp.sum(trajectory.reward), method, damping)
    if num_steps == 1:
        return better

    def again(_, better):
        best = _improve(env, state, better.actions, better.state, better.value, method, damping)
        return dataclasses.replace(best, num_trials=best.num_trials + better.num_trials)

    return jax.lax.fori_loop(1, num_steps, again, better).replace(value_before=better.value_before)


@jax.jit
def optimize(
    env: Environment, state: Any, actions: jax.Array, max_steps: int = 100, tolerance: float = 1e-5
) -> tuple[Improvement, jax.Array]:
    """Riccati steps until one gains less than `tolerance` of the value, or until `max_steps`: a local optimum.

    Returns the last improvement, its `value_before` that of the given actions, and whether it converged.
    """
    played = replay(env, state, actions)
    improve_once = partial(_improve, env, state, method="riccati", damping=0.0)

    def unfinished(carry):
        _, converged, count = carry
        return ~converged & (count < max_steps)

    def advance(carry):
        best, _, count = carry
        better = improve_once(best.actions, best.state, best.value)
        better = dataclasses.replace(better, num_trials=best.num_trials + better.num_trials)
        gained = better.value - better.value_before
        return better, ~(gained > tolerance * jnp.abs(better.value)), count + 1

    value = jnp.sum(played.reward)
    shapes = jax.eval_shape(improve_once, actions, played.state, value)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    start = nothing.replace(actions=actions, state=played.state, value=value)
    best, converged, _ = jax.lax.while_loop(unfinished, advance, (start, jnp.asarray(False), 0))
    return best.replace(value_before=value), converged


def _improve(
    env: Environment, state: Any, actions: jax.Array, states: Any, value: jax.Array, method: str, damping: float
) -> Improvement:
    """One improvement of actions that lead from `state` to `states`, leaves (T, ...), with the return `value`."""
    with jax.default_matmul_precision("highest"):
        start, unravel = ravel_pytree(state)
        problem = _problem(env, unravel, start, actions, flatten_states(states))
        chosen = directions.choose(method, problem)
        direction = directions.DIRECTIONS[chosen](problem, damping)
        after = trajopt.follow(problem, direction, -value)
    return Improvement(
        actions=after.actions,
        state=jax.vmap(unravel)(after.states),
        value=-after.cost,
        value_before=value,
        step_size=after.step_size,
        gains=direction.gains,
        curvature=direction.curvature,
        slope=direction.slope,
        num_trials=after.num_trials,
        method=chosen,
    )


def starts(state: Any, states: Any) -> Any:
    """The states in which each step began: `state` before all but the last of `states` (T, ...)."""
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), state, states)


def flatten_states(states: Any) -> jax.Array:
    """(T, n) the states of a trajectory as vectors, in the order that `Improvement.gains` refers to."""
    return jax.vmap(lambda state: ravel_pytree(state)[0])(states)


def as_pytree(policy: Policy) -> Policy:
    """The policy as something that `jit` accepts as an argument."""
    return jax.tree_util.Partial(policy) if jax.tree_util.all_leaves([policy]) else policy


@jax.jit
def _rollout(env: Environment, policy: Policy, state: Any) -> Trajectory:
    def advance(state, _):
        return _transition(env, state, policy(env.observe(state)))

    return _weighted(env, jax.lax.scan(advance, state, length=env.horizon)[1])


def _weighted(env: Environment, trajectory: Trajectory) -> Trajectory:
    reward = trajectory.reward
    return dataclasses.replace(trajectory, reward=env.reward_weights(reward.shape[0]) * reward)


def _transition(env: Environment, state: Any, action: jax.Array) -> tuple[Any, Trajectory]:
    next_state = env.step(state, action)
    return next_state, Trajectory(env.observe(state), action, env.reward(next_state, action), next_state)


def _check_actions(env: Environment, actions: jax.Array) -> None:
    if jnp.ndim(actions) != 2 or actions.shape[1] != env.action_size:
        raise checks.InputError(
            f"actions have shape {jnp.shape(actions)}: must have shape (T, {env.action_size}) "
            "(everything is written for one trajectory; use jax.vmap for a batch)"
        )


def _problem(env, unravel, start, actions, states) -> trajopt.Problem:
    return trajopt.Problem(
        dynamics=lambda vector, action: ravel_pytree(env.step(unravel(vector), action))[0],
        objective=objective(env, unravel),
        linearize=lambda vector, action, after: env.linearize(unravel(vector), action, unravel(after)),
        state=start,
        actions=actions,
        states=states,
        weights=env.reward_weights(actions.shape[0]),
        limit=env.action_limit,
    )


def objective(env: Environment, unravel: Callable[[jax.Array], Any]) -> trajopt.Objective:
    """What a step costs, as a function of the flattened next state, and the action."""
    if env.functions.reward is None:
        return trajopt.least_squares(lambda vector, action: env.residual(unravel(vector), action))
    return trajopt.differentiable(lambda vector, action: -env.reward(unravel(vector), action))
