"""What algorithms have in common: the policy that they train, from the same first weights, and what they check."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import checks
from pods_jax.envs.environment import Environment, State
from pods_jax.policies.network import PolicyNetwork
from pods_jax.rollouts import rollout
from pods_jax.types import Key, Policy


@dataclass(frozen=True, eq=False)
class PolicyModel:
    """The policy network of an environment, as functions of its parameters."""

    env: Environment
    network: PolicyNetwork

    def init(self, key: Key) -> tuple[Any, Key, Key]:
        """The first parameters, the same for every algorithm, and two keys to go on with; the key is consumed."""
        key_params, first, second = jax.random.split(key, 3)
        limit = self.env.action_limit
        params = self.network.init(key_params, jnp.zeros(self.env.observation_size, limit.dtype), limit)
        return params, first, second

    def apply(self, params: Any, observation: jax.Array) -> jax.Array:
        """(..., A) the actions of the network."""
        actions: Any = self.network.apply(params, observation, self.env.action_limit)
        return actions

    def policy(self, params: Any) -> Policy:
        """The network with its parameters, as a pytree."""
        return jax.tree_util.Partial(self.apply, params)

    def returns(self, params: Any, states: State) -> jax.Array:
        """(k,) the returns of a policy from initial states, leaves (k, ...)."""
        trajectories = jax.vmap(lambda state: rollout(self.env, self.policy(params), state))(states)
        return jnp.sum(trajectories.reward, axis=-1)

    def loss(self, params: Any, states: State) -> tuple[jax.Array, jax.Array]:
        """() the mean cost of rollouts from initial states, leaves (k, ...), and () how many are unhealthy.

        To be differentiated by the parameters (Eq. 3): `jax.checkpoint` keeps one state per step for the way back.
        """
        costs, healthy = jax.vmap(lambda state: self._cost(params, state))(states)
        return jnp.mean(costs), jnp.sum(~healthy)

    def _cost(self, params: Any, start: State) -> tuple[jax.Array, jax.Array]:
        """() minus the return of one rollout, and () whether every step of it was solved."""

        @jax.checkpoint
        def advance(state, weight):
            action = self.apply(params, self.env.observe(state))
            after = self.env.step(state, action)
            reward = weight * self.env.reward(after, action)
            error = self.env.step_error(*jax.lax.stop_gradient((state, action, after)))
            return after, (reward, (error <= 1) & jnp.isfinite(reward))

        _, (rewards, healthy) = jax.lax.scan(advance, start, self.env.reward_weights(self.env.horizon))
        return -jnp.sum(rewards), jnp.all(healthy)


@struct.dataclass
class Descent:
    """Parameters under gradient descent."""

    params: Any
    optimizer_state: Any
    num_steps: jax.Array  # () int32, gradient steps taken so far


def make_policy_model(env: Environment, hidden_sizes: tuple[int, ...]) -> PolicyModel:
    """The policy network with such hidden layers for an environment."""
    return PolicyModel(env, PolicyNetwork(hidden_sizes, env.action_size))


def init_descent(optimizer: optax.GradientTransformation, params: Any) -> Descent:
    """Nothing descended yet."""
    return Descent(params, optimizer.init(params), jnp.asarray(0, jnp.int32))


def descend(
    optimizer: optax.GradientTransformation, descent: Descent, gradient: Any, learning_rate: jax.Array
) -> Descent:
    """One step; a gradient that is not finite changes the parameters by nothing."""
    finite = jnp.isfinite(optax.tree.norm(gradient))
    updates, optimizer_state = optimizer.update(gradient, descent.optimizer_state, descent.params)
    params = jax.tree.map(lambda leaf, update: leaf - learning_rate * update, descent.params, updates)
    moved = Descent(params, optimizer_state, descent.num_steps + 1)
    kept = Descent(descent.params, descent.optimizer_state, descent.num_steps + 1)
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, kept)


def clipped_adam(largest_norm: float) -> optax.GradientTransformation:
    """Adam's direction for a gradient whose norm is clipped first."""
    return optax.chain(optax.clip_by_global_norm(largest_norm), optax.scale_by_adam())


def decayed_rate(learning_rate: float, epochs: jax.Array, halved_after: float) -> jax.Array:
    """() the learning rate after so many epochs: it falls as 1 / (1 + epochs / halved_after), or not, for 0."""
    return learning_rate / (1 + epochs / halved_after) if halved_after else jnp.full_like(epochs, learning_rate)


def sample_states(env: Environment, key: Key, count: int) -> State:
    """`count` random initial states, leaves (count, ...); the key is consumed."""
    return jax.vmap(env.reset)(jax.random.split(key, count))


def check_counts(config: Any, *names: str, at_least: int = 1) -> None:
    """Raises InputError unless these settings are whole numbers that large."""
    for name in names:
        checks.integer(f"algorithm.{name}", getattr(config, name), at_least=at_least)


def check_share(name: str, value: Any) -> None:
    """Raises InputError unless the setting is a number in [0, 1]."""
    if checks.number(f"algorithm.{name}", value, at_least=0.0) > 1:
        raise checks.InputError(f"algorithm.{name}", value, "must be at most 1")


def whole_minibatches(config: Any) -> dict[str, int]:
    """`batch_size` rounded down to whole minibatches, and `minibatch_size` not above it, both checked."""
    check_counts(config, "batch_size", "minibatch_size")
    size = min(config.minibatch_size, config.batch_size)
    return {"batch_size": config.batch_size // size * size, "minibatch_size": size}
