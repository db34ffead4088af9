"""The derivative of one BDF2 step, from a single factorisation.

The history enters a step linearly, through q = (4 x - x-) / 3 and w = (4 v - v-) / 3 alone. With tau = 2/3 h, the
stiffness K = -df/dx, the damping D = -df/dv and the Newton matrix S = M / tau + D + tau K, all exact and at the end
of the step, differentiating M (v+ - w) / tau = f(x+, v+, y+) and x+ = q + tau v+ gives

    S dv+ = M / tau dw - K dq + df/dy+ (dy + h da) + df/dy+' da,        dx+ = dq + tau dv+,

so that the inverse of S, n right sides instead of 4 n + A, is all that has to be solved for; and because
tau K = S - M / tau - D, the product S^-1 K costs nothing more. A and B are never written down: they are mostly zeros,
identities and repetitions. (Section 4 of the paper: the Jacobian costs less than the rollout.)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax import linalg
from pods_jax.linalg.scalarize import scalarized
from pods_jax.sim import contact, elimination, springs
from pods_jax.sim.bdf2 import State
from pods_jax.sim.system import System, handle_position, handle_velocity
from pods_jax.thresholds import MAX_INVERSE_SIZE


@struct.dataclass
class StepDerivative:
    """How the new velocities depend on everything else; states are flat, (y, x, v, x-, v-) one after the other.

    It is a `LinearModel` of trajectory optimization: `transpose_product` and `product` multiply with A and B.
    """

    handle: jax.Array  # (n, A) dv+/dy [1/s]
    position: jax.Array  # (n, n) dv+/dq [1/s]
    velocity: jax.Array  # (n, n) dv+/dw
    action: jax.Array  # (n, A) dv+/da, the handles' way during the step included
    time_step: float = struct.field(pytree_node=False)  # [s]

    def transpose_product(self, by_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        """From (A + 4 n, c) to A' by_next (A + 4 n, c) and B' by_next (A, c)."""
        handle, position, velocity, previous_position, previous_velocity = self._split(by_next)
        size, num_actions = self.handle.shape
        # One product with all that the new velocities depend on is faster than four small ones.
        dependence = jnp.concatenate([self.handle.T, self.position.T, self.velocity.T, self.action.T])
        through = linalg.product(dependence, velocity + 2 / 3 * self.time_step * position)
        by_handle, by_q, w, by_action = jnp.split(through, num_actions + size * np.arange(3))
        q = position + by_q
        by_state = [handle + by_handle, 4 / 3 * q + previous_position, 4 / 3 * w + previous_velocity, -q / 3, -w / 3]
        return jnp.concatenate(by_state), self.time_step * handle + by_action

    def product(self, by_state: jax.Array, by_action: jax.Array) -> jax.Array:
        """From (A + 4 n, c), (A, c) to A by_state + B by_action (A + 4 n, c)."""
        handle, position, velocity, previous_position, previous_velocity = self._split(by_state)
        q, w = (4 * position - previous_position) / 3, (4 * velocity - previous_velocity) / 3
        new_velocity = self.handle @ handle + self.position @ q + self.velocity @ w + self.action @ by_action
        new_position = q + 2 / 3 * self.time_step * new_velocity
        new_handle = handle + self.time_step * by_action
        return jnp.concatenate([new_handle, new_position, new_velocity, position, velocity])

    def _split(self, values: jax.Array) -> list[jax.Array]:
        size, num_actions = self.handle.shape
        return jnp.split(values, num_actions + size * np.arange(4))


def linearize(system: System, state: State, action: jax.Array, next_state: State) -> StepDerivative:
    """The derivative of the step from `state` to `next_state` by the action (A,) [m/s]."""
    tau = 2 / 3 * system.time_step
    inertia = system.mass / tau

    def solved(position, velocity, handle, action):
        force = force_derivatives(system, position, velocity, handle, action)
        identity = jnp.eye(system.dimension, dtype=inertia.dtype)
        inverse = elimination.inverse(
            system,
            force.spring_damping + tau * force.spring_stiffness,
            inertia[:, None, None] * identity[None] + force.point_damping + tau * force.point_stiffness,
        )
        damping = springs.assemble(system, force.spring_damping, force.point_damping)
        by_damping, by_handle, by_rate = jnp.split(
            inverse @ jnp.concatenate([damping, force.by_handle, force.by_rate], axis=1),
            np.cumsum([len(damping), system.action_size]),
            axis=1,
        )
        by_velocity = inverse * jnp.repeat(inertia, system.dimension)[None]
        by_position = (by_velocity + by_damping - jnp.eye(len(damping), dtype=inertia.dtype)) / tau
        return by_handle, by_position, by_velocity, by_rate

    small = system.num_points * system.dimension <= MAX_INVERSE_SIZE
    handle, position, velocity, rate = (scalarized(solved) if small else solved)(
        next_state.position, next_state.velocity, next_state.handle, action
    )
    return StepDerivative(handle, position, velocity, system.time_step * handle + rate, system.time_step)


class ForceDerivatives(NamedTuple):
    """Exact derivatives of the forces f on the free points, negative for stiffness and damping."""

    spring_stiffness: jax.Array  # (S, d, d) [N/m], of each spring
    spring_damping: jax.Array  # (S, d, d) [N s/m]
    point_stiffness: jax.Array  # (P, d, d) [N/m], of each point by itself
    point_damping: jax.Array  # (P, d, d) [N s/m]
    by_handle: jax.Array  # (n, A) df/dq [N/m], q the handle coordinates (A,)
    by_rate: jax.Array  # (n, A) df/dq' [N s/m]


def force_derivatives(
    system: System, position: jax.Array, velocity: jax.Array, handle: jax.Array, action: jax.Array
) -> ForceDerivatives:
    """How all forces change with points (P, d), their velocities, and the handle coordinates (A,) and their rates."""
    count, dimension, num_handles = system.num_points, system.dimension, system.num_handles
    identity = jnp.eye(dimension, dtype=position.dtype)
    soft = jnp.zeros((count, dimension, dimension), position.dtype)
    viscous = system.drag[:, None, None] * identity[None]
    if system.num_planes:
        by_position, by_velocity = contact.contact_derivatives(system, position, velocity)
        soft, viscous = soft - by_position, viscous - by_velocity
    if not system.springs.ends:
        nothing = jnp.zeros((0, dimension, dimension), position.dtype)
        still = jnp.zeros((count * dimension, system.action_size), position.dtype)
        return ForceDerivatives(nothing, nothing, soft, viscous, still, still)
    points = jnp.concatenate([handle_position(system, handle), position])
    velocities = jnp.concatenate([handle_velocity(system, action), velocity])
    by_edge, by_rate = springs.spring_derivatives(system, points, velocities)

    def by_handle(blocks, axes):
        moved = springs.differences(system, jnp.pad(axes, ((0, count), (0, 0))))
        pull = jnp.einsum("sij,sj->si", blocks, moved)
        return -springs.sum_over_ends(system, pull)[num_handles:].reshape(-1)

    by_handles = jax.vmap(by_handle, in_axes=(None, 0), out_axes=1)
    return ForceDerivatives(
        by_edge,
        by_rate,
        soft,
        viscous,
        by_handles(by_edge, system.handle_axes),
        by_handles(by_rate, system.handle_axes),
    )
