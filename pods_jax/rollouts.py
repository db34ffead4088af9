"""Trajectories of an environment: by a policy, and by given actions.

Everything here is compiled and written for one trajectory, except for `rollout_batch`; use `jax.vmap` for a batch.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from flax.errors import FlaxError

from pods_jax import checks
from pods_jax.devices import sharding
from pods_jax.envs.environment import Environment
from pods_jax.trajopt import flatten
from pods_jax.types import Key, Policy, Trajectory

RANDOM_SIZE, NUM_HOLDS = 0.3, 6
"""Of random actions: their standard deviation by the limit, and how many held ones make an episode."""


def rollout(env: Environment, policy: Policy, state: Any) -> Trajectory:
    """Follows a policy from `state` for one episode.

    A policy that is a pytree (as `algorithm.policy` returns) is compiled once for all its parameters; any
    other callable is compiled once for each new object. Raises InputError for what is no environment or no policy.
    """
    check_environment(env)
    check_policy(policy)
    return _rollout(env, as_pytree(policy), checks.leaves("state", state))


def rollout_batch(env: Environment, policy: Policy, states: Any) -> Trajectory:
    """`rollout` from many initial states, leaves (k, ...), which devices share if there are several.

    Raises InputError if they cannot be shared equally, and for what is no environment or no policy.
    """
    check_environment(env)
    check_policy(policy)
    return _rollout_batch(env, as_pytree(policy), checks.leaves("states", states))


def replay(env: Environment, state: Any, actions: jax.Array) -> Trajectory:
    """Takes the given actions (T, A), T at least 1, from `state`. Raises InputError on another shape."""
    check_environment(env)
    return _replay(env, checks.leaves("state", state), checks.leaves("actions", actions))


def sample_states(env: Environment, key: Key, count: int) -> Any:
    """`count` random initial states, leaves (count, ...); the key is consumed."""
    return jax.vmap(env.reset)(jax.random.split(key, count))


def random_actions(env: Environment, key: Key, count: int, held: bool) -> jax.Array:
    """(count, T, A) normal actions within the limits, new ones in every step, or NUM_HOLDS that are held in turn.

    Searches for better actions start from them; the key is consumed.
    """
    num_drawn = min(NUM_HOLDS, env.horizon) if held else env.horizon
    limit = env.action_limit[None, None]
    drawn = RANDOM_SIZE * limit * jax.random.normal(key, (count, num_drawn, env.action_size), limit.dtype)
    index = jnp.arange(env.horizon) * num_drawn // env.horizon
    return jnp.clip(drawn, -limit, limit)[:, index]


def healthy_mean(values: jax.Array, healthy: jax.Array) -> jax.Array:
    """() the mean of values (k,) over the rollouts that are healthy (k,), 0 if none is."""
    return jnp.sum(jnp.where(healthy, values, 0.0)) / jnp.maximum(jnp.sum(healthy, dtype=values.dtype), 1)


def step_starts(state: Any, states: Any) -> Any:
    """The states in which each step began: `state` before all but the last of `states` (T, ...)."""
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), state, states)


def flatten_states(states: Any) -> jax.Array:
    """(T, n) the states of a trajectory as vectors, in the order that `Improvement.gains` refers to."""
    return jax.vmap(lambda state: flatten(state)[0])(states)


def core_trajectory(env: Environment, state: Any, states: Any) -> tuple[Environment, Any, Any]:
    """`Environment.core` of a trajectory: the environment, its initial state and states, leaves (T, ...)."""
    if env.functions.core is None:
        return env, state, states
    return *env.core(state), jax.vmap(lambda after: env.core(after)[1])(states)


def observations(env: Environment, state: Any, actions: jax.Array, states: Any) -> jax.Array:
    """(T, O) what is seen in steps by actions (T, A) from `state`; states: (T, ...) of its core, where they lead."""
    if env.functions.core is None:
        return jax.vmap(env.observe)(step_starts(state, states))
    seen: jax.Array = replay(env, state, actions).observation  # it depends on more than these states
    return seen


def check_environment(env: Environment) -> None:
    """Raises InputError, with the cure, for something else, such as an algorithm."""
    if not isinstance(env, Environment):
        cure = "give its `env`" if hasattr(env, "env") else "such as `envs.make` and `envs.from_step` return"
        raise checks.InputError(f"env is of type {type(env).__name__}: must be an Environment, {cure}")


def check_policy(policy: Policy) -> None:
    """Raises InputError, with the cure, for what is no function, such as an algorithm or a train state."""
    if not callable(policy):
        raise checks.InputError(
            f"policy is of type {type(policy).__name__}: must be a function of an observation (O,) that returns an "
            "action (A,), such as `algorithm.policy(train_state)`"
        )


def check_fits(env: Environment, policy: Policy) -> None:
    """Raises InputError for a policy that was made for another environment; costs a trace, and simulates nothing."""
    observation = jax.ShapeDtypeStruct((env.observation_size,), env.action_limit.dtype)
    made_for = f"{env.name} gives it {env.observation_size} numbers and takes {env.action_size}"
    try:
        shape = jax.eval_shape(lambda observation: jnp.asarray(policy(observation)), observation).shape
    except (TypeError, ValueError, IndexError, FlaxError) as error:  # each policy refuses in its own way
        reason = str(error).strip().splitlines()[0]
        raise checks.InputError(
            f"policy cannot act on an observation of shape ({env.observation_size},): must be one that was made for "
            f"such an environment, {made_for}; it says: {reason}"
        ) from error
    if shape != (env.action_size,):
        raise checks.InputError(
            f"policy returns an action of shape {shape}: must have shape ({env.action_size},), by a policy that was "
            f"made for such an environment, {made_for}"
        )


def as_pytree(policy: Policy) -> Policy:
    """The policy as something that `jit` accepts as an argument and takes for no other policy's program.

    Raises InputError for a pytree that holds something else than arrays.
    """
    if jax.tree_util.all_leaves([policy]):
        return jax.tree_util.Partial(policy)
    checks.leaves("policy", policy)
    return _Hashed(policy, hash(jax.tree.structure(policy)))


@struct.dataclass
class _Hashed:
    """A policy with the hash of its structure, since in jax 0.10 dataclasses with equal fields compare equal.

    `jit` may then run the program of another class. The hashes of the two structures do differ.
    """

    policy: Policy
    structure: int = struct.field(pytree_node=False)

    def __call__(self, observation: jax.Array) -> jax.Array:
        return self.policy(observation)


@jax.jit
def _replay(env: Environment, state: Any, actions: jax.Array) -> Trajectory:
    def advance(state, action):
        return _transition(env, state, action)

    return _weighted(env, jax.lax.scan(advance, env.as_state(state), env.as_actions(actions))[1])


@jax.jit
def _rollout(env: Environment, policy: Policy, state: Any) -> Trajectory:
    check_fits(env, policy)

    def advance(state, _):
        return _transition(env, state, env.as_action(policy(env.observe(state))))

    return _weighted(env, jax.lax.scan(advance, env.as_state(state), length=env.horizon)[1])


@jax.jit
def _rollout_batch(env: Environment, policy: Policy, states: Any) -> Trajectory:
    def roll_out(shared, states):
        return jax.vmap(partial(_rollout, *shared))(states)

    return sharding.shard_map_rollouts(roll_out)((env, policy), env.as_state(states, "states", ("k",)))


def _weighted(env: Environment, trajectory: Trajectory) -> Trajectory:
    reward = trajectory.reward
    return dataclasses.replace(trajectory, reward=env.reward_weights(reward.shape[0]) * reward)


def _transition(env: Environment, state: Any, action: jax.Array) -> tuple[Any, Trajectory]:
    next_state = env.step(state, action)
    return next_state, Trajectory(env.observe(state), action, env.reward(next_state, action), next_state)


def as_trajectories(env: Environment, states: Any, trajectories: Trajectory) -> tuple[Any, Trajectory]:
    """Initial states and trajectories, leaves (k, ...) and (k, T, ...), in the types of the environment.

    Raises InputError unless they look like those of `rollout_batch`.
    """
    checks.instance("trajectories", trajectories, Trajectory, "what `rollout` returns")
    states = env.as_state(states, "states", ("k",))
    count = jax.tree.leaves(states)[0].shape[0]
    if np.shape(trajectories.action)[:1] != (count,):
        got = f"has shape {np.shape(trajectories.action)}"
        raise checks.InputError(
            "trajectories.action", trajectories.action, f"must have shape ({count}, T, A)", found=got
        )

    def one(key: Key) -> Trajectory:
        return _transition(env, env.reset(key), env.action_limit)[1]

    model = jax.eval_shape(one, jax.random.key(0))
    return states, checks.like("trajectories", trajectories, model, ("k", "T"))
