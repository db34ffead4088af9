"""Regression of a policy on target actions (Eq. 7), by Adam in one compiled scan.

    L = 1/k sum_i sum_t 1/2 (pi(s_ti) - a_ti)' W_ti (pi(s_ti) - a_ti)

With W the identity this is Eq. 7 of the paper. The policy that is used is not the last iterate but a running
average of the iterates p_1, p_2, ... over all epochs, by polynomial decay (Shamir & Zhang 2013),

    average_t = average_{t-1} + (eta + 1) / (eta + t) (p_t - average_{t-1}),

which is about the last tenth of them. Without it the noise of Adam's steps makes the return rise and fall from
epoch to epoch once training is nearly done; with it the return rises.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax.devices import sharding
from pods_jax.types import Key

AVERAGING = 8.0
"""eta: the average covers about the last 1 / (eta + 1) of all gradient steps."""


@struct.dataclass
class Learner:
    """What a regression carries from one epoch to the next."""

    params: Any  # the last iterate
    average: Any  # the running average of the iterates: the policy
    optimizer_state: Any
    num_steps: jax.Array  # () int32, gradient steps taken so far


@struct.dataclass
class Samples:
    """N target actions for N observations."""

    observation: jax.Array  # (N, O)
    target: jax.Array  # (N, A) in action units
    weight: jax.Array  # (N, A, A), how much an error costs; zero for samples to be left out


def init_learner(optimizer: optax.GradientTransformation, params: Any, num_steps: jax.Array | int = 0) -> Learner:
    """A learner that starts from `params`, as if it had already taken `num_steps` gradient steps."""
    return Learner(params, params, optimizer.init(params), jnp.asarray(num_steps, jnp.int32))


def regression_loss(
    apply: Callable[[Any, jax.Array], jax.Array], params: Any, samples: Samples, horizon: int
) -> jax.Array:
    """() the loss: summed over the time steps of a rollout, averaged over rollouts (N / horizon of them)."""
    error = apply(params, samples.observation) - samples.target
    return horizon * jnp.mean(jnp.einsum("na,nab,nb->n", error, samples.weight, error)) / 2


def gradient_step(
    optimizer: optax.GradientTransformation, learning_rate: optax.Schedule, learner: Learner, gradient: Any
) -> Learner:
    """The learner after one step against the gradient of a loss, and its average with the new iterate."""
    updates, optimizer_state = optimizer.update(gradient, learner.optimizer_state, learner.params)
    dtype = jnp.result_type(*jax.tree.leaves(learner.params))
    rate = learning_rate(learner.num_steps).astype(dtype)
    params = jax.tree.map(lambda leaf, update: leaf - rate * update, learner.params, updates)
    count = learner.num_steps + 1
    weight = (AVERAGING + 1) / (AVERAGING + count.astype(dtype))
    average = jax.tree.map(lambda old, new: old + weight * (new - old), learner.average, params)
    return Learner(params, average, optimizer_state, count)


def fit(
    apply: Callable[[Any, jax.Array], jax.Array],
    optimizer: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    learner: Learner,
    samples: Samples,
    key: Key,
    *,
    horizon: int,
    num_steps: int,
    minibatch_size: int,
) -> tuple[Learner, jax.Array]:
    """Takes `num_steps` gradient steps; returns the learner and the loss before each of them (num_steps,).

    optimizer: gives directions of unit length, such as `optax.scale_by_adam()`. learning_rate: as a function of
    the gradient steps taken since the very beginning, so that a restart of the optimizer does not restart it.
    minibatch_size: samples per gradient step, drawn without replacement until all are used; 0, or more
    than there are, takes all samples in every step. The key is consumed.
    """
    total = samples.observation.shape[0]
    size = total if minibatch_size == 0 else min(minibatch_size, total)
    num_batches = total // size
    order = jax.random.permutation(key, total)[: num_batches * size].reshape(num_batches, size)

    def advance(learner, index):
        batch = samples
        if size < total:
            chosen = order[index % num_batches]
            batch = jax.tree.map(lambda leaf: leaf[chosen], samples)
        batch = sharding.constrain_sharded(batch)
        loss, gradient = jax.value_and_grad(regression_loss, argnums=1)(apply, learner.params, batch, horizon)
        return gradient_step(optimizer, learning_rate, learner, gradient), loss

    return jax.lax.scan(advance, learner, jnp.arange(num_steps))
