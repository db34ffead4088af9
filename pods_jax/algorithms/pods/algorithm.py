"""PODS, Algorithm 1 of the paper: improve sampled trajectories, then fit the policy to them.

One epoch: take k initial states, roll the policy out, improve every action sequence by one step of first or second
order (Eq. 6, Eq. 14), regress the policy on the result (Eq. 7), and take the new policy if it is no worse.
`lessons.py` derives the two regressions. Some of the k states stay the same in all epochs, the others are drawn anew:
returns are then compared from epoch to epoch without the noise of sampling, and hardly ever fall.

It is always the learner's own policy that is rolled out and improved. Where the guard holds a new policy back, that
one is not the policy of the train state; to go on with the old one's data would teach the learner about places where
it does not go, and the guard would go on acting.

With `polish_after`, later epochs improve nothing but the policy, by the gradient of its return: see `polish.py`.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import checks
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.pods import fine_tuning, metrics
from pods_jax.algorithms.pods.guard import guard
from pods_jax.algorithms.pods.targets import (
    IMPROVED_SHARE,
    flatten_samples,
    is_healthy,
    is_solved,
    regression_targets,
)
from pods_jax.devices import sharding
from pods_jax.envs.environment import Environment
from pods_jax.improvement import Improvement, improve_batch
from pods_jax.policies import policy_model
from pods_jax.policies.network import standardize
from pods_jax.policies.policy_model import PolicyModel, make_policy_model, sample_states
from pods_jax.policies.regression import Learner, Samples, fit, init_learner
from pods_jax.rollouts import rollout
from pods_jax.trajopt import METHODS, WITHOUT_FEEDBACK
from pods_jax.types import Key, Metrics, Policy, Trajectory

LEARNING_RATE_EPOCHS = 10.0
"""The learning rate falls as 1 / (1 + epoch / LEARNING_RATE_EPOCHS)."""

Learned = tuple[Learner, jax.Array, Metrics, jax.Array]
"""The learner after an epoch, its losses, what was improved, and which rollouts were healthy."""

REGRESSIONS = ("auto", "visited_states", "improved_states")


@dataclass(frozen=True)
class Config:
    """Settings of PODS; the defaults serve all pendulum tasks."""

    batch_size: int = 400  # rollouts per epoch, k in the paper
    method: str = "riccati"  # direction of improvement
    regression: str = "auto"  # visited_states for second-order methods, improved_states for first_order
    damping: float = 0.0  # added to the diagonal of the Hessian, needed where w_a = 0
    hidden_sizes: tuple[int, ...] = (128, 128)  # of the policy network
    learning_rate: float = 1e-2  # of Adam in the first epoch; it falls from there
    standardize: bool = False  # whether the network scales observations by their spread in the first epoch
    gradient_steps: int = 50  # per epoch, as in the paper
    minibatch_size: int = 1024  # samples per gradient step; 0 takes all
    guard_size: int = 200  # rollouts that start alike in each epoch, for the guard; 0: Algorithm 1, no guard
    chunk_size: int = 0  # rollouts improved at once; 0: as many as suit the device, see `chunking.at_once`
    polish_after: int = 0  # epochs, after which the policy follows the gradient of its return; 0: never


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    params: Any  # of the policy, the best so far by the guard
    learner: Learner  # the regression, whose average is rolled out, and is the policy if the guard agrees
    key: Key
    guard_states: Any  # initial states that stay the same, drawn once; none without a guard
    guard_value: jax.Array  # () mean return of the policy from them; without a guard, from the last batch


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """PODS for one environment. Raises InputError naming a setting that is not allowed."""
    config = validate(config or Config())
    if env.terminal_only and config.method != "first_order" and config.damping == 0:
        raise checks.InputError(
            "algorithm.damping",
            config.damping,
            "must be greater than 0 where only the last reward counts, since all actions but the last cost nothing by "
            "themselves; try 1e-3",
        )
    pods = Pods(env, config, make_policy_model(env, config.hidden_sizes), optax.scale_by_adam())
    return Algorithm("pods", env, config, pods.init, pods.update, pods.policy)


@dataclass(frozen=True, eq=False)
class Pods:
    """The three functions of the algorithm, `init`, `update` and `policy`, and what they share."""

    env: Environment
    config: Config
    actor: PolicyModel
    optimizer: optax.GradientTransformation

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        params, key_guard, key_epochs = self.actor.init(key)
        guard_states: Any = ()
        guard_value = jnp.asarray(-jnp.inf, self.env.action_limit.dtype)
        for field in ("batch_size", "guard_size"):
            sharding.check(f"algorithm.{field}", getattr(self.config, field))
        if self.config.guard_size:
            guard_states = sample_states(self.env, key_guard, self.config.guard_size)
            guard_value = jnp.mean(self.returns(params, guard_states))
        return TrainState(params, init_learner(self.optimizer, params), key_epochs, guard_states, guard_value)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state."""
        return self.actor.policy(state.params)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch of Algorithm 1."""
        key, key_states, key_fit = jax.random.split(state.key, 3)
        starts = self.initial_states(state, key_states)
        fitted, losses, made, healthy = self.learn(state.learner, starts, key_fit)
        returns = self.returns(fitted.average, starts)
        guarded = guard(
            state.params,
            state.guard_value,
            fitted,
            jnp.mean(returns[: self.config.guard_size or self.config.batch_size]),
            init_learner(self.optimizer, state.params, fitted.num_steps),
            allow_worse=self.config.guard_size == 0,
            restart=self.polishes(state.learner),
        )
        numbers = metrics.epoch_metrics(self.env, made, healthy, losses, guarded, returns)
        return TrainState(guarded.params, guarded.learner, key, state.guard_states, guarded.value), numbers

    def initial_states(self, state: TrainState, key: Key) -> Any:
        """The k initial states of an epoch: those of the guard, and others drawn anew; the key is consumed."""
        drawn = sample_states(self.env, key, self.config.batch_size - self.config.guard_size)
        if not self.config.guard_size:
            return drawn
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.guard_states, drawn)

    def learn(self, learner: Learner, starts: Any, key: Key) -> Learned:
        """What the learner makes of an epoch that starts like this; the key is consumed."""
        if not self.config.polish_after:
            return self.imitate(learner, starts, key)
        return jax.lax.cond(self.polishes(learner), self.fine_tune, self.imitate, learner, starts, key)

    def imitate(self, learner: Learner, starts: Any, key: Key) -> Learned:
        """Improved trajectories, and the regression on them."""
        improve_all = sharding.shard_map_rollouts(self.improve_all)
        samples, better, healthy = sharding.replicate(improve_all(learner.average, starts))
        fitted, losses = self.fit(learner, flatten_samples(samples, healthy), key)
        return fitted, losses, metrics.improved(self.env, better, healthy), healthy

    def fine_tune(self, learner: Learner, starts: Any, key: Key) -> Learned:
        """Nothing is improved but the policy, by the gradient of its return, at first from the average policy.

        A gradient step takes as many rollouts as have `minibatch_size` steps.
        """
        config, env = self.config, self.env
        visited = sharding.replicate(sharding.shard_map_rollouts(self.visit)(learner.average, starts))
        healthy = jax.vmap(partial(is_solved, env))(starts, visited.action, visited.state)
        healthy &= jnp.all(jnp.isfinite(visited.reward), axis=1)
        fresh = init_learner(self.optimizer, learner.average, learner.num_steps)
        first = self.epoch(learner) == config.polish_after
        learner = jax.tree.map(lambda new, old: jnp.where(first, new, old), fresh, learner)
        num_rollouts = max(config.minibatch_size // env.horizon, 1) if config.minibatch_size else config.batch_size
        rate, num_steps = self.learning_rate, config.gradient_steps
        fitted, losses = fine_tuning.fine_tune(
            self.actor, self.optimizer, rate, learner, key, num_steps, num_rollouts
        )
        return fitted, losses, metrics.visited(env, visited, healthy, num_steps * num_rollouts), healthy

    def visit(self, params: Any, starts: Any) -> Trajectory:
        """Rollouts from many initial states."""
        return jax.vmap(partial(rollout, self.env, self.actor.policy(params)))(starts)

    def improve_all(self, params: Any, starts: Any) -> tuple[Samples, Improvement, jax.Array]:
        """Rollouts from many initial states, improved: what to learn from each, and whether it is healthy."""
        env, config = self.env, self.config
        visited = self.visit(params, starts)
        better = improve_batch(env, starts, visited, config.method, config.damping, config.chunk_size)

        def learn(start, visited, better):
            states = config.regression.removesuffix("_states")
            samples = regression_targets(env, start, visited, better.feedback, states, IMPROVED_SHARE)
            return samples, is_healthy(env, start, visited, better.feedback, better.value)

        samples, healthy = jax.vmap(learn)(starts, visited, better)
        return samples, better, healthy

    def fit(self, learner: Learner, samples: Samples, key: Key) -> tuple[Learner, jax.Array]:
        """The regression of one epoch; the key is consumed."""
        if self.config.standardize:
            learner = standardize_once(learner, samples.observation)
        return fit(
            self.actor.apply,
            self.optimizer,
            self.learning_rate,
            learner,
            samples,
            key,
            horizon=self.env.horizon,
            num_steps=self.config.gradient_steps,
            minibatch_size=self.config.minibatch_size,
        )

    def learning_rate(self, num_steps: jax.Array) -> jax.Array:
        """() as a function of the gradient steps taken so far."""
        epochs = num_steps / self.config.gradient_steps
        return self.config.learning_rate / (1 + epochs / LEARNING_RATE_EPOCHS)

    def epoch(self, learner: Learner) -> jax.Array:
        """() how many are over."""
        return learner.num_steps // self.config.gradient_steps

    def polishes(self, learner: Learner) -> jax.Array | bool:
        """() whether the next epoch does."""
        return self.config.polish_after > 0 and self.epoch(learner) >= self.config.polish_after

    def returns(self, params: Any, states: Any) -> jax.Array:
        """(k,) the returns of a policy from initial states, leaves (k, ...)."""
        return sharding.replicate(sharding.shard_map_rollouts(self.actor.returns)(params, states))


def standardize_once(learner: Learner, observations: jax.Array) -> Learner:
    """The learner with the scaling of these observations (N, O), if it has not taken a gradient step yet."""

    def chosen(params):
        scaled = standardize(params, observations)
        return jax.tree.map(lambda new, old: jnp.where(learner.num_steps == 0, new, old), scaled, params)

    return dataclasses.replace(learner, params=chosen(learner.params), average=chosen(learner.average))


def validate(config: Config) -> Config:
    """The config with "auto" resolved; raises InputError naming a setting that is not allowed."""
    policy_model.check_counts(config, "batch_size", "gradient_steps")
    policy_model.check_counts(config, "guard_size", "minibatch_size", "chunk_size", "polish_after", at_least=0)
    checks.boolean("algorithm.standardize", config.standardize)
    checks.number("algorithm.learning_rate", config.learning_rate, above=0.0)
    checks.number("algorithm.damping", config.damping, at_least=0.0)
    checks.choice("algorithm.method", config.method, METHODS)
    checks.choice("algorithm.regression", config.regression, REGRESSIONS)
    hidden_sizes = checks.sizes("algorithm.hidden_sizes", config.hidden_sizes)
    regression = config.regression
    if regression == "auto":
        regression = "improved_states" if config.method in WITHOUT_FEEDBACK else "visited_states"
    return dataclasses.replace(
        config,
        regression=regression,
        hidden_sizes=hidden_sizes,
        guard_size=min(config.guard_size, config.batch_size),
    )
