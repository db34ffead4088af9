"""Better trajectories: a direction of improvement for the actions, followed by a line search on the simulator.

Written for one trajectory and compiled; `improve_batch` is for many, whose directions need much memory.
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
from pods_jax.devices import chunking
from pods_jax.envs.environment import Environment
from pods_jax.rollouts import flatten_states, replay
from pods_jax.trajopt import directions
from pods_jax.trajopt.directions import Direction
from pods_jax.types import Trajectory


@struct.dataclass
class Improvement:
    """Better actions, the trajectory they give, and how to react near it."""

    actions: jax.Array  # (T, A) in action units, within the limits
    state: Any  # every leaf has a leading T: where the actions lead
    value: jax.Array  # () return of the actions, never below `value_before`
    value_before: jax.Array  # () return of the given actions
    step_size: jax.Array  # () accepted by the line search, 0 if it found nothing better
    gains: jax.Array  # (T, A, n) reaction to deviations of the flattened state; zero for directions without feedback
    action_hessian: jax.Array  # (T, A, A) how much an error of one action costs; identity for these
    slope: jax.Array  # () derivative of the cost along the direction, 0 at an optimum
    num_trials: jax.Array  # () int32, trajectories that the line searches simulated
    method: str = struct.field(pytree_node=False)  # what was taken, also where "auto" chose it


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

    actions: (T, A) within the limits. method: "first_order", "gauss_newton", "riccati", "conjugate_gradient",
    "newton", or "auto": that of the third and the fourth which takes fewer operations. damping: >= 0, added to the
    diagonal of the Hessian; needed where w_a = 0. num_steps: how many times; it stops early where nothing better is
    found. Raises InputError on an unknown method or a wrong shape.
    """
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


@partial(jax.jit, static_argnames=("method", "chunk_size"))
def improve_batch(
    env: Environment,
    states: Any,
    trajectories: Trajectory,
    method: str = "gauss_newton",
    damping: float = 0.0,
    chunk_size: int = 0,
) -> Improvement:
    """`improve_trajectory` for many of them, leaves (k, ...), as fast as the device can.

    Directions, whose matrices are large, are found for as many at once as caches hold, or for chunk_size of them if
    that is not 0; line searches, each as long as its slowest, for more of them: see `chunking.at_once`.
    """

    def find(pair):
        state, trajectory = pair
        return _find(env, state, trajectory.action, trajectory.state, method, damping)

    def follow(triple):
        state, trajectory, direction = triple
        value = jnp.sum(trajectory.reward)
        return _follow(env, state, trajectory.action, trajectory.state, value, method, direction)

    horizon, num_actions = trajectories.action.shape[1:]
    size = horizon * num_actions if method in directions.DENSE else env.state_size
    found = chunking.in_chunks(find, (states, trajectories), size**2, chunk_size)
    return chunking.in_chunks(follow, (states, trajectories, found), 1)


def _improve(
    env: Environment, state: Any, actions: jax.Array, states: Any, value: jax.Array, method: str, damping: float
) -> Improvement:
    """One improvement of actions that lead from `state` to `states`, leaves (T, ...), with the return `value`."""
    direction = _find(env, state, actions, states, method, damping)
    return _follow(env, state, actions, states, value, method, direction)


def _find(env: Environment, state: Any, actions: jax.Array, states: Any, method: str, damping: float) -> Direction:
    with jax.default_matmul_precision("highest"):
        start, unravel = ravel_pytree(state)
        problem = _problem(env, unravel, start, actions, flatten_states(states))
        return directions.DIRECTIONS[directions.choose(method, problem)](problem, damping)


def _follow(
    env: Environment,
    state: Any,
    actions: jax.Array,
    states: Any,
    value: jax.Array,
    method: str,
    direction: Direction,
) -> Improvement:
    with jax.default_matmul_precision("highest"):
        start, unravel = ravel_pytree(state)
        problem = _problem(env, unravel, start, actions, flatten_states(states))
        after = trajopt.line_search(problem, direction, -value)
    return Improvement(
        actions=after.actions,
        state=jax.vmap(unravel)(after.states),
        value=-after.cost,
        value_before=value,
        step_size=after.step_size,
        gains=direction.gains,
        action_hessian=direction.action_hessian,
        slope=direction.slope,
        num_trials=after.num_trials,
        method=directions.choose(method, problem),
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
