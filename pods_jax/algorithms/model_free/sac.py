"""Soft actor-critic (Haarnoja et al. 2018), built from Brax's losses and replay buffer.

One epoch: roll the random policy out from initial states drawn anew, store what happened, and take gradient steps on
transitions (s, a, r, s') drawn from all that is stored,

    two critics:   Q(s, a) -> r + discount (min Q_target(s', a') - alpha log pi(a'|s')),     a' from pi(.|s'),
    the policy:    E [alpha log pi(a|s) - min Q(s, a)] falls,
    alpha:         so that the entropy of the policy becomes -A / 2.

Brax's own trainer takes its gradient steps after every step of the environments; here the same number follows the
episode as a whole, and the target network is as slow.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import checks
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.envs.environment import Environment
from pods_jax.policies.network import PolicyNetwork
from pods_jax.types import Key, Metrics, Policy

if TYPE_CHECKING:  # Brax is imported when the algorithm is made, not before
    from pods_jax.algorithms.model_free.exploration import Explorer

TARGET_RATE = 0.005
"""The share of the critics that enters their target network in each gradient step."""

TEMPERATURE_RATE = 0.3
"""The learning rate of alpha, relative to that of the networks."""


@dataclass(frozen=True)
class Config:
    """Settings of SAC; the defaults were tried on pendulum_2d / stop."""

    batch_size: int = 64  # rollouts per epoch
    gradient_steps: int = 1600  # per epoch
    minibatch_size: int = 256  # transitions per gradient step
    buffer_size: int = 200_000  # transitions that are stored, the oldest leave first
    hidden_sizes: tuple[int, ...] = (128, 128)  # of the policy network, its scale and the critics
    learning_rate: float = 1e-3  # of Adam
    discount: float = 0.97  # of the rewards of later steps; see `exploration` before raising it
    reward_scale: float = 1.0  # of the rewards that the critics learn, against the entropy
    standardize: bool = True  # whether observations are scaled by their spread so far


@struct.dataclass
class Learned:
    """What gradient steps change."""

    params: Any  # "policy", "critics" and "log_temperature", the logarithm of alpha
    target: Any  # of the critics
    optimizer_states: Any  # by the same names


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    learned: Learned
    normalizer: Any  # statistics of the observations so far
    buffer: Any
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """SAC for one environment. Raises InputError naming a setting that is not allowed, and where Brax is missing."""
    config = validate(config or Config())
    if config.buffer_size < config.batch_size * env.horizon:
        raise checks.InputError(
            "algorithm.buffer_size",
            config.buffer_size,
            f"must hold an epoch, batch_size times horizon, {config.batch_size * env.horizon}",
        )
    from pods_jax.algorithms.model_free import exploration

    exploration.refuse_terminal_only("sac", env)
    network = PolicyNetwork(config.hidden_sizes, env.action_size)
    explorer = exploration.Explorer(env, network, config.standardize, config.reward_scale)
    adam = optax.adam(config.learning_rate)
    optimizers = {
        "policy": adam,
        "critics": adam,
        "log_temperature": optax.adam(TEMPERATURE_RATE * config.learning_rate),
    }
    sac = Sac(env, config, explorer, optimizers)
    return Algorithm("sac", env, config, sac.init, sac.update, sac.policy)


@dataclass(frozen=True, eq=False)
class Sac:
    """The three functions of the algorithm, and what they share."""

    env: Environment
    config: Config
    explorer: "Explorer"
    optimizers: dict[str, optax.GradientTransformation]

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        key_policy, key_rest, key_epochs = jax.random.split(key, 3)
        key_scale, key_critics, key_buffer = jax.random.split(key_rest, 3)
        with jax.numpy_rank_promotion("allow"):
            critics = self.networks().q_network.init(key_critics)
        params = {
            "policy": self.explorer.init(key_policy, key_scale),
            "critics": critics,
            "log_temperature": jnp.zeros((), self.env.action_limit.dtype),
        }
        optimizer_states = {name: self.optimizers[name].init(leaf) for name, leaf in params.items()}
        learned = Learned(params, critics, optimizer_states)
        return TrainState(learned, self.explorer.init_normalizer(), self.queue().init(key_buffer), key_epochs)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state, without noise."""
        return self.explorer.policy(state.normalizer, state.learned.params["policy"])

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch."""
        key, key_explore, key_steps = jax.random.split(state.key, 3)
        config, queue, policy = self.config, self.queue(), state.learned.params["policy"]
        experience, healthy, returns = self.explorer.explore(state.normalizer, policy, key_explore, config.batch_size)
        lean = experience._replace(extras={"state_extras": experience.extras["state_extras"]})
        flat = jax.tree.map(lambda leaf: leaf.reshape((-1, *leaf.shape[2:])), lean)
        with jax.numpy_rank_promotion("allow"):  # Brax's functions broadcast
            buffer = queue.insert_internal(state.buffer, flat)
            normalizer = self.explorer.update_normalizer(state.normalizer, flat.observation)

            def descend(learned, key):
                key_sample, key_losses = jax.random.split(key)
                _, sample = queue.sample_internal(buffer.replace(key=key_sample))
                return self.descend(normalizer, sample, learned, key_losses)

            steps = jax.random.split(key_steps, config.gradient_steps)
            learned, losses = jax.lax.scan(descend, state.learned, steps)
        new, old = (learned, normalizer, buffer), (state.learned, state.normalizer, state.buffer)
        # Where no rollout was healthy there was nothing to learn; what stays anyway, such as a key, is no choice.
        learned, normalizer, buffer = jax.tree.map(
            lambda after, before: before if after is before else jnp.where(jnp.any(healthy), after, before), new, old
        )
        metrics = self.explorer.summary(returns, healthy) | jax.tree.map(jnp.mean, losses)
        return TrainState(learned, normalizer, buffer, key), metrics

    def descend(self, normalizer: Any, sample: Any, learned: Learned, key: Key) -> tuple[Learned, Metrics]:
        """One step of Adam for alpha, the critics and the policy, each with the others as they were before it."""
        key_temperature, key_critics, key_policy = jax.random.split(key, 3)
        temperature_loss, critic_loss, policy_loss = self.losses()
        params = learned.params
        policy, critics, log_temperature = (params[name] for name in ("policy", "critics", "log_temperature"))
        alpha = jnp.exp(log_temperature)
        values_and_gradients = {
            "log_temperature": jax.value_and_grad(temperature_loss)(
                log_temperature, policy, normalizer, sample, key_temperature
            ),
            "critics": jax.value_and_grad(critic_loss)(
                critics, policy, normalizer, learned.target, alpha, sample, key_critics
            ),
            "policy": jax.value_and_grad(policy_loss)(policy, normalizer, critics, alpha, sample, key_policy),
        }
        after, optimizer_states = {}, {}
        for name, (_, gradient) in values_and_gradients.items():
            updates, optimizer_states[name] = self.optimizers[name].update(gradient, learned.optimizer_states[name])
            after[name] = optax.apply_updates(params[name], updates)
        target = optax.incremental_update(after["critics"], learned.target, TARGET_RATE)
        metrics = {f"{name}_loss": value for name, (value, _) in values_and_gradients.items()}
        return Learned(after, target, optimizer_states), metrics | {"temperature": alpha}

    def losses(self) -> Any:
        """Brax's losses of alpha, the critics and the policy."""
        from brax.training.agents.sac import losses

        return losses.make_losses(
            self.networks(),
            reward_scaling=1.0,  # the rewards come scaled
            discounting=self.config.discount,
            action_size=self.env.action_size,
        )

    def networks(self) -> Any:
        """The networks in the form that Brax's losses ask for."""
        from brax.training import networks
        from brax.training.agents.sac.networks import SACNetworks

        return SACNetworks(
            policy_network=networks.FeedForwardNetwork(init=lambda key: None, apply=self.explorer.logits),
            q_network=networks.make_q_network(
                self.env.observation_size,
                self.env.action_size,
                self.explorer.normalize,
                hidden_layer_sizes=self.config.hidden_sizes,
            ),
            parametric_action_distribution=self.explorer.distribution,
        )

    def queue(self) -> Any:
        """Brax's replay buffer."""
        from brax.training import replay_buffers
        from brax.training.types import Transition

        dtype = self.env.action_limit.dtype
        observation, number = jnp.zeros(self.env.observation_size, dtype), jnp.zeros((), dtype)
        example = Transition(
            observation=observation,
            action=jnp.zeros(self.env.action_size, dtype),
            reward=number,
            discount=number,
            next_observation=observation,
            extras={"state_extras": {"truncation": number}},
        )
        return replay_buffers.UniformSamplingQueue(self.config.buffer_size, example, self.config.minibatch_size)


def validate(config: Config) -> Config:
    """The config with `hidden_sizes` a tuple; raises InputError naming a setting that is not allowed."""
    for field in ("batch_size", "gradient_steps", "minibatch_size", "buffer_size"):
        checks.integer(f"algorithm.{field}", getattr(config, field), at_least=1)
    for field in ("learning_rate", "discount", "reward_scale"):
        checks.number(f"algorithm.{field}", getattr(config, field), above=0.0)
    if config.discount > 1:
        raise checks.InputError("algorithm.discount", config.discount, "must be at most 1")
    checks.boolean("algorithm.standardize", config.standardize)
    return dataclasses.replace(config, hidden_sizes=checks.sizes("algorithm.hidden_sizes", config.hidden_sizes))
