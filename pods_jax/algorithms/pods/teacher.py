"""The teacher: the best trajectory that is known from each of some initial states, kept from epoch to epoch.

PODS improves what its own policy does. Where the system is unstable that teaches nothing at first: the policy falls
over, and derivatives along a trajectory that has fallen do not say how to stay up. So trajectories are first searched
for without the policy, by damped Riccati steps (`trajopt.levenberg_marquardt`), half of them from the guess of being
at the goal all the time, half from random actions. Then the policy imitates them, on the states that it visits
itself, by the feedback around them, while neighbours settle on one way of doing the task:

1. each tries to follow the best trajectory of all and that of a random other, in closed loop,

       a_t = clip(a'_t + K'_t (s_t - s'_t)),

   and takes it over where that is better than its own;
2. damped steps improve all of them.

It is imitated in the states that the policy visits, and in those that the teacher visits itself while noise disturbs
its actions (Laskey et al. 2017): from the trajectories alone the policy does not learn how to come back to them.

A visited state teaches only as long as the feedback stays within reach of the limits: from the first step on in which
it asks for more than REACH times the action limit, the rest of the rollout has left the region in which it means
anything, and weighs nothing.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax.algorithms.pods.targets import reaction_targets
from pods_jax.envs.environment import Environment, State
from pods_jax.improvement import trajectory_problem
from pods_jax.policies.regression import Samples
from pods_jax.rollouts import flatten_states, random_actions, replay, step_starts
from pods_jax.trajopt import LineSearchResult, Problem, around_guess, flatten, levenberg_marquardt, no_step, riccati
from pods_jax.types import Key, LocalFeedback, Trajectory

REACH = 2.0
"""Of the action limit: what the feedback may ask for before a rollout counts as lost."""

ACTION_NOISE = (1e-3, 1e-1)
"""Of the action limit: the least and the largest standard deviation of what disturbs the teacher's own rollouts.

It is drawn for each, evenly in its logarithm: large actions need large disturbances, and small ones are lost in them.
"""

SEARCH_STEPS, IMITATION_STEPS = 4, 1
"""Damped steps of each trajectory in an epoch of searching, and in one of imitation."""

GROWTH = 10.0
"""An environment is unstable at its goal if a deviation grows more than so many times in an episode."""


@struct.dataclass
class Teacher:
    """Trajectories from k initial states, leaves (k, ...)."""

    best: LineSearchResult  # of flattened states; as long as there are gaps, these are a guess
    damping: jax.Array  # (k,) of the next step of each

    @property
    def is_whole(self) -> jax.Array:
        """(k,) whether the actions lead to the states."""
        return ~jnp.any(self.best.gaps != 0, axis=(1, 2))

    @property
    def value(self) -> jax.Array:
        """(k,) the returns; -inf while there are gaps."""
        return jnp.where(self.is_whole, -self.best.cost, -jnp.inf)


def is_needed(env: Environment) -> bool:
    """Whether deviations grow by themselves, at the goal that the environment names, GROWTH times in an episode.

    By the largest eigenvalue of the derivative of a step, taken at the goal with the action zero.
    """
    env = env.simulator
    if env.goal is None:
        return False
    zero = jnp.zeros_like(env.action_limit)
    model = env.linearize(env.goal, zero, env.step(env.goal, zero))
    size = env.state_size
    by_state = model.product(jnp.eye(size, dtype=zero.dtype), jnp.zeros((env.action_size, size), zero.dtype))
    radius = np.max(np.abs(np.linalg.eigvals(np.asarray(by_state, float))))
    return bool(env.horizon * np.log(max(radius, 1.0)) > np.log(GROWTH))


def begin(env: Environment, states: State, key: Key) -> Teacher:
    """Guesses for initial states, leaves (k, ...), before anything is searched; the key is consumed."""
    count = jax.tree.leaves(states)[0].shape[0]
    actions = random_actions(env, key, count, held=False)
    is_at_goal = jnp.zeros(count, bool)
    if env.simulator.goal is not None:
        is_at_goal = jnp.arange(count) % 2 == 0
        actions = jnp.where(is_at_goal[:, None, None], 0.0, actions)
    return jax.vmap(partial(_begin, env))(states, actions, is_at_goal)


def _begin(env: Environment, state: State, actions: jax.Array, is_at_goal: jax.Array) -> Teacher:
    env, state = env.core(state)
    problem, _ = trajectory_problem(env, state, replay(env, state, actions))
    states = problem.states
    if env.goal is not None:
        states = jnp.where(is_at_goal, jnp.broadcast_to(flatten(env.goal)[0], states.shape), states)
    cost = jnp.sum(problem.weights * jax.vmap(problem.objective.cost)(states, actions))
    begun = no_step(around_guess(problem, states), cost)
    gaps = jnp.where(is_at_goal, jnp.asarray(begun.gaps), 0.0)  # what was simulated has gaps by rounding only
    return Teacher(dataclasses.replace(begun, gaps=gaps), jnp.asarray(levenberg_marquardt.FIRST, cost.dtype))


def search(env: Environment, states: State, teacher: Teacher, num_steps: int) -> tuple[Teacher, jax.Array]:
    """The teacher after damped steps of each of its trajectories, and (k,) whether derivatives were not finite.

    `best.num_trials` counts the trials of this call.
    """

    def improve(state: State, teacher: Teacher) -> tuple[Teacher, jax.Array]:
        problem = _problem(env, state, teacher.best)

        def advance(_: Any, carry: tuple[Teacher, jax.Array]) -> tuple[Teacher, jax.Array]:
            teacher, failed = carry
            direction, after = levenberg_marquardt.damped_step(problem, teacher.best, teacher.damping)
            adapted = levenberg_marquardt.adapted(teacher.damping, after.step_size)
            return Teacher(after, adapted), failed | ~direction.is_finite

        fresh = dataclasses.replace(teacher.best, num_trials=jnp.zeros_like(teacher.best.num_trials))
        begun = (Teacher(fresh, teacher.damping), jnp.asarray(False))
        found: tuple[Teacher, jax.Array] = jax.lax.fori_loop(0, num_steps, advance, begun)
        return found

    return jax.vmap(improve)(states, teacher)


def feedback(env: Environment, states: State, teacher: Teacher) -> LocalFeedback:
    """How to react near each trajectory, by an undamped Riccati pass; leaves (k, T, ...)."""

    def react(state: State, best: LineSearchResult) -> LocalFeedback:
        problem = _problem(env, state, best)
        with jax.default_matmul_precision("highest"):
            direction = riccati(dataclasses.replace(problem, gaps=None))
        unravel = flatten(env.core(state)[1])[1]
        return LocalFeedback(best.actions, jax.vmap(unravel)(best.states), direction.gains, direction.action_hessian)

    return jax.vmap(react)(states, teacher.best)


def agree(env: Environment, states: State, teacher: Teacher, gains: jax.Array, key: Key) -> Teacher:
    """The teacher after each has tried to follow the best trajectory and that of another; the key is consumed.

    gains: (k, T, A, n) of the feedback around the trajectories.
    """
    count = teacher.damping.shape[0]
    first = jax.vmap(lambda state: _core_vector(env, state))(states)
    starts = jnp.concatenate([first[:, None], teacher.best.states[:, :-1]], axis=1)
    found = teacher
    for other in (jnp.full(count, jnp.argmax(teacher.value)), jax.random.permutation(key, count)):
        best = jax.tree.map(lambda leaf, other=other: leaf[other], teacher.best)
        follow = jax.vmap(partial(_follow, env))
        followed = follow(states, best.actions, starts[other], gains[other], jnp.zeros_like(best.actions))
        tried = dataclasses.replace(
            best,
            actions=followed.action,
            states=jax.vmap(jax.vmap(lambda state: _core_vector(env, state)))(followed.state),
            cost=-jnp.sum(env.reward_weights(env.horizon)[None] * followed.reward, axis=1),
            gaps=jnp.zeros_like(best.states),
        )
        is_better = (-tried.cost > found.value) & teacher.is_whole[other]
        taken = Teacher(tried, jnp.full_like(teacher.damping, levenberg_marquardt.FIRST))
        found = jax.tree.map(
            lambda new, old, is_better=is_better: jnp.where(
                is_better.reshape((count,) + (1,) * (new.ndim - 1)), new, old
            ),
            taken,
            found,
        )
    return found


def imitation_targets(
    env: Environment, state: State, visited: Trajectory, taught: LocalFeedback, key: Key
) -> Samples:
    """What the feedback around one trajectory of the teacher does, in 2 T states; the key is consumed.

    T states are those that the policy visited, the others those that the feedback visits itself while noise of
    ACTION_NOISE disturbs its actions: near the trajectory, but not on it.
    """
    limit, (key_size, key_noise) = env.action_limit, jax.random.split(key)
    least, largest = np.log(ACTION_NOISE)
    size = jnp.exp(jax.random.uniform(key_size, (), limit.dtype, least, largest))
    noise = size * limit[None] * jax.random.normal(key_noise, taught.actions.shape, limit.dtype)
    starts = flatten_states(step_starts(env.core(state)[1], taught.states))
    disturbed = _follow(env, state, taught.actions, starts, taught.gains, noise)
    samples = [reaction_targets(env, state, followed, taught, REACH) for followed in (visited, disturbed)]
    return jax.tree.map(lambda first, second: jnp.concatenate([first, second]), *samples)


def _follow(
    env: Environment, state: State, actions: jax.Array, starts: jax.Array, gains: jax.Array, noise: jax.Array
) -> Trajectory:
    """Where feedback leads from a state, a_t = clip(actions_t + gains_t (s_t - starts_t) + noise_t).

    actions, noise: (T, A). starts: (T, n) in which the steps of the trajectory began. gains: (T, A, n).
    """

    def advance(here: State, inputs: Any) -> Any:
        action, start, gain, disturbance = inputs
        action = action + jnp.matmul(gain, _core_vector(env, here) - start, precision="highest") + disturbance
        action = jnp.clip(action, -env.action_limit, env.action_limit)
        after = env.step(here, action)
        return after, Trajectory(env.observe(here), action, env.reward(after, action), after)

    return jax.lax.scan(advance, env.as_state(state), (actions, starts, gains, noise))[1]


def _core_vector(env: Environment, state: State) -> jax.Array:
    """(n,) the state of `Environment.core` as a vector."""
    vector: jax.Array = flatten(env.core(state)[1])[0]
    return vector


def _problem(env: Environment, state: State, best: LineSearchResult) -> Problem:
    """The problem of improving a stored trajectory, in `Environment.core`."""
    env, state = env.core(state)
    unravel = flatten(state)[1]
    nothing = jnp.zeros(best.actions.shape[0], best.actions.dtype)
    trajectory = Trajectory(nothing, best.actions, nothing, jax.vmap(unravel)(best.states))
    return dataclasses.replace(trajectory_problem(env, state, trajectory)[0], gaps=best.gaps)
