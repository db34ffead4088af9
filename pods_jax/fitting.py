"""Regression of a policy on target actions (Eq. 7), by Adam in one compiled scan.

    L = 1/k sum_i sum_t w_i / 2 (pi(s_ti) - a_ti)' W_ti (pi(s_ti) - a_ti)

With W the identity and w_i = 1 this is Eq. 7 of the paper.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from pods_jax.types import Key


@struct.dataclass
class Samples:
    """N target actions for N observations."""

    observation: jax.Array  # (N, O)
    target: jax.Array  # (N, A) [m/s]
    weight: jax.Array  # (N, A, A), how much an error costs; zero for samples to be left out


@struct.dataclass
class Fitted:
    """The outcome of a regression."""

    params: Any
    optimizer_state: Any
    loss_before: jax.Array  # () of the first batch
    loss: jax.Array  # () of the last batch


def regression_loss(
    apply: Callable[[Any, jax.Array], jax.Array], params: Any, samples: Samples, horizon: int
) -> jax.Array:
    """() the loss: summed over the time steps of a rollout, averaged over rollouts (N / horizon of them)."""
    error = apply(params, samples.observation) - samples.target
    return horizon * jnp.mean(jnp.einsum("na,nab,nb->n", error, samples.weight, error)) / 2


def fit(
    apply: Callable[[Any, jax.Array], jax.Array],
    optimizer: optax.GradientTransformation,
    params: Any,
    optimizer_state: Any,
    samples: Samples,
    key: Key,
    *,
    horizon: int,
    num_steps: int,
    minibatch_size: int,
) -> Fitted:
    """Takes `num_steps` gradient steps on the regression loss.

    minibatch_size: samples per gradient step, drawn without replacement until all are used; 0, or more
    than there are, takes all samples in every step. The key is consumed.
    """
    total = samples.observation.shape[0]
    size = total if minibatch_size == 0 else min(minibatch_size, total)
    num_batches = total // size
    order = jax.random.permutation(key, total)[: num_batches * size].reshape(num_batches, size)

    def descend(carry, index):
        params, optimizer_state = carry
        batch = samples
        if size < total:
            chosen = order[index % num_batches]
            batch = jax.tree.map(lambda leaf: leaf[chosen], samples)
        loss, gradient = jax.value_and_grad(regression_loss, argnums=1)(apply, params, batch, horizon)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), loss

    (params, optimizer_state), losses = jax.lax.scan(descend, (params, optimizer_state), jnp.arange(num_steps))
    return Fitted(params, optimizer_state, losses[0], losses[-1])
