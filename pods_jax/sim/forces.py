"""All forces of a network on its free points, and the Newton matrix of an implicit step."""

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.sim.contact import contact_blocks, contact_energy, contact_force
from pods_jax.sim.springs import assemble, spring_blocks, spring_energy, spring_force
from pods_jax.sim.system import System


def potential_energy(system: System, position: jax.Array, handle_position: jax.Array) -> jax.Array:
    """[J]: gravity, springs and planes, of free points (P, d) and handles (H, d) [m]."""
    energy = -jnp.sum(system.mass[:, None] * position * system.gravity[None])
    if system.springs.ends:
        energy += spring_energy(system, jnp.concatenate([handle_position, position]))
    if system.num_planes:
        energy += contact_energy(system, position)
    return energy


def kinetic_energy(system: System, velocity: jax.Array) -> jax.Array:
    """[J] of the free points moving at `velocity` (P, d) [m/s]."""
    return jnp.sum(system.mass[:, None] * velocity**2) / 2


def force(
    system: System,
    position: jax.Array,
    velocity: jax.Array,
    handle_position: jax.Array,
    handle_velocity: jax.Array,
) -> jax.Array:
    """(P, d) [N] on the free points: gravity, drag, springs (tension and damping), planes."""
    total = system.mass[:, None] * system.gravity[None] - system.drag[:, None] * velocity
    if system.springs.ends:
        points = jnp.concatenate([handle_position, position])
        velocities = jnp.concatenate([handle_velocity, velocity])
        total += spring_force(system, points, velocities)[system.num_handles :]
    if system.num_planes:
        total += contact_force(system, position, velocity)
    return total


def newton_matrix(
    system: System,
    position: jax.Array,
    velocity: jax.Array,
    handle_position: jax.Array,
    velocity_weight: float,
    position_weight: float,
) -> jax.Array:
    """(P d, P d): mass * velocity_weight + D + position_weight * K, the Jacobian of an implicit step.

    K [N/m] holds for each spring k (rho' dd' + max(rho, 0) / l (I - dd')), D [N s/m] drag and damping, so that
    without friction the matrix is symmetric and positive definite. It differs from the exact Jacobian only where a
    spring is compressed (there the geometric term is negative: with it, Newton's method fails on about one step
    in ten of a double pendulum whose handle is shaken at full speed, without it on none) and by the turning of
    damped springs. Derivatives of a step never use this matrix.
    """
    identity = jnp.eye(system.dimension, dtype=position.dtype)
    diagonal = (system.mass * velocity_weight + system.drag)[:, None, None] * identity[None]
    if system.num_planes:
        diagonal = diagonal + contact_blocks(system, position, velocity, position_weight)
    points = jnp.concatenate([handle_position, position])
    blocks = jnp.zeros((0, *identity.shape), position.dtype)
    if system.springs.ends:
        blocks = spring_blocks(system, points, position_weight)
    return assemble(system, blocks, diagonal)


def sparsity(system: System) -> np.ndarray:
    """(P d, P d) booleans: which entries of the Newton matrix can differ from zero."""
    joined = np.eye(system.num_points, dtype=bool)
    for first, second in system.springs.ends:
        row, column = first - system.num_handles, second - system.num_handles
        if row >= 0 and column >= 0:
            joined[row, column] = joined[column, row] = True
    return np.kron(joined, np.ones((system.dimension, system.dimension), dtype=bool))


def force_scale(system: System, position: jax.Array, handle_position: jax.Array) -> jax.Array:
    """[N]: the largest force whose rounding shows in a residual.

    A spring force is the small difference of k * l and k * L, and l that of two coordinates, so the
    scale is k times the largest length in the scene; without springs it is the largest weight.
    """
    weight = jnp.max(system.mass) * jnp.sqrt(jnp.sum(system.gravity**2))
    extent = jnp.maximum(jnp.max(jnp.abs(position)), jnp.max(jnp.abs(handle_position)))
    scale = jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
    if system.springs.ends:
        length = jnp.maximum(extent, jnp.max(system.springs.rest_length))
        scale = jnp.maximum(scale, jnp.max(system.springs.stiffness) * length)
    if system.num_planes:
        depth = jnp.maximum(extent, jnp.max(jnp.abs(system.planes.offset)))
        scale = jnp.maximum(scale, jnp.max(system.planes.stiffness) * depth)
    return scale
