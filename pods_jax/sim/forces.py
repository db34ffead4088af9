"""All forces of a network on its free points, and the Newton matrix of an implicit step."""

from typing import Any

import jax
import jax.numpy as jnp

from pods_jax.sim.contact import contact_blocks, contact_energy, contact_force
from pods_jax.sim.springs import SpringBlocks, assemble, spring_blocks, spring_energy, spring_force
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


def newton_blocks(
    system: System,
    position: jax.Array,
    velocity: jax.Array,
    handle_position: jax.Array,
    handle_velocity: jax.Array,
    velocity_weight: float,
    position_weight: float,
) -> tuple[SpringBlocks, jax.Array]:
    """For each spring, and (P, d, d) for each free point, what `newton_matrix` is assembled from.

    That is mass * velocity_weight + D + position_weight * K, the Jacobian of an implicit step.

    K [N/m] holds for each spring k (rho' dd' + rho / l (I - dd')), D [N s/m] drag and damping. The second part is
    negative in a compressed spring and counts as far as the inertia there can carry it, so that without friction the
    matrix is symmetric and positive definite. The exact Jacobian is not, and Newton's method then fails; without the
    negative part convergence is linear, and a batch waits for its slowest step. (`docs/architecture.md` has the
    figures.) What turns with a damped spring is part of it where damping is strong, see `Springs`; the matrix is then
    not symmetric. Derivatives of a step never use this matrix.
    """
    identity = jnp.eye(system.dimension, dtype=position.dtype)
    inertia = system.mass * velocity_weight + system.drag
    diagonal = inertia[:, None, None] * identity[None]
    if system.num_planes:
        diagonal = diagonal + contact_blocks(system, position, velocity, position_weight)
    if not system.springs.ends:
        nothing = jnp.zeros_like(inertia[:0])
        return SpringBlocks(jnp.zeros_like(position[:0]), nothing, nothing), diagonal
    points = jnp.concatenate([handle_position, position])
    velocities = jnp.concatenate([handle_velocity, velocity])
    return spring_blocks(system, points, velocities, position_weight, inertia), diagonal


def newton_matrix(system: System, *args: Any) -> jax.Array:
    """(P d, P d): the matrix of a network as a whole, by the arguments of `newton_blocks`."""
    blocks, diagonal = newton_blocks(system, *args)
    return assemble(system, blocks.matrices(), diagonal)


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
