"""Smooth contact of points with fixed planes, with friction (in the manner of Geilinger et al. 2020).

A point x with velocity u is `depth` = offset - n'x below a plane of unit normal n. With the one-sided C^2 response
rho of a cable (blend width w) the plane pushes with f_n = k rho(depth) along n, which is finite and soft: the point
rests where k rho(depth) carries its weight. Friction opposes the tangential velocity u_t = u - (n'u) n by

    f_t = -mu f_n u_t / sqrt(|u_t|^2 + s^2),

Coulomb's law beyond a slip speed s, and smooth to any order at rest, where Coulomb's law has no value. Like every
friction without memory it sticks by creeping: under a load F = r mu f_n with r < 1 the point slides at s r / sqrt(1 -
r^2). It never does positive work, since f_t'u_t <= 0.
"""

import jax
import jax.numpy as jnp

from pods_jax import linalg
from pods_jax.sim.springs import blended
from pods_jax.sim.system import System


def contact_energy(system: System, position: jax.Array) -> jax.Array:
    """() [J] stored in the planes by free points (P, d) [m]."""
    integral, _, _ = _response(system, position)
    return jnp.sum(system.planes.stiffness[None] * integral)


def contact_force(system: System, position: jax.Array, velocity: jax.Array) -> jax.Array:
    """(P, d) [N] on free points, normal force and friction of all planes."""
    planes = system.planes
    _, rho, _ = _response(system, position)
    normal_force = planes.stiffness[None] * rho
    sliding, speed = _sliding(system, velocity)
    friction = -(planes.friction[None] * normal_force / speed)[:, :, None] * sliding
    return jnp.sum(normal_force[:, :, None] * planes.normal[None] + friction, axis=1)


def contact_blocks(system: System, position: jax.Array, velocity: jax.Array, position_weight: float) -> jax.Array:
    """(P, d, d) [N s/m]: -df/du - position_weight * df/dx for each free point; not symmetric with friction."""
    planes = system.planes
    _, rho, slope = _response(system, position)
    sliding, speed = _sliding(system, velocity)
    unit = sliding / speed[:, :, None]
    # The normal force grows by k rho' per depth, and friction with it.
    push = planes.normal[None] - planes.friction[None, :, None] * unit
    stiffness = position_weight * planes.stiffness[None] * slope
    stiff = jnp.einsum("pk,pki,kj->pij", stiffness, push, planes.normal, precision="highest")
    viscosity = (planes.friction * planes.stiffness)[None] * rho / speed
    along = _outer(planes.normal)[None] + _outer(unit)
    across = jnp.eye(system.dimension, dtype=position.dtype)[None, None] - along
    return stiff + jnp.einsum("pk,pkij->pij", viscosity, across, precision="highest")


def contact_derivatives(system: System, position: jax.Array, velocity: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(P, d, d) twice: by how much the contact force on each point grows with its position and its velocity."""
    by_position = linalg.rowwise_jacobian(lambda position: contact_force(system, position, velocity), position)
    return by_position, linalg.rowwise_jacobian(lambda velocity: contact_force(system, position, velocity), velocity)


def _outer(vectors: jax.Array) -> jax.Array:
    """(..., d, d) from (..., d)."""
    return vectors[..., :, None] * vectors[..., None, :]


def _response(system: System, position: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The response of `blended` to the depth (P, K) [m] of each point below each plane."""
    planes = system.planes
    depth = planes.offset[None] - jnp.matmul(position, planes.normal.T, precision="highest")
    return blended(depth, planes.blend[None])


def _sliding(system: System, velocity: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(tangential velocity (P, K, d), smoothed speed (P, K)), both in [m/s]."""
    planes = system.planes
    along_normal = jnp.matmul(velocity, planes.normal.T, precision="highest")
    sliding = velocity[:, None] - along_normal[:, :, None] * planes.normal[None]
    return sliding, jnp.sqrt(jnp.sum(sliding**2, axis=2) + planes.slip_speed[None] ** 2)
