"""What an environment predicts for the samples of a window, and how far off that is."""

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.envs.environment import Environment
from pods_jax.identification.windows import ORDER, Windows
from pods_jax.trajopt import flatten


def num_free(env: Environment) -> int:
    """How many numbers of a state are free: not those that `completed` makes of the others."""
    start, unflatten = flatten(env.reset(jax.random.key(0)))
    change = jax.jacfwd(lambda vector: flatten(env.completed(unflatten(vector)))[0])(start)
    return int(np.linalg.matrix_rank(np.asarray(change)))


def predict(env: Environment, start: jax.Array, window: Windows) -> jax.Array:
    """(K, n) the flattened states at the samples of one window (leaves without W), from the state `start` (n,)."""
    template = jax.eval_shape(env.reset, jax.random.key(0))
    unflatten = flatten(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), template))[1]
    first = env.completed(unflatten(start))

    def advance(state, action):
        after = env.functions.step(env.parameters, state, action)
        return after, flatten(after)[0]

    visited = jax.lax.scan(advance, first, window.action)[1]
    states = jnp.concatenate([flatten(first)[0][None], visited])  # (N + 1, n)
    near = states[window.step[:, None] + jnp.arange(ORDER)[None]]  # (K, ORDER, n)
    return jnp.sum(window.weight[:, :, None] * near, axis=1)


def errors(env: Environment, start: jax.Array, window: Windows) -> jax.Array:
    """(K, n) predicted minus measured, zero where nothing was measured."""
    return window.known * (predict(env, start, window) - window.measured)
