"""BPTT: the gradient of the return by the parameters of the policy, through whole rollouts (Eq. 3 of the paper).

    dJ/dtheta = 1/k sum_i d/dtheta sum_t r(s_{t+1}, pi(s_t)),    s_{t+1} = f(s_t, pi(s_t)),

followed by Adam. The gradient passes through T copies of the network and T implicit steps, so its size varies
over orders of magnitude from one initial policy to the next: its norm is clipped. `jax.checkpoint` keeps one state
per step for the way back and computes the rest again.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import checks
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.envs.environment import Environment
from pods_jax.policies import policy_model
from pods_jax.policies.policy_model import (
    Descent,
    PolicyModel,
    decayed_rate,
    descend,
    make_policy_model,
    sample_states,
)
from pods_jax.types import Key, Metrics, Policy


@dataclass(frozen=True)
class Config:
    """Settings of BPTT; the defaults are those that served pendulum_2d best."""

    batch_size: int = 800  # rollouts per epoch, rounded down to whole minibatches
    minibatch_size: int = 80  # rollouts per gradient step
    hidden_sizes: tuple[int, ...] = (128, 128)  # of the policy network
    learning_rate: float = 1e-2  # of Adam in the first epoch
    halved_after: float = 10.0  # epochs; the learning rate falls as 1 / (1 + epoch / halved_after), 0: it stays
    max_gradient_norm: float = 1.0  # of the gradient; a longer one is clipped


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    actor: Descent
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """BPTT for one environment. Raises InputError naming a setting that is not allowed."""
    config = validate(config or Config())
    bptt = Bptt(
        env, config, make_policy_model(env, config.hidden_sizes), policy_model.clipped_adam(config.max_gradient_norm)
    )
    return Algorithm("bptt", env, config, bptt.init, bptt.update, bptt.policy)


@dataclass(frozen=True, eq=False)
class Bptt:
    """The three functions of the algorithm, `init`, `update` and `policy`, and what they share."""

    env: Environment
    config: Config
    actor: PolicyModel
    optimizer: optax.GradientTransformation

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        params, key_epochs, _ = self.actor.init(key)
        return TrainState(policy_model.init_descent(self.optimizer, params), key_epochs)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state."""
        return self.actor.policy(state.actor.params)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch: every rollout once, in as many gradient steps as there are minibatches."""
        config, (key, key_states) = self.config, jax.random.split(state.key)
        steps = config.batch_size // config.minibatch_size
        rate = decayed_rate(config.learning_rate, state.actor.num_steps / steps, config.halved_after)

        def advance(descent, key):
            starts = sample_states(self.env, key, config.minibatch_size)
            (loss, unhealthy), gradient = jax.value_and_grad(self.actor.loss, has_aux=True)(descent.params, starts)
            return descend(self.optimizer, descent, gradient, rate), (loss, optax.tree.norm(gradient), unhealthy)

        actor, (losses, norms, unhealthy) = jax.lax.scan(advance, state.actor, jax.random.split(key_states, steps))
        metrics = {
            "value": -jnp.mean(losses),
            "loss": losses[-1],
            "gradient_norm": jnp.mean(norms),
            "clipped_fraction": jnp.mean(norms > config.max_gradient_norm, dtype=losses.dtype),
            "unhealthy_rollouts": jnp.sum(unhealthy),
            "environment_steps": jnp.asarray(config.batch_size * self.env.horizon),
        }
        return TrainState(actor, key), metrics


def validate(config: Config) -> Config:
    """The config in its final form; raises InputError naming a setting that is not allowed."""
    sizes = policy_model.whole_minibatches(config)
    checks.number("algorithm.learning_rate", config.learning_rate, above=0.0)
    checks.number("algorithm.halved_after", config.halved_after, at_least=0.0)
    checks.number("algorithm.max_gradient_norm", config.max_gradient_norm, above=0.0)
    return dataclasses.replace(
        config, **sizes, hidden_sizes=checks.sizes("algorithm.hidden_sizes", config.hidden_sizes)
    )
