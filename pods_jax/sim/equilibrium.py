"""Where a network comes to rest."""

import jax
import jax.numpy as jnp

from pods_jax import checks
from pods_jax.sim import forces
from pods_jax.sim.newton import implicit_root, newton
from pods_jax.sim.system import System, handle_position

REGULARIZATION = 1e-3
"""Added to the stiffness matrix [N/m per kg], so that a network that may still swing freely has a Newton step."""

ROUNDING = 32
"""A force of ROUNDING * machine epsilon * the largest force is none, where there is no weight to compare it with."""


def equilibrium(system: System, handle: jax.Array, guess: jax.Array) -> jax.Array:
    """(P, d) [m] positions of the free points without any force on them, with the handles at rest at `handle` (A,).

    guess: (P, d) [m], where the search begins; cables should be taut there. Raises InputError for a network with
    points that nothing holds, and where no equilibrium is found (what is traced cannot be judged). Differentiable.
    """
    check_connected(system)
    position = _search(system, handle, guess)
    residual, allowed = _largest_force(system, handle, position)
    if not checks.is_traced(residual) and not residual <= allowed:
        raise checks.InputError(
            f"no equilibrium found: a force of {residual:.2g} N is left; guess a position closer to it, or check "
            "that cables and planes can carry the weight"
        )
    return position


def check_connected(system: System) -> None:
    """Raises InputError if some free point is joined to no handle, directly or through others."""
    checks.instance("system", system, System, "sim.make_system(...)")
    reached = set(range(system.num_handles))
    waiting = set(system.springs.ends)
    while found := {pair for pair in waiting if reached.intersection(pair)}:
        waiting -= found
        reached = reached.union(*found)
    loose = sorted(set(range(system.num_handles + system.num_points)) - reached)
    if loose:
        raise checks.InputError(f"points {loose} are joined to no handle: add springs that connect them")


@jax.jit
def _search(system: System, handle: jax.Array, guess: jax.Array) -> jax.Array:
    points = handle_position(system, handle)
    zero = jnp.zeros_like(guess)

    def residual(unknown):
        position = unknown.reshape(guess.shape)
        return -forces.force(system, position, zero, points, jnp.zeros_like(points)).reshape(-1)

    def direction(unknown, value):
        position = unknown.reshape(guess.shape)
        matrix = forces.newton_matrix(system, position, zero, points, jnp.zeros_like(points), REGULARIZATION, 1.0)
        return -jnp.linalg.solve(matrix, value)

    tolerance = jnp.finfo(guess.dtype).eps * forces.force_scale(system, guess, points)

    def search(unknown):
        return newton(residual, direction, unknown, tolerance)

    return implicit_root(residual, search, guess.reshape(-1)).reshape(guess.shape)


@jax.jit
def _largest_force(system: System, handle: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """() [N] what is left of the forces, and () [N] what counts as none: a hundredth of the weight, or rounding."""
    points = handle_position(system, handle)
    force = forces.force(system, position, jnp.zeros_like(position), points, jnp.zeros_like(points))
    weight = jnp.max(system.mass) * jnp.sqrt(jnp.sum(system.gravity**2))
    rounding = ROUNDING * jnp.finfo(position.dtype).eps * forces.force_scale(system, position, points)
    return jnp.max(jnp.abs(force)), jnp.maximum(0.01 * weight, rounding)
