"""Errors of windows of recordings, their Gauss-Newton matrix, and the elimination of the states they begin in.

With theta the parameters (p,), x_w the state (n,) in which window w begins, and r_w its errors by the noise, minimise

    sum_w |r_w(theta, x_w)|^2 / 2 + |(theta - mu) / s|^2 / 2   subject to   lower <= theta <= upper.

The Gauss-Newton matrix is bordered: only theta couples the windows. Each start is eliminated (Schur complement),
which leaves the matrix of a quadratic program of p unknowns in a box.
"""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.envs.environment import Environment
from pods_jax.envs.parameters import Parameters
from pods_jax.identification import prediction
from pods_jax.identification.windows import Windows


@struct.dataclass
class Problem:
    """What is minimised, apart from the noise."""

    windows: Windows
    lower: jax.Array  # (p,)
    upper: jax.Array  # (p,)
    prior_mean: jax.Array  # (p,)
    prior_weight: jax.Array  # (p,) 1 / s, zero where there is no prior
    noise_known: jax.Array  # (n,) bool, whether the noise of a component was given
    free_starts: bool = struct.field(pytree_node=False)  # whether the states in which windows begin are unknown too


@struct.dataclass
class Normal:
    """Cost, gradient and Gauss-Newton matrix of each window, the parts of the bordered matrix."""

    cost: jax.Array  # (W,)
    square: jax.Array  # (W, n) sums of squares of the errors of each component, in its own unit
    g_theta: jax.Array  # (W, p)
    g_start: jax.Array  # (W, n)
    theta: jax.Array  # (W, p, p)
    border: jax.Array  # (W, p, n)
    start: jax.Array  # (W, n, n)


def normal(
    parameters: Parameters, env: Environment, problem: Problem, theta: jax.Array, starts: jax.Array, noise: jax.Array
) -> Normal:
    """The parts of the normal equations at theta (p,), starts (W, n), for a noise (n,)."""

    def of_window(start, window):
        def scaled(theta, start):
            return prediction.errors(parameters.environment(env, theta), start, window) / noise[None]

        error = scaled(theta, start)
        by_theta, by_start = jax.jacfwd(scaled, (0, 1))(theta, start)
        r, j, k = error.reshape(-1), by_theta.reshape(error.size, -1), by_start.reshape(error.size, -1)
        if not problem.free_starts:
            k = jnp.zeros_like(k)
        square = jnp.sum((error * noise[None]) ** 2, axis=0)
        return Normal(r @ r / 2, square, j.T @ r, k.T @ r, j.T @ j, j.T @ k, k.T @ k)

    with jax.default_matmul_precision("highest"):
        return jax.vmap(of_window)(starts, problem.windows)


def costs(
    parameters: Parameters, env: Environment, problem: Problem, theta: jax.Array, starts: jax.Array, noise: jax.Array
) -> jax.Array:
    """(W,) the cost of each window."""
    env = parameters.environment(env, theta)

    def of_window(start, window):
        return jnp.sum((prediction.errors(env, start, window) / noise[None]) ** 2) / 2

    return jax.vmap(of_window)(starts, problem.windows)


def eliminated(parts: Normal, damping: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The matrix (p, p) and the gradients (W, p) without the starts, and the solved borders (W, n, p + 1).

    damping: (W,) of the starts, relative to the diagonal.
    """
    size = parts.start.shape[-1]
    diagonal = jnp.diagonal(parts.start, axis1=1, axis2=2)  # (W, n)
    # What has no influence, such as the length of a quaternion, gets a weight that makes the matrix regular.
    least = jnp.finfo(diagonal.dtype).eps * jnp.maximum(jnp.max(diagonal, axis=1, keepdims=True), 1.0) * size
    added = damping[:, None] * diagonal + least
    matrix = parts.start + added[:, :, None] * jnp.eye(size, dtype=added.dtype)[None]
    right = jnp.concatenate([jnp.swapaxes(parts.border, 1, 2), parts.g_start[:, :, None]], axis=2)
    scale = 1 / jnp.sqrt(jnp.diagonal(matrix, axis1=1, axis2=2))
    with jax.default_matmul_precision("highest"):
        scaled = scale[:, :, None] * matrix * scale[:, None, :]
        solved = scale[:, :, None] * jnp.linalg.solve(scaled, scale[:, :, None] * right)
        matrix = jnp.sum(parts.theta - parts.border @ solved[:, :, :-1], axis=0)
        scores = parts.g_theta - (parts.border @ solved[:, :, -1:])[:, :, 0]
    return matrix, scores, solved
