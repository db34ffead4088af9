"""GPS: mirror-descent guided policy search (Montgomery & Levine 2016) with the true dynamics.

An epoch has two phases. The control phase (`control_phase`) finds, for each of k sampled initial states, the best
linear feedback whose divergence from the policy is bounded. The supervised phase fits the policy to all of them: it
minimises the policy's divergence from the feedback in the states that the policy visits, by the regression of PODS,

    1/2 sum_t (pi(s_t) - target_t)' Sigma_t^-1 (pi(s_t) - target_t),    target_t = clip(a_t + K_t (s_t - s-bar_t)),

and sets the policy's precision to the mean of the Sigma_t^-1, up to a limit: without one the policy becomes sure of
itself before it is good, and a controller near a sure policy goes nowhere. The bound is adjusted from epoch to
epoch: it is multiplied by predicted / (2 (predicted - actual)), the first being by how much the controllers are
better than the policy and the second by how much the fitted policy is, on the same initial states.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax import linalg, settings
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.gps.config import Config
from pods_jax.algorithms.gps.control_phase import Lagrangian, LocalController, control_phase
from pods_jax.algorithms.pods.targets import flatten_samples, is_healthy, regression_targets
from pods_jax.checks import InputError
from pods_jax.devices import chunking
from pods_jax.envs.environment import Environment, State
from pods_jax.envs.trial import check_reward
from pods_jax.improvement import trajectory_problem
from pods_jax.policies.descent import decayed_rate
from pods_jax.policies.policy_model import PolicyLearning, make_policy_model
from pods_jax.policies.regression import GradientSteps, Learner, Samples, fit, init_learner
from pods_jax.rollouts import healthy_mean, rollout, sample_states
from pods_jax.thresholds import MAX_CACHED_NUMBERS
from pods_jax.types import Key, Metrics, Policy

MIN_BOUND_FACTOR, MAX_BOUND_FACTOR = 0.1, 5.0
"""Between which the bound changes from one epoch to the next."""

MAX_BOUND_RATIO = 100.0
"""The bound never exceeds its first value times this, nor falls below its first value divided by it."""


@struct.dataclass
class TrainState:
    """Everything that an epoch needs from the last one."""

    epoch: jax.Array  # () int32, epochs that are over
    learner: Learner  # the regression, whose average is the policy's mean
    precision: jax.Array  # (A, A) the inverse of the policy's covariance
    bound: jax.Array  # () of the divergence of a step
    multiplier: jax.Array  # () where dual descent starts
    key: Key


def make(env: Environment, config: Config | None = None) -> Algorithm:
    """GPS for one environment. Raises InputError naming a setting or an environment that is not allowed."""
    config = settings.check(config or Config(), "algorithm")
    if env.terminal_only:
        raise InputError(
            "algorithm.name",
            "gps",
            "env.terminal_only must be False, since the penalty that keeps the control phase near the policy is a "
            "part of the cost of every step; pods, bptt and shac can do it",
        )
    if env.functions.core is not None:
        raise InputError(
            "algorithm.name",
            "gps",
            "keeps its controllers near the policy in the full state, which a policy that observes less does not "
            "know; pods, bptt, shac, ppo and sac can do it",
        )
    check_reward(env)
    gps = Gps(env, config, make_policy_model(env, config.hidden_sizes), optax.scale_by_adam())
    return Algorithm("gps", env, config, gps.init, gps.update, gps.policy)


@dataclass(frozen=True, eq=False)
class Gps(PolicyLearning):
    """The three functions of the algorithm, `init`, `update` and `policy`, and what they share."""

    config: Config

    def init(self, key: Key) -> TrainState:
        """The state before the first epoch; the key is consumed."""
        params, key_epochs, _ = self.model.init(key)
        limit = self.env.action_limit
        return TrainState(
            epoch=jnp.asarray(0, jnp.int32),
            learner=init_learner(self.optimizer, params),
            precision=jnp.diag((self.config.control_phase.deviation * limit) ** -2),
            bound=jnp.asarray(self.config.control_phase.bound, limit.dtype),
            multiplier=jnp.ones((), limit.dtype),
            key=key_epochs,
        )

    def policy(self, state: TrainState) -> Policy:
        """The mean of the policy of a train state."""
        return self.model.policy(state.learner.average)

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One epoch: control phase, supervised phase, step-size adjustment."""
        config, env = self.config, self.env
        key, key_states, key_fit = jax.random.split(state.key, 3)
        starts = sample_states(env, key_states, config.batch_size)
        # Control phases differ in length, and those of a chunk wait for the longest: on a CPU each is alone.
        samples, controllers, costs, healthy = chunking.in_chunks(
            partial(self.control_one, state), starts, MAX_CACHED_NUMBERS, config.control_phase.chunk_size
        )
        learner, losses = fit(self.model.apply, state.learner, flatten_samples(samples, healthy), self.steps, key_fit)
        after = -self.model.returns(learner.average, starts)
        mean = partial(healthy_mean, healthy=healthy)
        predicted, actual = mean(costs - controllers.cost), mean(costs - after)
        metrics = {
            "value": -mean(costs),
            "value_improved": -mean(controllers.cost),
            "value_fitted": -mean(after),
            "bound": state.bound,
            "divergence": mean(controllers.divergence) / env.horizon,
            "largest_divergence": jnp.max(jnp.where(healthy, controllers.divergence, 0.0)) / env.horizon,
            "multiplier": jnp.exp(mean(jnp.log(controllers.multiplier))),
            "deviation": jnp.exp(-jnp.linalg.slogdet(state.precision)[1] / (2 * env.action_size)),
            "fit_loss_before": losses[0],
            "fit_loss": losses[-1],
            "unhealthy_rollouts": jnp.sum(~healthy),
            "nonfinite_derivatives": jnp.sum(~jax.vmap(linalg.is_finite)((controllers.gains, controllers.precision))),
            "environment_steps": env.horizon * (2 * config.batch_size + jnp.sum(controllers.num_trials)),
        }
        return TrainState(
            epoch=state.epoch + 1,
            learner=learner,
            precision=self.precision(state.precision, controllers.precision, healthy),
            bound=self.adjusted(state.bound, predicted, actual),
            multiplier=jnp.where(jnp.any(healthy), metrics["multiplier"], state.multiplier),
            key=key,
        ), metrics

    def control_one(self, state: TrainState, start: State) -> tuple[Samples, LocalController, jax.Array, jax.Array]:
        """From `start`: what to learn, the controller, the policy's own cost, and whether it is all healthy."""
        env, policy = self.env, self.policy(state)
        visited = rollout(env, policy, start)
        problem, unravel = trajectory_problem(env, start, visited)
        cost = -jnp.sum(visited.reward)
        lagrangian = Lagrangian(problem, lambda vector: policy(env.observe(unravel(vector))), state.precision)
        with jax.default_matmul_precision("highest"):
            controller = control_phase(lagrangian, cost, state.bound * env.horizon, state.multiplier)
        feedback = controller.feedback(unravel)
        samples = regression_targets(env, start, visited, feedback, "visited", self.config.regression.improved_share)
        return samples, controller, cost, is_healthy(env, start, visited, feedback, controller.cost)

    @property
    def steps(self) -> GradientSteps:
        """The gradient steps of an epoch."""
        how = self.config.regression

        def learning_rate(num_steps: jax.Array) -> jax.Array:
            return decayed_rate(how.learning_rate, num_steps / how.gradient_steps, how.halved_after)

        return GradientSteps(self.optimizer, learning_rate, how.gradient_steps, how.minibatch_size, self.env.horizon)

    def precision(self, old: jax.Array, precisions: jax.Array, healthy: jax.Array) -> jax.Array:
        """(A, A) the mean of the controllers' precisions (k, T, A, A), as far as the smallest deviation allows."""
        weights = healthy / jnp.maximum(jnp.sum(healthy), 1) / precisions.shape[1]
        kept = jnp.where(healthy[:, None, None, None], precisions, 0.0)
        mean = jnp.where(jnp.any(healthy), jnp.einsum("k,ktab->ab", weights, kept), old)
        limit = self.env.action_limit
        scale = limit[:, None] * limit[None]
        eigenvalues, vectors = jnp.linalg.eigh(mean * scale)
        bounded = jnp.minimum(eigenvalues, self.config.control_phase.min_deviation**-2)
        return (vectors * bounded[None]) @ vectors.T / scale

    def adjusted(self, bound: jax.Array, predicted: jax.Array, actual: jax.Array) -> jax.Array:
        """() the bound of the next epoch."""
        lost = predicted - actual
        tiny = jnp.finfo(bound.dtype).tiny
        factor = jnp.where(lost > 0, predicted / (2 * jnp.maximum(lost, tiny)), MAX_BOUND_FACTOR)
        factor = jnp.where(jnp.isfinite(lost), jnp.clip(factor, MIN_BOUND_FACTOR, MAX_BOUND_FACTOR), MIN_BOUND_FACTOR)
        first = self.config.control_phase.bound
        return jnp.clip(bound * factor, first / MAX_BOUND_RATIO, first * MAX_BOUND_RATIO)
