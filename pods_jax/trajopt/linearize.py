"""First-order models of the dynamics along a trajectory."""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.trajopt.objective import Dynamics


@struct.dataclass
class Linearization:
    """ds_{t+1} = A_t ds_t + B_t da_t."""

    A: jax.Array  # (T, n, n)
    B: jax.Array  # (T, n, A)


def linearize(dynamics: Dynamics, state: jax.Array, states: jax.Array, actions: jax.Array) -> Linearization:
    """The per-step Jacobians along a trajectory.

    state: (n,) the initial state. states: (T, n) the states that actions (T, A) lead to.
    """
    starts = jnp.concatenate([state[None], states[:-1]])
    A, B = jax.vmap(jax.jacfwd(dynamics, argnums=(0, 1)))(starts, actions)
    return Linearization(A, B)
