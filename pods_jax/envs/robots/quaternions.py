"""Rotations as unit quaternions (w, x, y, z), scalar first (Diebel, "Representing attitude", 2006)."""

import jax
import jax.numpy as jnp


def product(first: jax.Array, second: jax.Array) -> jax.Array:
    """(4,) of two quaternions (4,): the rotation `second`, then `first`."""
    w1, v1, w2, v2 = first[0], first[1:], second[0], second[1:]
    scalar = w1 * w2 - jnp.sum(v1 * v2)
    return jnp.concatenate([scalar[None], w1 * v2 + w2 * v1 + jnp.cross(v1, v2)])


def rotate(attitude: jax.Array, vector: jax.Array) -> jax.Array:
    """(3,) the vector (3,), given in the turned frame, in the fixed frame."""
    w, v = attitude[0], attitude[1:]
    return vector + 2 * jnp.cross(v, jnp.cross(v, vector) + w * vector)


def matrix(attitude: jax.Array) -> jax.Array:
    """(3, 3) the rotation matrix, whose columns are the axes of the turned frame."""
    return jax.vmap(lambda axis: rotate(attitude, axis), out_axes=1)(jnp.eye(3, dtype=attitude.dtype))


def about(axis: jax.Array, angle: jax.Array) -> jax.Array:
    """(4,) the rotation by an angle () [rad] about a unit vector (3,)."""
    return jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2) * axis])


def normalized(attitude: jax.Array) -> jax.Array:
    """(4,) the same rotation at unit length; the quaternion must not be zero."""
    return attitude / jnp.sqrt(jnp.sum(attitude**2))


def turned(attitude: jax.Array, angular_velocity: jax.Array, time: jax.Array) -> jax.Array:
    """(4,) after a time () [s] at an angular velocity (3,) [rad/s] in the turned frame: an Euler step, normalized."""
    rate = jnp.concatenate([jnp.zeros_like(angular_velocity[:1]), angular_velocity])
    return normalized(attitude + time / 2 * product(attitude, rate))
