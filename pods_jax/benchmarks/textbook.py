"""The textbook form of the paper: what one writes first, and what the package is measured against.

Newton's method with the Jacobian of the residual by `jacfwd` and `jnp.linalg.solve`, always the same number of
passes; sensitivities of a whole rollout by `jacfwd` through `custom_root`; the dense Gauss-Newton matrix of Eq. 14;
backtracking. It shares with the package the equation of a step, the objective and the quadratic program in the
action limits, and nothing that makes them fast. It is also an independent reference for tests.
"""

import jax
import jax.numpy as jnp

from pods_jax.envs.environment import Environment
from pods_jax.sim import State, System, bdf2
from pods_jax.trajopt.box_qp import DenseHessian, solve_box_qp

NUM_PASSES = 5
"""Of Newton's method in each step; the slowest step of a smooth motion needs about as many."""

MAX_HALVINGS = 14


def step(system: System, state: State, action: jax.Array) -> State:
    """One BDF2 step by the action (A,) [m/s]."""
    shape = state.velocity.shape
    handle = state.handle + system.time_step * action

    def residual(velocity):
        return bdf2.equation(system, state, handle, action, velocity.reshape(shape)).reshape(-1)

    def solve(residual, velocity):
        def improve(_, velocity):
            return velocity - jnp.linalg.solve(jax.jacfwd(residual)(velocity), residual(velocity))

        return jax.lax.fori_loop(0, NUM_PASSES, improve, velocity)

    def tangent_solve(linear_map, right_side):
        return jnp.linalg.solve(jax.jacfwd(linear_map)(right_side), right_side)

    guess = ((4 * state.velocity - state.previous_velocity) / 3).reshape(-1)
    velocity = jax.lax.custom_root(residual, guess, solve, tangent_solve).reshape(shape)
    return State(
        handle=handle,
        position=bdf2.new_position(system, state, velocity),
        velocity=velocity,
        previous_position=state.position,
        previous_velocity=state.velocity,
    )


def simulate(env: Environment, state: State, actions: jax.Array) -> State:
    """The states, leaves (T, ...), that actions (T, A) lead to in an environment of springs."""

    def advance(state, action):
        state = step(env.parameters.system, state, action)
        return state, state

    return jax.lax.scan(advance, state, actions)[1]


def jacobian(env: Environment, state: State, actions: jax.Array) -> State:
    """The sensitivities of all states by all actions, leaves (T, ..., T, A)."""
    return jax.jacfwd(lambda actions: simulate(env, state, actions))(actions)


def improve(env: Environment, state: State, actions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Better actions (T, A) and their cost, by one dense Gauss-Newton step within the limits and a line search."""

    def residual(actions):
        return jax.vmap(env.residual)(simulate(env, state, actions), actions).reshape(-1)

    def cost(actions):
        return jnp.sum(residual(actions) ** 2)

    value, by_actions = residual(actions), jax.jacfwd(residual)(actions).reshape(-1, actions.size)
    hessian, gradient = 2 * by_actions.T @ by_actions, 2 * by_actions.T @ value
    lower, upper = ((sign * env.action_limit[None] - actions).reshape(-1) for sign in (-1, 1))
    change = solve_box_qp(DenseHessian(hessian), gradient, lower, upper).x.reshape(actions.shape)
    start = cost(actions)

    def unfinished(carry):
        _, best_cost, step_size = carry
        return ~(best_cost < start) & (step_size >= 0.5**MAX_HALVINGS)

    def halve(carry):
        best, best_cost, step_size = carry
        trial = actions + step_size * change
        trial_cost = cost(trial)
        better = trial_cost < start
        return jnp.where(better, trial, best), jnp.where(better, trial_cost, best_cost), step_size / 2

    return jax.lax.while_loop(unfinished, halve, (actions, start, jnp.ones_like(start)))[:2]
