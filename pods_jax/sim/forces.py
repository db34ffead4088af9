"""Forces of a mass-spring network and the stiffness that Newton's method needs.

Everything is written for one spring and summed over the (static) topology while tracing, which turns
into plain vector code under `vmap`: no gather, no scatter. The tension of a spring of stiffness k and
stretch e = l - L is k * rho(e), with rho(e) = e for a bilateral spring and, for a cable with blend width w,

    rho(e) = 0 (e <= 0),   w (t^3 - t^4 / 2) with t = e / w (0 < e < w),   e - w / 2 (e >= w),

which is C^2. It derives from the energy k * integral of rho, see `potential_energy`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax.sim.system import System


def stretch_response(system: System, index: int, stretch: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(integral of rho [m^2], rho [m], rho' [1]) of spring `index` at a stretch [m]."""
    if not system.springs.cable[index]:
        return stretch**2 / 2, stretch, jnp.ones_like(stretch)
    width = system.springs.slack_blend[index]
    fraction = jnp.clip(stretch / width, 0.0, 1.0)
    beyond = jnp.maximum(stretch - width, 0.0)
    integral = width**2 * (fraction**4 / 4 - fraction**5 / 10) + beyond * (beyond + width) / 2
    rho = width * (fraction**3 - fraction**4 / 2) + beyond
    return integral, rho, fraction**2 * (3 - 2 * fraction)


def potential_energy(system: System, position: jax.Array, handle_position: jax.Array) -> jax.Array:
    """[J]: springs and gravity, of free points (P, d) and handles (H, d) [m]."""
    energy = -jnp.sum(system.mass[:, None] * position * system.gravity[None])
    points = _all_points(handle_position, position)
    for index in range(len(system.springs.ends)):
        _, length, _ = _geometry(system, index, points)
        integral, _, _ = stretch_response(system, index, length - system.springs.rest_length[index])
        energy += system.springs.stiffness[index] * integral
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
    """(P, d) [N] on the free points: gravity, drag, spring tension and damping along the springs."""
    total = list(system.mass[:, None] * system.gravity[None] - system.drag[:, None] * velocity)
    points = _all_points(handle_position, position)
    velocities = _all_points(handle_velocity, velocity)
    for index, (first, second) in enumerate(system.springs.ends):
        _, length, direction = _geometry(system, index, points)
        _, rho, slope = stretch_response(system, index, length - system.springs.rest_length[index])
        rate = jnp.sum(direction * (velocities[second] - velocities[first]))
        tension = system.springs.stiffness[index] * rho + system.springs.damping[index] * slope * rate
        for point, pull in ((first, tension), (second, -tension)):
            if point >= system.num_handles:
                total[point - system.num_handles] += pull * direction
    return jnp.stack(total)


def newton_matrix(
    system: System,
    position: jax.Array,
    handle_position: jax.Array,
    velocity_weight: float,
    position_weight: float,
) -> jax.Array:
    """(P d, P d): mass * velocity_weight + D + position_weight * K, the Jacobian of an implicit step.

    K [N/m] holds for each spring k (rho' dd' + max(rho, 0) / l (I - dd')), D [N s/m] drag and damping,
    so that the matrix is symmetric and positive definite. It differs from the exact Jacobian only where a
    spring is compressed (there the geometric term is negative: with it, Newton's method fails on
    about one step in ten of a double pendulum whose handle is shaken at full speed, without it on none)
    and by the turning of damped springs. Derivatives of a step never use this matrix.
    """
    dimension = system.dimension
    identity = jnp.eye(dimension, dtype=position.dtype)
    zero = jnp.zeros_like(identity)
    count = system.num_points
    blocks = [[zero for _ in range(count)] for _ in range(count)]
    for point in range(count):
        blocks[point][point] = (system.mass[point] * velocity_weight + system.drag[point]) * identity
    points = _all_points(handle_position, position)
    for index, (first, second) in enumerate(system.springs.ends):
        block = _spring_block(system, index, points, position_weight)
        row, column = first - system.num_handles, second - system.num_handles
        for point in (row, column):
            if point >= 0:
                blocks[point][point] += block
        if row >= 0 and column >= 0:
            blocks[row][column] -= block
            blocks[column][row] -= block
    return jnp.concatenate([jnp.concatenate(row, axis=1) for row in blocks], axis=0)


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
    if not system.springs.ends:
        return jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
    extent = jnp.maximum(jnp.max(jnp.abs(position)), jnp.max(jnp.abs(handle_position)))
    length = jnp.maximum(extent, jnp.max(system.springs.rest_length))
    return jnp.maximum(weight, jnp.max(system.springs.stiffness) * length)


def _spring_block(system: System, index: int, points: list[jax.Array], position_weight: float) -> jax.Array:
    _, length, direction = _geometry(system, index, points)
    _, rho, slope = stretch_response(system, index, length - system.springs.rest_length[index])
    along = direction[:, None] * direction[None, :]
    across = jnp.eye(system.dimension, dtype=length.dtype) - along
    stiffness = position_weight * system.springs.stiffness[index]
    axial = (stiffness + system.springs.damping[index]) * slope
    return axial * along + stiffness * jnp.maximum(rho, 0.0) / length * across


def _geometry(system: System, index: int, points: list[jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(edge (d,) [m], length [m], direction (d,)) of a spring; the length is guarded at coincident ends."""
    first, second = system.springs.ends[index]
    edge = points[second] - points[first]
    square = jnp.sum(edge**2)
    smallest = jnp.finfo(square.dtype).tiny ** 0.5
    length = jnp.sqrt(jnp.where(square > smallest, square, smallest))
    return edge, length, edge / length


def _all_points(handles: jax.Array, free: jax.Array) -> list[jax.Array]:
    return [*handles, *free]
