"""Proximal policy optimization (Schulman et al. 2017), built from Brax's losses.

One epoch: roll the random policy out from initial states drawn anew, estimate advantages (GAE), and take a few passes
of Adam over minibatches of whole episodes,

    L = -E min(r A, clip(r, 1 - c, 1 + c) A) + 1/4 E (V - V_target)^2 - entropy_cost * E H,
    r = pi(a|s) / pi_old(a|s).

Brax's own trainer is one function that cannot be left and resumed exactly, nor started from given weights; here the
same losses, distribution and statistics make one pure update. Two things differ from it, both on purpose: every
episode has an initial state of its own, and the observations' statistics change after the passes, not before, so that
r = 1 where they begin.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import settings
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.policies.encoders import NETWORK_MEANING
from pods_jax.settings import group, setting
from pods_jax.types import Key, Metrics, Policy

if TYPE_CHECKING:  # Brax is imported when the algorithm is made, not before
    from pods_jax.algorithms.model_free.exploration import Explorer


@dataclass(frozen=True)
class Optimizer:
    """Adam, in passes over minibatches of whole episodes."""

    learning_rate: float = setting(1e-3, "of Adam", above=0.0)
    max_gradient_norm: float = setting(1.0, "a longer gradient is clipped to this norm", above=0.0)
    num_minibatches: int = setting(8, "into which the rollouts of an epoch are divided", at_least=1)
    num_passes: int = setting(4, "over all of them in each epoch", at_least=1)


@dataclass(frozen=True)
class Loss:
    """The coefficients of the loss."""

    discount: float = setting(
        0.97, "of the rewards of later steps; see `exploration` before raising it", above=0.0, at_most=1.0
    )
    gae_lambda: float = setting(
        0.95, "between one-step (0) and whole-episode (1) advantages", at_least=0.0, at_most=1.0
    )
    clipping: float = setting(0.3, "c, of the ratio of probabilities", above=0.0)
    entropy_cost: float = setting(1e-3, "weight of the entropy", at_least=0.0)
    reward_scale: float = setting(0.1, "of the rewards that the critic learns", above=0.0)


@dataclass(frozen=True)
class Config:
    """Settings of PPO; the defaults were tried on pendulum_2d / stop."""

    batch_size: int = setting(512, "rollouts per epoch", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of policy, its scale and critic")
    network: Any = setting("mlp", NETWORK_MEANING)
    standardize: bool = setting(True, "whether observations are scaled by their spread so far")
    optimizer: Optimizer = group(Optimizer, "Adam, in passes over minibatches of whole episodes")
    loss: Loss = group(Loss, "the coefficients of the loss")


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    params: Any  # "policy" and "value"
    optimizer_state: Any
    normalizer: Any  # statistics of the observations so far
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """PPO for one environment. Raises InputError naming a setting that is not allowed, and where Brax is missing."""
    config = settings.check(config or Config(), "algorithm")
    if config.batch_size % config.optimizer.num_minibatches:
        raise InputError(
            "algorithm.optimizer.num_minibatches",
            config.optimizer.num_minibatches,
            f"must divide batch_size, {config.batch_size}",
        )
    from pods_jax.algorithms.model_free.exploration import make_explorer

    explorer = make_explorer("ppo", env, config)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.optimizer.max_gradient_norm), optax.adam(config.optimizer.learning_rate)
    )
    ppo = Ppo(env, config, explorer, optimizer)
    return Algorithm("ppo", env, config, ppo.init, ppo.update, ppo.policy)


@dataclass(frozen=True, eq=False)
class Ppo:
    """The three functions of the algorithm, and what they share."""

    env: Environment
    config: Config
    explorer: "Explorer"
    optimizer: optax.GradientTransformation

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        key_policy, key_rest, key_epochs = jax.random.split(key, 3)
        key_scale, key_value = jax.random.split(key_rest)
        with jax.numpy_rank_promotion("allow"):
            value = self.networks().value_network.init(key_value)
        params = {"policy": self.explorer.init(key_policy, key_scale), "value": value}
        epoch = jnp.asarray(0, jnp.int32)
        return TrainState(epoch, params, self.optimizer.init(params), self.explorer.init_normalizer(), key_epochs)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state, without noise."""
        return self.explorer.policy(state.normalizer, state.params["policy"])

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch."""
        key, key_explore, key_passes = jax.random.split(state.key, 3)
        count = self.config.batch_size
        experience, healthy, returns = self.explorer.explore(
            state.normalizer, state.params["policy"], key_explore, count
        )

        def one_pass(carry, key):
            key_order, key_loss = jax.random.split(key)
            order = jax.random.permutation(key_order, count).reshape(self.config.optimizer.num_minibatches, -1)
            keys = jax.random.split(key_loss, self.config.optimizer.num_minibatches)
            descend = partial(self.descend, state.normalizer, experience)
            return jax.lax.scan(descend, carry, (order, keys))

        start = (state.params, state.optimizer_state)
        passes = jax.random.split(key_passes, self.config.optimizer.num_passes)
        (params, optimizer_state), losses = jax.lax.scan(one_pass, start, passes)
        with jax.numpy_rank_promotion("allow"):
            normalizer = self.explorer.update_normalizer(state.normalizer, experience.observation)
        learned, old = (params, optimizer_state, normalizer), (state.params, state.optimizer_state, state.normalizer)
        # Where no rollout was healthy there was nothing to learn.
        params, optimizer_state, normalizer = jax.tree.map(
            lambda new, before: jnp.where(jnp.any(healthy), new, before), learned, old
        )
        metrics = self.explorer.summary(returns, healthy) | jax.tree.map(jnp.mean, losses)
        return TrainState(state.epoch + 1, params, optimizer_state, normalizer, key), metrics

    def descend(
        self, normalizer: Any, experience: Any, carry: tuple[Any, Any], minibatch: tuple[jax.Array, Key]
    ) -> tuple[tuple[Any, Any], Metrics]:
        """One step of Adam on the episodes of `experience` that a minibatch (their numbers, a key) consists of."""
        params, optimizer_state = carry
        chosen, key = minibatch
        data = jax.tree.map(lambda leaf: leaf[chosen], experience)
        with jax.numpy_rank_promotion("allow"):  # Brax's losses broadcast
            gradient, metrics = jax.grad(self.loss, has_aux=True)(params, normalizer, data, key)
        updates, optimizer_state = self.optimizer.update(gradient, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), metrics

    def loss(self, params: Any, normalizer: Any, data: Any, key: Key) -> tuple[jax.Array, Metrics]:
        """Brax's loss of episodes, leaves (B, T, ...), and its parts."""
        from brax.training.agents.ppo import losses

        total, parts = losses.compute_ppo_loss(
            losses.PPONetworkParams(**params),
            normalizer,
            data,
            key,
            self.networks(),
            entropy_cost=self.config.loss.entropy_cost,
            discounting=self.config.loss.discount,
            gae_lambda=self.config.loss.gae_lambda,
            clipping_epsilon=self.config.loss.clipping,
        )
        named = {"policy_loss": "policy_loss", "value_loss": "v_loss", "entropy_loss": "entropy_loss"}
        metrics = {name: parts[theirs] for name, theirs in named.items()}
        return total, metrics | {"divergence": parts["kl_mean"], "deviation": parts["policy_dist_mean_std"]}

    def networks(self) -> Any:
        """The networks in the form that Brax's losses ask for."""
        from brax.training import networks
        from brax.training.agents.ppo.networks import PPONetworks

        return PPONetworks(
            policy_network=networks.FeedForwardNetwork(init=lambda key: None, apply=self.explorer.logits),
            value_network=networks.make_value_network(
                self.env.observation_size,
                self.explorer.normalize,
                hidden_layer_sizes=self.config.hidden_sizes,
            ),
            parametric_action_distribution=self.explorer.distribution,
        )
