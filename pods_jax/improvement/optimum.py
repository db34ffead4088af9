"""A local optimum of the actions from one initial state."""

import dataclasses

import jax
import jax.numpy as jnp

from pods_jax import checks
from pods_jax.envs.environment import Environment, State
from pods_jax.improvement.problem import trajectory_problem
from pods_jax.improvement.result import Improvement, improvement_of
from pods_jax.rollouts import check_environment, flatten_states, replay
from pods_jax.trajopt import around_guess, levenberg_marquardt, no_step


def optimize(
    env: Environment,
    state: State,
    actions: jax.Array,
    max_steps: int = 100,
    tolerance: float = 1e-5,
    guess: State | None = None,
) -> tuple[Improvement, jax.Array]:
    """A local optimum, by Riccati steps with adaptive damping; see `trajopt.levenberg_marquardt`.

    actions: (T, A) to start from. guess: states of `Environment.core` with a leading T to start from, where the
    trajectory should be rather than where the actions lead; unstable systems need it, see `Environment.goal`. It
    stops where a step gains less than `tolerance` of the value, or after max_steps.

    Returns the last improvement, its `value_before` that of the given actions, and whether it converged. The value is
    never below that; a search from a guess that did not get far enough ends with the given actions. Where derivatives
    along the trajectory are not finite, as at a kink of the reward, it does not converge, and the improvement says so
    (`nonfinite_derivatives`). Raises InputError on another shape, and on a number of steps or a tolerance that is not
    allowed.
    """
    check_environment(env)
    if not isinstance(max_steps, jax.core.Tracer):
        max_steps = checks.integer("max_steps", max_steps, at_least=0)
    tolerance = checks.scalar("tolerance", tolerance, env.action_limit.dtype, at_least=0.0)
    checks.leaves("state", state), checks.leaves("actions", actions), checks.leaves("guess", guess)
    return _optimize(env, state, actions, max_steps, tolerance, guess)


@jax.jit
def _optimize(
    env: Environment,
    state: State,
    actions: jax.Array,
    max_steps: int,
    tolerance: float,
    guess: State | None,
) -> tuple[Improvement, jax.Array]:
    env, state = env.core(env.as_state(state))
    if guess is not None:
        guess = env.as_state(guess, "guess", ("T",))
    played = replay(env, state, actions)
    problem, unravel = trajectory_problem(env, state, played)
    value = jnp.sum(played.reward)
    begun = problem if guess is None else around_guess(problem, flatten_states(guess))
    found = levenberg_marquardt.search(begun, max_steps, tolerance)
    best = found.best
    if guess is not None:
        is_better = ~jnp.any(best.gaps != 0) & (-best.cost > value)
        start = dataclasses.replace(no_step(begun, -value), states=problem.states)
        best = jax.tree.map(lambda new, old: jnp.where(is_better, new, old), best, start)
    return improvement_of((found.direction, best), unravel, value, "riccati"), found.converged
