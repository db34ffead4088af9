"""BPTT: the gradient of the return by the parameters of the policy, through whole rollouts (Eq. 3 of the paper).

    dJ/dtheta = 1/k sum_i d/dtheta sum_t r(s_{t+1}, pi(s_t)),    s_{t+1} = f(s_t, pi(s_t)),

followed by Adam. The gradient passes through T copies of the network and T implicit steps, so its size varies
over orders of magnitude from one initial policy to the next: its norm is clipped. `jax.checkpoint` keeps one state
per step for the way back and computes the rest again.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import settings
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.gradient_settings import GradientOptimizer, whole_minibatches
from pods_jax.envs.environment import Environment
from pods_jax.envs.trial import check_reverse_mode, check_reward
from pods_jax.policies.descent import Descent, clipped_adam, decayed_rate, descend, if_finite, init_descent
from pods_jax.policies.encoders import NETWORK_MEANING
from pods_jax.policies.policy_model import PolicyLearning, make_policy_model
from pods_jax.rollouts import sample_states
from pods_jax.settings import group, setting
from pods_jax.types import Key, Metrics, Policy


@dataclass(frozen=True)
class Config:
    """Settings of BPTT; the defaults are those that served pendulum_2d best."""

    batch_size: int = setting(800, "rollouts per epoch, rounded down to whole minibatches", at_least=1)
    minibatch_size: int = setting(80, "rollouts per gradient step", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of the policy network")
    network: Any = setting("mlp", NETWORK_MEANING)
    optimizer: GradientOptimizer = group(GradientOptimizer, "Adam")


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    policy: Descent
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """BPTT for one environment. Raises InputError naming a setting that is not allowed."""
    config = settings.check(config or Config(), "algorithm")
    check_reverse_mode(env, "the algorithm bptt")
    check_reward(env)
    batch_size, minibatch_size = whole_minibatches(config.batch_size, config.minibatch_size)
    config = dataclasses.replace(config, batch_size=batch_size, minibatch_size=minibatch_size)
    optimizer = clipped_adam(config.optimizer.max_gradient_norm)
    bptt = Bptt(env, config, make_policy_model(env, config.hidden_sizes, config.network), optimizer)
    return Algorithm("bptt", env, config, bptt.init, bptt.update, bptt.policy)


@dataclass(frozen=True, eq=False)
class Bptt(PolicyLearning):
    """The three functions of the algorithm, `init`, `update` and `policy`, and what they share."""

    config: Config

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        params, key_epochs, _ = self.model.init(key)
        return TrainState(jnp.asarray(0, jnp.int32), init_descent(self.optimizer, params), key_epochs)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state."""
        return self.model.policy(state.policy.params)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch: every rollout once, in as many gradient steps as there are minibatches."""
        config, (key, key_states) = self.config, jax.random.split(state.key)
        num_steps, how = config.batch_size // config.minibatch_size, config.optimizer
        rate = decayed_rate(how.learning_rate, state.epoch, how.halved_after).astype(self.env.action_limit.dtype)

        def advance(descent, key):
            starts = sample_states(self.env, key, config.minibatch_size)
            (loss, unhealthy), gradient = jax.value_and_grad(self.model.loss, has_aux=True)(descent.params, starts)
            moved = if_finite(gradient, descend(self.optimizer, descent, gradient, rate), descent)
            return moved, (loss, optax.tree.norm(gradient), unhealthy)

        keys = jax.random.split(key_states, num_steps)
        policy, (losses, norms, unhealthy) = jax.lax.scan(advance, state.policy, keys)
        metrics = {
            "value": -jnp.mean(losses),
            "loss": losses[-1],
            "gradient_norm": jnp.mean(norms),
            "clipped_fraction": jnp.mean(norms > how.max_gradient_norm, dtype=losses.dtype),
            "unhealthy_rollouts": jnp.sum(unhealthy),
            "nonfinite_derivatives": jnp.sum(~jnp.isfinite(norms)),
            "environment_steps": jnp.asarray(config.batch_size * self.env.horizon),
        }
        return TrainState(state.epoch + 1, policy, key), metrics
