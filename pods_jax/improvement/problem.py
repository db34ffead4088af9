"""A trajectory of an environment as a problem that `trajopt` solves."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import jax

from pods_jax import trajopt
from pods_jax.envs.environment import Environment, State
from pods_jax.rollouts import core_trajectory, flatten_states
from pods_jax.trajopt import Problem, flatten
from pods_jax.types import Trajectory

Unravel: TypeAlias = Callable[[jax.Array], State]
"""Turns a vector (n,) back into the state that it was made of."""


def trajectory_problem(env: Environment, state: State, trajectory: Trajectory) -> tuple[Problem, Unravel]:
    """The problem of improving a trajectory from `state`, about flattened states, and what turns these back.

    Raises InputError if the actions are not those of one trajectory.
    """
    actions = env.as_actions(trajectory.action)
    start, unravel = flatten(env.as_state(state))
    problem = Problem(
        dynamics=lambda vector, action: flatten(env.step(unravel(vector), action))[0],
        objective=_objective(env, unravel),
        linearize=lambda vector, action, after: env.linearize(unravel(vector), action, unravel(after)),
        state=start,
        actions=actions,
        states=flatten_states(trajectory.state),
        weights=env.reward_weights(actions.shape[0]),
        limit=env.action_limit,
    )
    return problem, unravel


def core_problem(env: Environment, state: State, trajectory: Trajectory) -> tuple[Problem, Unravel]:
    """`trajectory_problem` in `Environment.core`, where trajectories are improved."""
    core, state, states = core_trajectory(env, state, trajectory.state)
    return trajectory_problem(core, state, dataclasses.replace(trajectory, state=states))


def _objective(env: Environment, unravel: Unravel) -> trajopt.Objective:
    """What a step costs, as a function of the flattened next state, and the action."""
    if env.functions.reward is None:
        return trajopt.least_squares(lambda vector, action: env.residual(unravel(vector), action))
    return trajopt.differentiable(lambda vector, action: -env.reward(unravel(vector), action))
