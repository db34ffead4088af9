"""First-order models of one step, ds' = A ds + B da.

A direction never asks for A and B themselves, only for products with them: of (A', B') on the way back, of (A, B) on
the way forward. So a simulator that knows the structure of its step may answer with
something cheaper than two dense matrices; `Linearization` is for those that don't.
"""

from typing import Any, Protocol

import jax
from flax import struct

from pods_jax.trajopt.objective import Dynamics


class LinearModel(Protocol):
    """The derivative of one step, a pytree."""

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """From derivatives by s', (n, c), to those by s and a: A' by_next (n, c), B' by_next (A, c)."""

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """From derivatives of s and a, (n, c) and (A, c), to those of s': A by_state + B by_action (n, c)."""


@struct.dataclass
class Linearization:
    """A dense LinearModel."""

    A: jax.Array  # (n, n)
    B: jax.Array  # (n, A)

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See LinearModel."""
        return self.A.T @ by_next, self.B.T @ by_next

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """See LinearModel."""
        return self.A @ by_state + self.B @ by_action


def linearize(dynamics: Dynamics, state: jax.Array, action: jax.Array, *_: Any) -> Linearization:
    """The Jacobians of one step from a state (n,) by an action (A,), by forward mode."""
    return Linearization(*jax.jacfwd(dynamics, argnums=(0, 1))(state, action))
