"""A trajectory to improve, and its models: linear of each step, quadratic of each step's cost."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt.linearize import LinearModel
from pods_jax.trajopt.objective import Dynamics, Objective, Quadratic

Linearizer: TypeAlias = Callable[[jax.Array, jax.Array, jax.Array], LinearModel]
"""(state (n,), action (A,), next state (n,)) -> the derivative of the step."""


@struct.dataclass
class Problem:
    """One trajectory to improve: minimise sum_t weights_t cost(s_{t+1}, a_t) over actions within the limits.

    Its states may be a guess that the actions do not lead to; what is missing are the gaps F(s_t, a_t) - s_{t+1}. The
    models of the steps are then those around the guess, which is multiple shooting.
    """

    dynamics: Dynamics = struct.field(pytree_node=False)
    objective: Objective = struct.field(pytree_node=False)
    linearize: Linearizer = struct.field(pytree_node=False)
    state: jax.Array  # (n,) initial state
    actions: jax.Array  # (T, A)
    states: jax.Array  # (T, n) where the actions lead, or a guess
    weights: jax.Array  # (T,) how much the cost of each step counts
    limit: jax.Array  # (A,) |action| <= limit
    gaps: jax.Array | None = None  # (T, n) from the states to where each step leads; None: the actions lead to them

    @property
    def step_starts(self) -> jax.Array:
        """(T, n) the state in which each step began."""
        return jnp.concatenate([self.state[None], self.states[:-1]])


def around_guess(problem: Problem, states: jax.Array) -> Problem:
    """The problem with guessed states (T, n) in the place of those that the actions lead to, and with their gaps."""
    guessed = dataclasses.replace(problem, states=states)
    return dataclasses.replace(
        guessed, gaps=jax.vmap(problem.dynamics)(guessed.step_starts, problem.actions) - states
    )


def bounds(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """The least and the largest step (T, A) of the actions within the limits; zero is between, despite rounding."""
    lower = jnp.minimum(-problem.limit[None] - problem.actions, 0.0)
    upper = jnp.maximum(problem.limit[None] - problem.actions, 0.0)
    return lower, upper


def models(problem: Problem) -> tuple[LinearModel, Quadratic]:
    """The linear model of each step and the quadratic one of its cost, leaves (T, ...)."""
    steps = (problem.weights, problem.states, problem.actions)
    return linear_models(problem), jax.vmap(partial(quadratic_model, problem))(steps)


def linear_models(problem: Problem) -> LinearModel:
    """The linear model of each step, leaves (T, ...)."""
    return jax.vmap(problem.linearize)(problem.step_starts, problem.actions, problem.states)


def quadratic_model(problem: Problem, step: tuple[jax.Array, jax.Array, jax.Array]) -> Quadratic:
    """The quadratic model of the cost of one step: its weight (), the state (n,) it leads to, its action (A,)."""
    weight, state, action = step
    return jax.tree.map(lambda leaf: weight * leaf, problem.objective.quadratize(state, action))
