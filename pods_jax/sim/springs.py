"""Springs and cables: energy, tension, and the stiffness that Newton's method needs.

The tension of a spring of stiffness k and stretch e = l - L is k * rho(e), with rho(e) = e for a bilateral
spring and, for a cable with blend width w,

    rho(e) = 0 (e <= 0),   w (t^3 - t^4 / 2) with t = e / w (0 < e < w),   e - w / 2 (e >= w),

which is C^2. It derives from the energy k * integral of rho.

All springs are treated at once, as arrays (S, ...). The (static) topology enters through sums over the ends of
springs. For few springs these are written out while tracing, which turns into plain vector code under `vmap`:
no gather, no scatter. For many they are a gather, and sums products with the incidence matrix, which compile quickly.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import linalg
from pods_jax.linalg.static_indices import is_range, take
from pods_jax.sim.system import System
from pods_jax.thresholds import MAX_LISTED_SPRINGS

CARRIED = 0.95
"""How much of the inertia of a point the compressed springs at it may take up in the Newton matrix."""


@struct.dataclass
class SpringBlocks:
    """A matrix (d, d) for each spring, axial dd' + lateral (I - dd') + d turning', by what it is made of."""

    direction: jax.Array  # (S, d)
    axial: jax.Array  # (S,)
    lateral: jax.Array  # (S,)
    turning: jax.Array | None = None  # (S, d), across the springs; None stands for zero

    def matrix(self) -> jax.Array:
        """(d, d), of one spring."""
        along = self.direction[:, None] * self.direction[None]
        matrix = self.axial * along + self.lateral * (jnp.eye(len(along), dtype=along.dtype) - along)
        return matrix if self.turning is None else matrix + self.direction[:, None] * self.turning[None]

    def matrices(self) -> jax.Array:
        """(S, d, d), of all springs."""
        return jax.vmap(SpringBlocks.matrix)(self)


def blended(stretch: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(integral of rho [m^2], rho [m], rho' [1]) at a stretch [m]: a one-sided response that is C^2."""
    fraction = jnp.clip(stretch / width, 0.0, 1.0)
    beyond = jnp.maximum(stretch - width, 0.0)
    integral = width**2 * (fraction**4 / 4 - fraction**5 / 10) + beyond * (beyond + width) / 2
    rho = width * (fraction**3 - fraction**4 / 2) + beyond
    return integral, rho, fraction**2 * (3 - 2 * fraction)


def stretch_response(system: System, stretch: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(integral of rho [m^2], rho [m], rho' [1]) of all springs at their stretches (S,) [m]."""
    bilateral = (stretch**2 / 2, stretch, jnp.ones_like(stretch))
    if not any(system.springs.cable):
        return bilateral
    unilateral = blended(stretch, system.springs.slack_blend)
    if all(system.springs.cable):
        return unilateral
    cable = np.asarray(system.springs.cable)
    integral, rho, slope = (jnp.where(cable, one, two) for one, two in zip(unilateral, bilateral, strict=True))
    return integral, rho, slope


def spring_energy(system: System, points: jax.Array) -> jax.Array:
    """() [J] stored in all springs between points (H + P, d) [m]."""
    length, _ = geometry(differences(system, points))
    integral, _, _ = stretch_response(system, length - system.springs.rest_length)
    return jnp.sum(system.springs.stiffness * integral)


def spring_force(system: System, points: jax.Array, velocities: jax.Array) -> jax.Array:
    """(H + P, d) [N] on all points: tension and damping along the springs."""
    return -sum_over_ends(system, _pull(system, differences(system, points), differences(system, velocities)))


def spring_derivatives(system: System, points: jax.Array, velocities: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(S, d, d) twice: by how much the pull of each spring grows with its edge [N/m] and the edge's rate [N s/m]."""
    edge, rate = differences(system, points), differences(system, velocities)
    by_edge = linalg.rowwise_jacobian(lambda edge: _pull(system, edge, rate), edge)
    return by_edge, linalg.rowwise_jacobian(lambda rate: _pull(system, edge, rate), rate)


def _pull(system: System, edge: jax.Array, rate: jax.Array) -> jax.Array:
    """(S, d) [N] by which each spring pulls its first end towards its second, given its edge and the edge's rate."""
    length, direction = geometry(edge)
    _, rho, slope = stretch_response(system, length - system.springs.rest_length)
    damping = system.springs.damping * slope * jnp.sum(direction * rate, axis=1)
    return (system.springs.stiffness * rho + damping)[:, None] * direction


def spring_blocks(
    system: System, points: jax.Array, velocities: jax.Array, position_weight: float, inertia: jax.Array
) -> SpringBlocks:
    """[N s/m]: damping + position_weight * stiffness of each spring.

    The stiffness is k (rho' dd' + rho / l (I - dd')), whose second part is negative in a compressed spring. There it
    goes no further than the inertia (P,) [N s/m] of the free points at the ends of the spring can carry. Strong
    damping, c rho' d'w with w the velocity of one end relative to the other, changes with length and direction as
    well; nothing is reduced then.
    """
    length, direction = geometry(differences(system, points))
    _, rho, slope = stretch_response(system, length - system.springs.rest_length)
    stiffness = position_weight * system.springs.stiffness
    axial = (stiffness + system.springs.damping) * slope
    if not system.springs.strongly_damped:
        return SpringBlocks(direction, axial, _carried(system, stiffness * rho / length, inertia))
    rate = differences(system, velocities)
    along = jnp.sum(direction * rate, axis=1)
    damping = position_weight * system.springs.damping * slope
    axial += position_weight * system.springs.damping * _bend(system, length - system.springs.rest_length) * along
    lateral = (stiffness * rho + damping * along) / length
    turning = (damping / length)[:, None] * (rate - along[:, None] * direction)
    return SpringBlocks(direction, axial, lateral, turning)


def _bend(system: System, stretch: jax.Array) -> jax.Array:
    """(S,) [1/m] rho'' of all springs at their stretches (S,) [m]."""
    return jax.jvp(lambda stretch: stretch_response(system, stretch)[2], (stretch,), (jnp.ones_like(stretch),))[1]


def _carried(system: System, lateral: jax.Array, inertia: jax.Array) -> jax.Array:
    """(S,) [N s/m] the lateral blocks of springs, the negative ones reduced to what inertia (P,) [N s/m] can carry.

    With |x_i - x_j|^2 <= 2 |x_i|^2 + 2 |x_j|^2, the matrix of all springs and inertia then stays positive definite.
    """
    num_free = np.sum(np.array(system.springs.ends) >= system.num_handles, axis=1)  # (S,) ends of each spring
    taken = jnp.maximum(-lateral, 0.0) * num_free.astype(lateral.dtype)
    load = sum_over_ends(system, taken[:, None], sign=1)[system.num_handles :, 0]
    share = CARRIED * inertia / jnp.maximum(load, CARRIED * inertia)
    first, second = at_ends(system, jnp.concatenate([jnp.ones(system.num_handles, share.dtype), share]))
    return jnp.where(lateral < 0, jnp.minimum(first, second) * lateral, lateral)


def geometry(edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(length (S,) [m], direction (S, d)) of edges (S, d) [m]; the length is guarded at coincident ends."""
    square = jnp.sum(edge**2, axis=1)
    smallest = jnp.finfo(square.dtype).tiny ** 0.5
    length = jnp.sqrt(jnp.where(square > smallest, square, smallest))
    return length, edge / length[:, None]


def differences(system: System, values: jax.Array) -> jax.Array:
    """(S, d): second end minus first end of each spring, of values (H + P, d) at the points."""
    first, second = at_ends(system, values)
    return second - first


def at_ends(system: System, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(S, ...) twice: values (H + P, ...) at the points, at the first and at the second end of each spring."""
    first, second = (
        jnp.stack([values[index] for index in ends]) if len(ends) <= MAX_LISTED_SPRINGS else take(values, ends)
        for ends in zip(*system.springs.ends, strict=True)
    )
    return first, second


def sum_over_ends(system: System, values: jax.Array, sign: int = -1) -> jax.Array:
    """(H + P, d): values (S, d) added at the second end of each spring and, by `sign`, subtracted at the first."""
    num_all = system.num_handles + system.num_points
    first, second = zip(*system.springs.ends, strict=True)
    if len(first) <= MAX_LISTED_SPRINGS:
        total: list = [jnp.zeros_like(values[0])] * num_all
        for index, value in enumerate(values):
            total[first[index]] = total[first[index]] + sign * value
            total[second[index]] = total[second[index]] + value
        return jnp.stack(total)
    if is_range(first) and is_range(second):

        def placed(start):
            return jnp.pad(values, ((start, num_all - start - len(values)), (0, 0)))

        return placed(second[0]) + sign * placed(first[0])
    matrix = incidence(system) if sign < 0 else np.abs(incidence(system))
    return jnp.matmul(matrix.T.astype(values.dtype), values, precision="highest")


def incidence(system: System) -> np.ndarray:
    """(S, H + P): -1 at the first end of each spring, 1 at the second."""
    matrix = np.zeros((len(system.springs.ends), system.num_handles + system.num_points))
    for index, (first, second) in enumerate(system.springs.ends):
        matrix[index, first], matrix[index, second] = -1.0, 1.0
    return matrix


def assemble(system: System, blocks: jax.Array, diagonal: jax.Array) -> jax.Array:
    """(P d, P d) from the blocks (S, d, d) of springs between free points and blocks (P, d, d) on the diagonal."""
    count, dimension = system.num_points, system.dimension
    free = [(first - system.num_handles, second - system.num_handles) for first, second in system.springs.ends]
    if len(free) > MAX_LISTED_SPRINGS:
        return _assemble_by_index(system, free, blocks, diagonal)
    zero = jnp.zeros((dimension, dimension), blocks.dtype)
    rows: list = [[zero] * count for _ in range(count)]
    for point in range(count):
        rows[point][point] = diagonal[point]
    for index, (row, column) in enumerate(free):
        for point in (row, column):
            if point >= 0:
                rows[point][point] = rows[point][point] + blocks[index]
        if row >= 0 and column >= 0:
            rows[row][column] = rows[row][column] - blocks[index]
            rows[column][row] = rows[column][row] - blocks[index]
    return jnp.concatenate([jnp.concatenate(row, axis=1) for row in rows], axis=0)


def _assemble_by_index(
    system: System, free: list[tuple[int, int]], blocks: jax.Array, diagonal: jax.Array
) -> jax.Array:
    count, dimension = system.num_points, system.dimension
    diagonal = add_at_points(system, blocks, diagonal)
    matrix = jnp.zeros((count, count, dimension, dimension), blocks.dtype)
    matrix = matrix.at[np.arange(count), np.arange(count)].set(diagonal)
    inner = np.array([index for index, pair in enumerate(free) if min(pair) >= 0])
    row, column = np.array([free[index] for index in inner]).T
    matrix = matrix.at[row, column].add(-blocks[inner]).at[column, row].add(-blocks[inner])
    return matrix.transpose(0, 2, 1, 3).reshape(count * dimension, count * dimension)


def add_at_points(system: System, blocks: jax.Array, diagonal: jax.Array) -> jax.Array:
    """(P, d, d) blocks of points (P, d, d) and of all springs (S, d, d) that end there, together."""
    touching = np.abs(incidence(system))[:, system.num_handles :].astype(blocks.dtype)  # (S, P)
    return diagonal + jnp.einsum("kp,kij->pij", touching, blocks, precision="highest")
