"""SHAC, the short-horizon actor-critic (Xu et al. 2022): gradients through short windows, a critic for the rest.

    J(theta) = 1/N sum_i [ sum_{t in window} r_t + V(s_end, t_end) ],

differentiated through the simulator by the parameters of the policy. Windows follow each other along episodes of
exactly T steps: N episodes go on at a time, their clocks one window apart so that each gradient step sees all parts
of an episode, and one that is over starts again. A window that passes the end of its episode earns nothing there.

The return is not discounted, unlike in the original: it is what the policy is judged by, and it is finite, since the
critic knows the time (`critic.py`) and nothing is earned after the last step. Rewards that count in the last step
only are learnt through the critic.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import settings
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.gradient_settings import GradientOptimizer, whole_minibatches
from pods_jax.algorithms.shac.critic import Critic, CriticNetwork, lambda_returns
from pods_jax.envs.environment import Environment, State
from pods_jax.envs.trial import check_reverse_mode, check_reward
from pods_jax.policies.descent import Descent, clipped_adam, decayed_rate, descend, if_finite, init_descent
from pods_jax.policies.encoders import NETWORK_MEANING
from pods_jax.policies.policy_model import PolicyLearning, make_policy_model
from pods_jax.rollouts import sample_states
from pods_jax.settings import group, setting
from pods_jax.types import Key, Metrics, Policy

TRACE = 0.95
"""lambda of the critic's targets, as in the original."""


@dataclass(frozen=True)
class CriticSettings:
    """What learns the value of states."""

    hidden_sizes: tuple[int, ...] = setting((64, 64), "units of each hidden layer of the critic")
    learning_rate: float = setting(2e-3, "of the critic in the first epoch", above=0.0)
    gradient_steps: int = setting(16, "of the critic after each window", at_least=1)
    target_share: float = setting(
        0.6, "of the critic that goes into the target critic after each window", at_least=0.0, at_most=1.0
    )


@dataclass(frozen=True)
class Config:
    """Settings of SHAC; the defaults are those that served pendulum_2d best."""

    MOVED: ClassVar[dict[str, str]] = {
        "critic_sizes": "critic.hidden_sizes",
        "critic_learning_rate": "critic.learning_rate",
        "critic_steps": "critic.gradient_steps",
    }

    batch_size: int = setting(640, "episodes per epoch, rounded down to whole minibatches", at_least=1)
    minibatch_size: int = setting(64, "episodes at a time, N", at_least=1)
    window: int = setting(10, "steps that a gradient passes through", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of the policy network")
    network: Any = setting("mlp", NETWORK_MEANING)
    optimizer: GradientOptimizer = group(GradientOptimizer, "Adam, for policy and critic")
    critic: CriticSettings = group(CriticSettings, "what learns the value of states")


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    policy: Descent
    critic: Descent
    target: Any  # parameters of the target critic
    scale: jax.Array  # () magnitude of returns, the unit of the critic
    states: State  # leaves (N, ...), where the episodes are
    time: jax.Array  # (N,) int32, steps of them that are over
    key: Key


@struct.dataclass
class Window:
    """A piece of an episode: leaves have a leading h."""

    state: Any  # before each step
    after: Any  # after it
    time: jax.Array  # (h,) int32, before each step
    reward: jax.Array  # (h,) zero after the end of the episode
    healthy: jax.Array  # (h,)


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """SHAC for one environment. Raises InputError naming a setting that is not allowed."""
    config = settings.check(config or Config(), "algorithm")
    check_reverse_mode(env, "the algorithm shac")
    check_reward(env)
    batch_size, minibatch_size = whole_minibatches(config.batch_size, config.minibatch_size)
    config = dataclasses.replace(config, batch_size=batch_size, minibatch_size=minibatch_size)
    model = make_policy_model(env, config.hidden_sizes, config.network)
    optimizer = clipped_adam(config.optimizer.max_gradient_norm)
    shac = Shac(env, config, model, optimizer, Critic(env, CriticNetwork(config.critic.hidden_sizes)))
    return Algorithm("shac", env, config, shac.init, shac.update, shac.policy)


@dataclass(frozen=True, eq=False)
class Shac(PolicyLearning):
    """The three functions of the algorithm, `init`, `update` and `policy`, and what they share."""

    config: Config
    critic: Critic

    @property
    def windows(self) -> int:
        """Windows of an episode."""
        return -(-self.env.horizon // self.config.window)

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        params, key_states, key_rest = self.model.init(key)
        key_critic, key_epochs = jax.random.split(key_rest)
        states = sample_states(self.env, key_states, self.config.minibatch_size)
        scale = jnp.mean(jnp.abs(self.model.returns(params, states)))
        critic = init_descent(self.optimizer, self.critic.init(key_critic))
        return TrainState(
            epoch=jnp.asarray(0, jnp.int32),
            policy=init_descent(self.optimizer, params),
            critic=critic,
            target=critic.params,
            scale=jnp.maximum(jnp.where(jnp.isfinite(scale), scale, 1.0), jnp.finfo(scale.dtype).eps),
            states=states,
            time=jnp.arange(self.config.minibatch_size, dtype=jnp.int32) % self.windows * self.config.window,
            key=key_epochs,
        )

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state."""
        return self.model.policy(state.policy.params)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch: `batch_size` episodes' worth of windows, each with a gradient step."""
        config, optimizer = self.config, self.config.optimizer
        count = config.batch_size // config.minibatch_size * self.windows
        rate, critic_rate = (
            decayed_rate(first, state.epoch, optimizer.halved_after).astype(self.env.action_limit.dtype)
            for first in (optimizer.learning_rate, config.critic.learning_rate)
        )
        state, rows = jax.lax.scan(lambda state, _: self.advance(state, rate, critic_rate), state, length=count)
        return dataclasses.replace(state, epoch=state.epoch + 1), {
            **{name: jnp.mean(rows[name]) for name in ("loss", "critic_loss", "gradient_norm")},
            "unhealthy_rollouts": jnp.sum(rows["unhealthy_windows"]) / self.windows,
            "nonfinite_derivatives": jnp.sum(~jnp.isfinite(rows["gradient_norm"])),
            "environment_steps": jnp.asarray(count * config.minibatch_size * config.window),
        }

    def advance(self, state: TrainState, rate: jax.Array, critic_rate: jax.Array) -> tuple[TrainState, Metrics]:
        """One window of all episodes: a step of the policy, several of the critic, a little of the target critic."""
        key, key_states = jax.random.split(state.key)
        (loss, windows), gradient = jax.value_and_grad(self.loss, has_aux=True)(state.policy.params, state)
        policy = if_finite(gradient, descend(self.optimizer, state.policy, gradient, rate), state.policy)
        critic, critic_loss = self.learn_values(state, windows, critic_rate)
        share = self.config.critic.target_share
        target = jax.tree.map(lambda old, new: (1 - share) * old + share * new, state.target, critic.params)
        healthy = jnp.all(windows.healthy, axis=1)
        time = state.time + self.config.window
        over = (time >= self.env.horizon) | ~healthy
        fresh = sample_states(self.env, key_states, self.config.minibatch_size)
        ends = jax.tree.map(lambda leaf: leaf[:, -1], windows.after)
        states = jax.tree.map(lambda new, old: jnp.where(_like(over, new), new, old), fresh, ends)
        time = jnp.where(over, 0, time)
        metrics = {
            "loss": loss,
            "critic_loss": critic_loss,
            "gradient_norm": optax.tree.norm(gradient),
            "unhealthy_windows": jnp.sum(~healthy),
        }
        return TrainState(state.epoch, policy, critic, target, state.scale, states, time, key), metrics

    def loss(self, params: Any, state: TrainState) -> tuple[jax.Array, Window]:
        """() the mean cost of a window and of what follows, in units of the scale; and the windows, leaves (N, h)."""

        def cost(start, time):
            window = self.follow(params, start, time)
            end = jax.tree.map(lambda leaf: leaf[-1], window.after)
            later = self.critic.value(state.target, state.scale, end, time + self.config.window)
            return -(jnp.sum(window.reward) + later) / state.scale, window

        costs, windows = jax.vmap(cost)(state.states, state.time)
        return jnp.mean(costs), jax.lax.stop_gradient(windows)

    def follow(self, params: Any, start: State, time: jax.Array) -> Window:
        """What the policy does from `start`, `time` steps of the episode being over."""
        weights = self.env.reward_weights(self.env.horizon)

        def advance(state, time):
            action = self.model.apply(params, self.env.observe(state))
            after = self.env.step(state, action)
            weight = jnp.where(time < self.env.horizon, weights[jnp.minimum(time, self.env.horizon - 1)], 0.0)
            reward = weight * self.env.reward(after, action)
            error = self.env.step_error(*jax.lax.stop_gradient((state, action, after)))
            return after, Window(state, after, time, reward, (error <= 1) & jnp.isfinite(reward))

        return jax.lax.scan(advance, start, time + jnp.arange(self.config.window, dtype=time.dtype))[1]

    def learn_values(self, state: TrainState, windows: Window, rate: jax.Array) -> tuple[Descent, jax.Array]:
        """The critic after `critic_steps` gradient steps, and its last loss; unhealthy windows weigh nothing."""
        value = jax.vmap(jax.vmap(self.critic.value, (None, None, 0, 0)), (None, None, 0, 0))
        values = value(state.target, state.scale, windows.after, windows.time + 1)
        targets = jax.vmap(lambda reward, later: lambda_returns(reward, later, TRACE))(windows.reward, values)
        use = jnp.all(windows.healthy, axis=1)[:, None] & (windows.time < self.env.horizon)
        count = jnp.maximum(jnp.sum(use), 1)

        def loss(params):
            error = (value(params, state.scale, windows.state, windows.time) - targets) / state.scale
            return jnp.sum(jnp.where(use, error, 0.0) ** 2) / count

        def step(critic, _):
            number, gradient = jax.value_and_grad(loss)(critic.params)
            return if_finite(gradient, descend(self.optimizer, critic, gradient, rate), critic), number

        critic, losses = jax.lax.scan(step, state.critic, length=self.config.critic.gradient_steps)
        return critic, losses[-1]


def _like(mask: jax.Array, leaf: jax.Array) -> jax.Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - 1))
