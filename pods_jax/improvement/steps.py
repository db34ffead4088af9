"""Steps to better actions: a direction, followed by a line search on the simulator.

Written for one trajectory and compiled; `improve_batch` is for many, whose directions need much memory.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from pods_jax import checks, trajopt
from pods_jax.devices import chunking, sharding
from pods_jax.envs.environment import Environment, State
from pods_jax.envs.trial import check_reverse_mode
from pods_jax.improvement.problem import core_problem
from pods_jax.improvement.result import Improvement, Searched, improvement_of
from pods_jax.rollouts import as_trajectories, check_environment, replay
from pods_jax.trajopt import Direction, LineSearchResult, Problem, directions, no_step
from pods_jax.types import Trajectory


def improve(
    env: Environment,
    state: State,
    actions: jax.Array,
    method: str = "gauss_newton",
    damping: float | jax.Array = 0.0,
    num_steps: int = 1,
) -> Improvement:
    """Better actions for one initial state: a direction, followed by a line search (Eq. 6, Eq. 14).

    actions: (T, A) within the limits. method: "first_order", "gauss_newton", "riccati", "conjugate_gradient",
    "newton", or "auto": that of the third and the fourth which takes fewer operations. damping: >= 0, added to the
    diagonal of the Hessian; needed where w_a = 0. num_steps: how many times; it stops early where nothing better is
    found. The states of the result are those of `Environment.core`. Raises InputError on an unknown method, a wrong
    shape, and a damping or a count that is not allowed.
    """
    how = _checked(env, method, damping, num_steps)
    return _improve_actions(env, checks.leaves("state", state), checks.leaves("actions", actions), *how)


def improve_trajectory(
    env: Environment,
    state: State,
    trajectory: Trajectory,
    method: str = "gauss_newton",
    damping: float | jax.Array = 0.0,
    num_steps: int = 1,
) -> Improvement:
    """`improve` for actions whose trajectory from `state` is known, which saves simulating it again."""
    how = _checked(env, method, damping, num_steps)
    checks.instance("trajectory", trajectory, Trajectory, "what `rollout` returns")
    return _improve_trajectory(env, checks.leaves("state", state), checks.leaves("trajectory", trajectory), *how)


def improve_batch(
    env: Environment,
    states: State,
    trajectories: Trajectory,
    method: str = "gauss_newton",
    damping: float | jax.Array = 0.0,
    chunk_size: int = 0,
) -> Improvement:
    """`improve_trajectory` for many of them, leaves (k, ...), as fast as the device can.

    Directions, whose matrices are large, are found for as many at once as caches hold, or for chunk_size of them if
    that is not 0; line searches, each as long as its slowest, for more of them: see `chunking.at_once`. Several
    devices share the rollouts, and chunk_size is for each of them. Raises InputError as `improve` does, and if the
    rollouts cannot be shared equally.
    """
    method, damping, _ = _checked(env, method, damping)
    chunk_size = checks.integer("chunk_size", chunk_size, at_least=0)
    checks.leaves("states", states), checks.leaves("trajectories", trajectories)
    return _improve_batch(env, states, trajectories, method, damping, chunk_size)


@partial(jax.jit, static_argnames=("method", "num_steps"))
def _improve_actions(
    env: Environment, state: State, actions: jax.Array, method: str, damping: float | jax.Array, num_steps: int
) -> Improvement:
    env, state = env.core(state)
    return _improve_trajectory(env, state, replay(env, state, actions), method, damping, num_steps)


@partial(jax.jit, static_argnames=("method", "num_steps"))
def _improve_trajectory(
    env: Environment,
    state: State,
    trajectory: Trajectory,
    method: str,
    damping: float | jax.Array,
    num_steps: int,
) -> Improvement:
    problem, unravel = core_problem(env, state, trajectory)
    value, method = jnp.sum(trajectory.reward), _choose(env, method, problem)

    def again(_, found):
        return _improve_once(problem, method, damping, found[1])

    found = again(0, (None, no_step(problem, -value)))
    if num_steps > 1:
        found = jax.lax.fori_loop(1, num_steps, again, found)
    return improvement_of(found, unravel, value, method)


@partial(jax.jit, static_argnames=("method", "chunk_size"))
def _improve_batch(
    env: Environment,
    states: State,
    trajectories: Trajectory,
    method: str,
    damping: float | jax.Array,
    chunk_size: int,
) -> Improvement:
    states, trajectories = as_trajectories(env, states, trajectories)
    first = jax.tree.map(lambda leaf: leaf[0], (states, trajectories))
    method = _choose(env, method, core_problem(env, *first)[0])

    def improve_share(shared, rollouts):
        env, damping = shared

        def find(pair):
            return _direction(core_problem(env, *pair)[0], method, damping)

        def search(triple):
            state, trajectory, direction = triple
            problem, unravel = core_problem(env, state, trajectory)
            value = jnp.sum(trajectory.reward)
            return improvement_of((direction, _line_search(problem, direction, -value)), unravel, value, method)

        horizon, num_actions = rollouts[1].action.shape[1:]
        size = horizon * num_actions if method in directions.DENSE else env.simulator.state_size
        found = chunking.in_chunks(find, rollouts, size**2, chunk_size)
        return chunking.in_chunks(search, (*rollouts, found), 1)

    return sharding.shard_map_rollouts(improve_share)((env, damping), (states, trajectories))


def _choose(env: Environment, method: str, problem: Problem) -> str:
    """The direction to take; raises InputError where it needs derivatives that the environment does not have."""
    chosen = directions.choose(method, problem)
    if chosen in directions.REVERSE_MODE:
        check_reverse_mode(env.simulator, f"the method {chosen!r}")
    return chosen


def _improve_once(problem: Problem, method: str, damping: float | jax.Array, best: LineSearchResult) -> Searched:
    """One improvement of the actions of `best`, whose trials count as well."""
    here = dataclasses.replace(problem, actions=best.actions, states=best.states)
    direction = _direction(here, method, damping)
    after = _line_search(here, direction, best.cost)
    return direction, dataclasses.replace(after, num_trials=best.num_trials + after.num_trials)


def _direction(problem: Problem, method: str, damping: float | jax.Array) -> Direction:
    with jax.default_matmul_precision("highest"):
        found = directions.DIRECTIONS[method](problem, damping)
    # A traced damping that is not allowed is known only now: no step, and a slope that says so.
    allowed = jnp.asarray(damping) >= 0
    step = jnp.where(allowed, found.step, 0.0)
    return dataclasses.replace(found, step=step, slope=jnp.where(allowed, found.slope, jnp.nan))


def _line_search(problem: Problem, direction: Direction, cost: jax.Array) -> LineSearchResult:
    with jax.default_matmul_precision("highest"):
        return trajopt.line_search(problem, direction, cost)


def _checked(
    env: Environment, method: str, damping: float | jax.Array, num_steps: int = 1
) -> tuple[str, float | jax.Array, int]:
    """Method, damping and number of steps; raises InputError on what is not allowed, as far as it is known now."""
    check_environment(env)
    return (
        checks.choice("method", method, trajopt.METHODS),
        checks.scalar("damping", damping, env.action_limit.dtype, at_least=0.0),
        checks.integer("num_steps", num_steps, at_least=1),
    )
