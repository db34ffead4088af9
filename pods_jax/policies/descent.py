"""Parameters under gradient descent: one record and one step for everything that is learned by gradients."""

import dataclasses
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct


@struct.dataclass
class Descent:
    """Parameters, and what the optimizer remembers of the steps that led to them."""

    params: Any
    optimizer_state: Any
    num_steps: jax.Array  # () int32, gradient steps taken so far

    def count_step(self) -> "Descent":
        """The same after a step that changed nothing."""
        return dataclasses.replace(self, num_steps=self.num_steps + 1)


class Countable(Protocol):
    """What counts its gradient steps."""

    def count_step(self) -> Any:
        """The same after a step that changed nothing."""


T = TypeVar("T", bound=Countable)


def init_descent(optimizer: optax.GradientTransformation, params: Any, num_steps: jax.Array | int = 0) -> Descent:
    """A descent that starts from `params` with a fresh optimizer, as if it had taken `num_steps` steps already."""
    return Descent(params, optimizer.init(params), jnp.asarray(num_steps, jnp.int32))


def descend(
    optimizer: optax.GradientTransformation, descent: Descent, gradient: Any, learning_rate: jax.Array
) -> Descent:
    """The descent after one step against `gradient`.

    optimizer: gives directions of unit length, such as `optax.scale_by_adam()`.
    """
    with jax.numpy_dtype_promotion("standard"):  # optimizers count their steps in integers
        updates, optimizer_state = optimizer.update(gradient, descent.optimizer_state, descent.params)
    params = jax.tree.map(lambda leaf, update: leaf - learning_rate * update, descent.params, updates)
    return Descent(params, optimizer_state, descent.num_steps + 1)


def is_usable(gradient: Any) -> jax.Array:
    """() bool whether a gradient and its norm are finite."""
    return jnp.isfinite(optax.tree.norm(gradient))


def if_finite(gradient: Any, moved: T, before: T) -> T:
    """`moved` where the gradient that moved it is usable, else `before`, as it was but for the step that counts."""
    usable = is_usable(gradient)
    stayed = before.count_step()
    return jax.tree.map(lambda new, old: jnp.where(usable, new, old), moved, stayed)


def clipped_adam(max_norm: float) -> optax.GradientTransformation:
    """Adam's direction for a gradient whose norm is clipped first."""
    return optax.chain(optax.clip_by_global_norm(max_norm), optax.scale_by_adam())


def decayed_rate(learning_rate: float, epochs: jax.Array, halved_after: float) -> jax.Array:
    """() the learning rate after so many epochs: it falls as 1 / (1 + epochs / halved_after), or stays, for 0."""
    return learning_rate / (1 + epochs / halved_after) if halved_after else jnp.full_like(epochs, learning_rate)
