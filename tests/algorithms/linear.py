"""A linear environment with a quadratic cost, where what is best is known: a point on a line, pushed."""

import jax
import jax.numpy as jnp

from pods_jax.envs.environment import Environment, Functions

TIME_STEP = 0.2
A = jnp.array([[1.0, TIME_STEP], [0.0, 1.0]])
B = jnp.array([[0.0], [TIME_STEP]])
RESIDUAL = jnp.array([1.0, 0.3])  # of position and velocity
EFFORT = 0.3


def make_linear(horizon=8, limit=10.0, terminal_only=False):
    """Bring the point to rest at the origin; the action is its acceleration."""
    functions = Functions(
        reset=lambda _, key: jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0),
        step=lambda _, state, action: A @ state + B @ action,
        observe=lambda _, state: state,
        residual=lambda _, state, action: jnp.concatenate([RESIDUAL * state, EFFORT * action]),
        step_error=lambda _, state, action, after: jnp.max(jnp.abs(after - A @ state - B @ action)) / 1e-6,
        measure=lambda _, state: {"distance": jnp.abs(state[0])},
    )
    limits = jnp.array([limit])
    return Environment("linear", "rest", horizon, TIME_STEP, functions, (), limits, terminal_only=terminal_only)
