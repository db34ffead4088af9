"""Soft actor-critic (Haarnoja et al. 2018), built from Brax's losses and replay buffer.

One epoch: roll the random policy out from initial states drawn anew, store what happened, and take gradient steps on
transitions (s, a, r, s') drawn from all that is stored,

    two critics:   Q(s, a) -> r + discount (min Q_target(s', a') - alpha log pi(a'|s')),     a' from pi(.|s'),
    the policy:    E [alpha log pi(a|s) - min Q(s, a)] falls,
    alpha:         so that the entropy of the policy becomes -A / 2.

Brax's own trainer takes its gradient steps after every step of the environments; here the same number follows the
episode as a whole, and the target network is as slow.
"""

from dataclasses import dataclass
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

TARGET_RATE = 0.005
"""The share of the critics that enters their target network in each gradient step."""

TEMPERATURE_RATE = 0.3
"""The learning rate of alpha, relative to that of the networks."""


@dataclass(frozen=True)
class Optimizer:
    """Adam, on transitions drawn from all that are stored."""

    learning_rate: float = setting(1e-3, "of Adam", above=0.0)
    gradient_steps: int = setting(1600, "gradient steps per epoch", at_least=1)
    minibatch_size: int = setting(256, "transitions per gradient step", at_least=1)
    buffer_size: int = setting(200_000, "transitions that are stored, the oldest leave first", at_least=1)


@dataclass(frozen=True)
class Loss:
    """The coefficients of the losses."""

    discount: float = setting(
        0.97, "of the rewards of later steps; see `exploration` before raising it", above=0.0, at_most=1.0
    )
    reward_scale: float = setting(1.0, "of the rewards that the critics learn, against the entropy", above=0.0)


@dataclass(frozen=True)
class Config:
    """Settings of SAC; the defaults were tried on pendulum_2d / stop."""

    batch_size: int = setting(64, "rollouts per epoch", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of policy, its scale and critics")
    network: Any = setting("mlp", NETWORK_MEANING)
    standardize: bool = setting(True, "whether observations are scaled by their spread so far")
    optimizer: Optimizer = group(Optimizer, "Adam, on transitions drawn from all that are stored")
    loss: Loss = group(Loss, "the coefficients of the losses")


@struct.dataclass
class Learned:
    """What gradient steps change."""

    params: Any  # "policy", "critics" and "log_temperature", the logarithm of alpha
    target: Any  # of the critics
    optimizer_states: Any  # by the same names


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    learned: Learned
    normalizer: Any  # statistics of the observations so far
    buffer: Any
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """SAC for one environment. Raises InputError naming a setting that is not allowed, and where Brax is missing."""
    config = settings.check(config or Config(), "algorithm")
    if config.optimizer.buffer_size < config.batch_size * env.horizon:
        raise InputError(
            "algorithm.optimizer.buffer_size",
            config.optimizer.buffer_size,
            f"must hold an epoch, batch_size times horizon, {config.batch_size * env.horizon}",
        )
    from pods_jax.algorithms.model_free.exploration import make_explorer

    explorer = make_explorer("sac", env, config)
    adam = optax.adam(config.optimizer.learning_rate)
    optimizers = {
        "policy": adam,
        "critics": adam,
        "log_temperature": optax.adam(TEMPERATURE_RATE * config.optimizer.learning_rate),
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
        epoch, buffer = jnp.asarray(0, jnp.int32), self.queue().init(key_buffer)
        return TrainState(epoch, learned, self.explorer.init_normalizer(), buffer, key_epochs)

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

            steps = jax.random.split(key_steps, config.optimizer.gradient_steps)
            learned, losses = jax.lax.scan(descend, state.learned, steps)
        new, old = (learned, normalizer, buffer), (state.learned, state.normalizer, state.buffer)
        # Where no rollout was healthy there was nothing to learn; what stays anyway, such as a key, is no choice.
        learned, normalizer, buffer = jax.tree.map(
            lambda after, before: before if after is before else jnp.where(jnp.any(healthy), after, before), new, old
        )
        metrics = self.explorer.summary(returns, healthy) | jax.tree.map(jnp.mean, losses)
        return TrainState(state.epoch + 1, learned, normalizer, buffer, key), metrics

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
            discounting=self.config.loss.discount,
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
        how = self.config.optimizer
        return replay_buffers.UniformSamplingQueue(how.buffer_size, example, how.minibatch_size)
