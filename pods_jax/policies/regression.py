"""Regression of a policy on target actions (Eq. 7), by Adam in one compiled scan.

    L = 1/k sum_i sum_t 1/2 (pi(s_ti) - a_ti)' W_ti (pi(s_ti) - a_ti)

With W the identity this is Eq. 7 of the paper. The policy that is used is not the last iterate but a running
average of the iterates p_1, p_2, ... over all epochs, by polynomial decay (Shamir & Zhang 2013),

    average_t = average_{t-1} + (eta + 1) / (eta + t) (p_t - average_{t-1}),

which is about the last tenth of them. Without it the noise of Adam's steps makes the return rise and fall from
epoch to epoch once training is nearly done; with it the return rises.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax.devices import sharding
from pods_jax.policies.descent import Descent, descend, init_descent
from pods_jax.policies.network import standardize
from pods_jax.types import Key

AVERAGING = 8.0
"""eta: the average covers about the last 1 / (eta + 1) of all gradient steps."""

Apply = Callable[[Any, jax.Array], jax.Array]
"""(parameters, observations (N, O)) -> actions (N, A)."""


@struct.dataclass
class Learner:
    """A policy that is learned by gradients: the descent, and the average of its iterates, which is the policy."""

    descent: Descent
    average: Any  # parameters

    @property
    def params(self) -> Any:
        """The last iterate."""
        return self.descent.params

    @property
    def num_steps(self) -> jax.Array:
        """() int32, gradient steps taken so far."""
        return self.descent.num_steps

    def count_step(self) -> "Learner":
        """The same after a step that changed nothing."""
        return Learner(self.descent.count_step(), self.average)


@struct.dataclass
class Samples:
    """N target actions for N observations."""

    observation: jax.Array  # (N, O)
    target: jax.Array  # (N, A), in action units
    weight: jax.Array  # (N, A, A), how much an error costs; zero for samples to be left out


@dataclass(frozen=True)
class GradientSteps:
    """The gradient steps of one epoch: their optimizer, learning rate, number and samples."""

    optimizer: optax.GradientTransformation  # gives directions of unit length, such as `optax.scale_by_adam()`
    learning_rate: optax.Schedule  # of the gradient steps since the very beginning: a restart does not restart it
    num_steps: int
    minibatch_size: int  # samples per gradient step, drawn without replacement until all are used; 0: all
    horizon: int  # steps of a rollout, over which the loss sums


def init_learner(optimizer: optax.GradientTransformation, params: Any, num_steps: jax.Array | int = 0) -> Learner:
    """A learner that starts from `params`, as if it had already taken `num_steps` gradient steps."""
    return Learner(init_descent(optimizer, params, num_steps), params)


def regression_loss(apply: Apply, params: Any, samples: Samples, horizon: int) -> jax.Array:
    """() the loss: summed over the time steps of a rollout, averaged over rollouts (N / horizon of them)."""
    error = apply(params, samples.observation) - samples.target
    return horizon * jnp.mean(jnp.einsum("na,nab,nb->n", error, samples.weight, error)) / 2


def gradient_step(
    optimizer: optax.GradientTransformation, learning_rate: optax.Schedule, learner: Learner, gradient: Any
) -> Learner:
    """The learner after one step against the gradient of a loss, and its average with the new iterate."""
    dtype = jnp.result_type(*jax.tree.leaves(learner.average))
    descent = descend(optimizer, learner.descent, gradient, learning_rate(learner.num_steps).astype(dtype))
    weight = (AVERAGING + 1) / (AVERAGING + descent.num_steps.astype(dtype))
    average = jax.tree.map(lambda old, new: old + weight * (new - old), learner.average, descent.params)
    return Learner(descent, average)


def standardize_first(learner: Learner, samples: Samples) -> Learner:
    """The learner with a network that scales observations by the spread of these, before its first gradient step."""

    def scale(params):
        scaled = standardize(params, samples.observation)
        return jax.tree.map(lambda new, old: jnp.where(learner.num_steps == 0, new, old), scaled, params)

    return Learner(dataclasses.replace(learner.descent, params=scale(learner.params)), scale(learner.average))


def fit(
    apply: Apply, learner: Learner, samples: Samples, steps: GradientSteps, key: Key
) -> tuple[Learner, jax.Array]:
    """The learner after its gradient steps, and the loss before each of them (num_steps,); the key is consumed."""
    samples = sharding.replicate(samples)
    total = samples.observation.shape[0]
    size = total if steps.minibatch_size == 0 else min(steps.minibatch_size, total)
    num_batches = total // size
    order = jax.random.permutation(key, total)[: num_batches * size].reshape(num_batches, size)

    def advance(learner, index):
        batch = samples
        if size < total:
            chosen = order[index % num_batches]
            batch = jax.tree.map(lambda leaf: leaf[chosen], samples)
        batch = sharding.constrain_sharded(batch)
        value_and_gradient = jax.value_and_grad(regression_loss, argnums=1)
        loss, gradient = value_and_gradient(apply, learner.params, batch, steps.horizon)
        return gradient_step(steps.optimizer, steps.learning_rate, learner, gradient), loss

    return jax.lax.scan(advance, learner, jnp.arange(steps.num_steps))
