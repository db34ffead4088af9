"""The policy of an environment: a network, as functions of its parameters."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from pods_jax.envs.environment import Environment, State
from pods_jax.policies.encoders import make_encoder
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
        """(..., A) the actions of the network for observations (..., O), in action units."""
        actions: Any = self.network.apply(params, observation, self.env.action_limit)
        return actions

    def policy(self, params: Any) -> Policy:
        """The network with its parameters, as a pytree."""
        return jax.tree_util.Partial(self.apply, params)

    def returns(self, params: Any, states: State) -> jax.Array:
        """(k,) the returns of the policy from initial states, leaves (k, ...)."""
        trajectories = jax.vmap(lambda state: rollout(self.env, self.policy(params), state))(states)
        return jnp.sum(trajectories.reward, axis=-1)

    def loss(self, params: Any, states: State) -> tuple[jax.Array, jax.Array]:
        """() the mean cost of rollouts from initial states, leaves (k, ...), and () how many are unhealthy.

        It is to be differentiated by the parameters (Eq. 3): `jax.checkpoint` keeps one state per step for the way
        back and computes the rest again.
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


@dataclass(frozen=True, eq=False)
class PolicyLearning:
    """What the functions of an algorithm that trains a PolicyModel by an optimizer share."""

    env: Environment
    config: Any
    model: PolicyModel
    optimizer: optax.GradientTransformation


def make_policy_model(env: Environment, hidden_sizes: tuple[int, ...], network: Any = "mlp") -> PolicyModel:
    """The policy network with such hidden layers for an environment; network: see `encoders.make_encoder`."""
    return PolicyModel(env, PolicyNetwork(hidden_sizes, env.action_size, make_encoder(network, env)))
