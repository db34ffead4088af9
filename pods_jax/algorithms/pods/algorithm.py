"""PODS, Algorithm 1 of the paper: improve sampled trajectories, then fit the policy to them.

One epoch: take k initial states, roll the policy out, improve every action sequence by one step of first or second
order (Eq. 6, Eq. 13-14), regress the policy on the result (Eq. 7), and take the new policy if it is no worse. Some of
the k states stay the same in all epochs, the others are drawn anew: returns are then compared from epoch to epoch
without the noise of sampling, and hardly ever fall.

It is always the learner's own policy that is rolled out and improved. Where the guard holds a new policy back, that
one is not the policy of the train state; to go on with the old one's data would teach the learner about places where
it does not go, and the guard would go on acting.

Fine-tuning is a phase of its own: see `fine_tuning`. So are the epochs with a teacher, before all others, where the
system is unstable: see `teacher`.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import linalg
from pods_jax.algorithms.algorithm import Algorithm, Phase
from pods_jax.algorithms.pods import teacher
from pods_jax.algorithms.pods.config import Config, resolve
from pods_jax.algorithms.pods.fine_tuning import descend_mean_cost
from pods_jax.algorithms.pods.guard import Guarded, guard
from pods_jax.algorithms.pods.metrics import epoch_metrics, improved_metrics, teacher_metrics, visited_metrics
from pods_jax.algorithms.pods.targets import (
    flatten_samples,
    is_healthy,
    is_solved,
    regression_targets,
)
from pods_jax.devices import sharding
from pods_jax.envs.environment import Environment
from pods_jax.improvement import improve_batch
from pods_jax.policies.descent import decayed_rate
from pods_jax.policies.policy_model import PolicyLearning, make_policy_model
from pods_jax.policies.regression import GradientSteps, Learner, fit, init_learner, standardize_first
from pods_jax.rollouts import rollout_batch, sample_states
from pods_jax.types import Key, Metrics, Policy

HALVED_AFTER = 10.0
"""Epochs after which the learning rate has fallen to half of what it was."""

IMITATION_RATE = 0.3
"""Of the learning rate, what imitation takes: it has many steps, and unstable systems ask for exact actions."""


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    params: Any  # of the policy, the best so far by the guard
    learner: Learner  # the regression, whose average is rolled out, and is the policy if the guard agrees
    key: Key
    guard_states: Any  # initial states that stay the same, drawn once; none without a guard
    guard_value: jax.Array  # () mean return of the policy from them (without a guard from its batch), -inf at first
    teacher: Any = ()  # the best trajectories known from the states of the guard, a `teacher.Teacher`, if it has one


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """PODS for one environment. Raises InputError naming a setting that is not allowed."""
    config = resolve(config or Config(), env)
    pods = Pods(env, config, make_policy_model(env, config.hidden_sizes, config.network), optax.scale_by_adam())
    later = (Phase("fine-tuning", config.fine_tune_after, pods.fine_tune),) if config.fine_tune_after else ()
    if not config.teacher.num_epochs:
        return Algorithm("pods", env, config, pods.init, pods.update, pods.policy, later)
    phases = [Phase("imitation", config.teacher.search_epochs, pods.imitate)]
    if config.fine_tune_after != config.teacher.num_epochs:
        phases.append(Phase("training", config.teacher.num_epochs, pods.update))
    return Algorithm(
        "pods", env, config, pods.init, pods.search, pods.policy, (*phases, *later), first_phase="search"
    )


@dataclass(frozen=True, eq=False)
class Pods(PolicyLearning):
    """The functions of the algorithm, its phases and `policy`, and what they share."""

    config: Config

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        sharding.check("algorithm.batch_size", self.config.batch_size)
        sharding.check("algorithm.guard.size", self.config.guard.size)
        params, key_guard, key_epochs = self.model.init(key)
        taught: Any = ()
        guard_states: Any = ()
        if self.config.guard.size:
            guard_states = sample_states(self.env, key_guard, self.config.guard.size)
        unknown = jnp.asarray(-jnp.inf, self.env.action_limit.dtype)  # the first epoch rolls the policy out
        learner = init_learner(self.optimizer, params)
        if self.config.teacher.num_epochs:
            key_teacher, key_epochs = jax.random.split(key_epochs)
            taught = teacher.begin(self.env, guard_states, key_teacher)
        return TrainState(jnp.asarray(0, jnp.int32), params, learner, key_epochs, guard_states, unknown, taught)

    def policy(self, state: TrainState) -> Policy:
        """The policy of a train state."""
        return self.model.policy(state.params)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch of Algorithm 1: roll out, improve, regress, and keep the better policy."""
        env, model, improvement, regression = self.env, self.model, self.config.improvement, self.config.regression
        key, key_states, key_fit = jax.random.split(state.key, 3)
        starts = self.initial_states(state, key_states)
        practised = self.with_other_noise(starts, key_states)
        visited = rollout_batch(env, model.policy(state.learner.average), practised)
        # Eq. 6 for "first_order", Eq. 13-14 for "gauss_newton", and for "riccati" in O(T).
        how = improvement.method, improvement.damping, improvement.chunk_size
        better = improve_batch(env, practised, visited, *how)
        healthy = jax.vmap(partial(is_healthy, env))(practised, visited, better.feedback, better.value)
        find_targets = partial(regression_targets, env, states=regression.states)
        samples = flatten_samples(jax.vmap(find_targets)(practised, visited, better.feedback), healthy)
        learner = standardize_first(state.learner, samples) if regression.standardize else state.learner
        learner, losses = fit(model.apply, learner, samples, self.steps, key_fit)  # Eq. 7
        returns = self.returns(learner.average, starts)
        before = jnp.where(state.epoch == 0, self.guarded(jnp.sum(visited.reward, axis=1)), state.guard_value)
        kept = guard(self.optimizer, state.params, before, learner, self.guarded(returns), self.strict)
        metrics = epoch_metrics(env, improved_metrics(env, better, healthy), healthy, losses, kept, returns)
        return self.next_state(state, kept, key), metrics

    def search(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch in which nothing changes but the trajectories of the teacher."""
        env = self.env
        after, failed = teacher.search(env, state.guard_states, state.teacher, teacher.SEARCH_STEPS)
        returns = self.returns(state.params, state.guard_states)
        kept = Guarded(state.params, state.learner, jnp.mean(returns), jnp.asarray(False))
        nothing = jnp.zeros(1, returns.dtype)
        metrics = epoch_metrics(
            env, teacher_metrics(env, after, failed), jnp.ones_like(after.is_whole), nothing, kept, returns
        )
        return dataclasses.replace(state, epoch=state.epoch + 1, teacher=after, guard_value=kept.value), metrics

    def imitate(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch in which the policy imitates the teacher, on the states that it visits itself."""
        env, model, starts = self.env, self.model, state.guard_states
        key, key_noise, key_fit, key_agree = jax.random.split(state.key, 4)
        taught = teacher.feedback(env, starts, state.teacher)
        practised = self.with_other_noise(starts, key_noise)
        visited = rollout_batch(env, model.policy(state.learner.average), practised)
        keys = jax.random.split(key_noise, self.config.guard.size)
        samples = jax.vmap(partial(teacher.imitation_targets, env))(practised, visited, taught, keys)
        healthy = state.teacher.is_whole & jax.vmap(linalg.is_finite)((visited.reward, taught.gains))
        samples = flatten_samples(samples, healthy)
        learner = standardize_first(state.learner, samples) if self.config.regression.standardize else state.learner
        learner, losses = fit(model.apply, learner, samples, self.imitation_steps, key_fit)
        agreed = teacher.agree(env, starts, state.teacher, taught.gains, key_agree)
        after, failed = teacher.search(env, starts, agreed, teacher.IMITATION_STEPS)
        returns = self.returns(learner.average, starts)
        kept = guard(self.optimizer, state.params, state.guard_value, learner, self.guarded(returns), self.strict)
        metrics = epoch_metrics(env, teacher_metrics(env, after, failed), healthy, losses, kept, returns)
        return dataclasses.replace(self.next_state(state, kept, key), teacher=after), metrics

    def fine_tune(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch in which nothing is improved but the policy, by the gradient of its return (Eq. 3).

        The first starts from the best policy so far.
        """
        env, model, num_rollouts = self.env, self.model, self.gradient_rollouts
        key, key_states, key_steps = jax.random.split(state.key, 3)
        starts = self.initial_states(state, key_states)
        fresh = init_learner(self.optimizer, state.params, state.learner.num_steps)
        is_first = state.epoch == self.config.fine_tune_after
        learner = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), fresh, state.learner)
        visited = rollout_batch(env, model.policy(learner.average), starts)
        healthy = jax.vmap(partial(is_solved, env))(starts, visited.action, visited.state)
        healthy &= jnp.all(jnp.isfinite(visited.reward), axis=1)
        learner, losses, num_failed = descend_mean_cost(model, learner, self.steps, num_rollouts, key_steps)
        returns = self.returns(learner.average, starts)
        kept = guard(
            self.optimizer, state.params, state.guard_value, learner, self.guarded(returns), self.strict, restart=True
        )
        simulated = visited_metrics(env, visited, healthy, self.steps.num_steps * num_rollouts, num_failed)
        metrics = epoch_metrics(env, simulated, healthy, losses, kept, returns)
        return self.next_state(state, kept, key), metrics

    def next_state(self, state: TrainState, kept: Guarded, key: Key) -> TrainState:
        """What the next epoch needs, after one in which the guard kept a policy."""
        return dataclasses.replace(
            state, epoch=state.epoch + 1, params=kept.params, learner=kept.learner, key=key, guard_value=kept.value
        )

    def initial_states(self, state: TrainState, key: Key) -> Any:
        """The k initial states of an epoch: those of the guard, and others drawn anew; the key is consumed."""
        drawn = sample_states(self.env, key, self.config.batch_size - self.config.guard.size)
        if not self.config.guard.size:
            return drawn
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.guard_states, drawn)

    def with_other_noise(self, states: Any, key: Key) -> Any:
        """The same initial states with noise of their own for each epoch, so that nobody learns it by heart."""
        if self.env.functions.with_noise is None:
            return states
        count = jax.tree.leaves(states)[0].shape[0]
        return jax.vmap(self.env.with_noise)(states, jax.random.split(jax.random.fold_in(key, 1), count))

    def returns(self, params: Any, states: Any) -> jax.Array:
        """(k,) the returns of a policy from initial states, leaves (k, ...)."""
        return jnp.sum(rollout_batch(self.env, self.model.policy(params), states).reward, axis=1)

    def guarded(self, returns: jax.Array) -> jax.Array:
        """() the mean of the returns (k,) that the guard compares: from its own states, or without a guard of all."""
        return jnp.mean(returns[: self.config.guard.size or self.config.batch_size])

    @property
    def strict(self) -> bool:
        """Whether a policy has to be no worse than the one before."""
        return self.config.guard.size > 0

    @property
    def steps(self) -> GradientSteps:
        """The gradient steps of an epoch."""
        return self._gradient_steps(self.config.regression.gradient_steps, self.config.optimizer.learning_rate)

    @property
    def imitation_steps(self) -> GradientSteps:
        """The gradient steps of an epoch of imitation."""
        rate = IMITATION_RATE * self.config.optimizer.learning_rate
        return self._gradient_steps(self.config.teacher.gradient_steps, rate)

    def _gradient_steps(self, num_steps: int, rate: float) -> GradientSteps:
        def learning_rate(steps_so_far: jax.Array) -> jax.Array:
            return decayed_rate(rate, steps_so_far / num_steps, HALVED_AFTER)

        size = self.config.regression.minibatch_size
        return GradientSteps(self.optimizer, learning_rate, num_steps, size, self.env.horizon)

    @property
    def gradient_rollouts(self) -> int:
        """Rollouts for one gradient step of fine-tuning: as many as have `minibatch_size` time steps."""
        size = self.config.regression.minibatch_size
        return max(size // self.env.horizon, 1) if size else self.config.batch_size
