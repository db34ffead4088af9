"""Second-order backward differentiation (BDF2) of a mass-spring network.

With x, v the free points, y the handles, h the time step, + the new step, - the one before the present:

    y+ = y + h a,
    x+ = (4 x - x- + 2 h v+) / 3,
    M (3 v+ - 4 v + v-) / (2 h) = f(x+, v+, y+).

The last line is one implicit equation in v+ [N]; its Newton matrix is 3/2 M/h + D + 2/3 h K. BDF2 hardly
damps slow motion and stays stable for stiff springs (Zimmermann et al. 2019, as used by the paper).
"""

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks
from pods_jax.linalg.scalarize import scalarized_if_small
from pods_jax.sim import elimination, forces
from pods_jax.sim.newton import implicit_root, newton
from pods_jax.sim.system import System, handle_position, handle_velocity

TOLERANCE = 32
"""Newton stops at a residual of TOLERANCE * machine epsilon * the largest term of the equation."""

HEALTHY = 8
"""A step counts as converged if the residual of the stored state is within HEALTHY times that."""

PATIENCE = 40
"""Passes of Newton's method after which it takes steps that look worse."""


@struct.dataclass
class State:
    """Handles and the two-step history of the free points: everything that the next step depends on."""

    handle: jax.Array  # (A,) [m], coordinates of the handles along their axes
    position: jax.Array  # (P, d) [m]
    velocity: jax.Array  # (P, d) [m/s]
    previous_position: jax.Array  # (P, d) [m]
    previous_velocity: jax.Array  # (P, d) [m/s]


def initial_state(system: System, handle: jax.Array, position: jax.Array, velocity: jax.Array) -> State:
    """A State at rest or in motion, with a history that makes BDF2 second order from its first step.

    The history continues the motion backwards with the initial acceleration a0 = M^-1 f:
    x_-1 = x_0 - h v_0 + h^2 a0 / 2 and v_-1 = v_0 - h a0. (Dropping a0 would give order 1.)
    handle: (A,) [m]. position, velocity: (P, d) [m], [m/s]. Raises InputError on other shapes.
    """
    checks.shape("handle", handle, (system.action_size,))
    checks.shape("position", position, (system.num_points, system.dimension))
    checks.shape("velocity", velocity, (system.num_points, system.dimension))
    h = system.time_step
    points = handle_position(system, handle)
    force = forces.force(system, position, velocity, points, jnp.zeros_like(points))
    acceleration = force / system.mass[:, None]
    return State(
        handle=handle,
        position=position,
        velocity=velocity,
        previous_position=position - h * velocity + h**2 / 2 * acceleration,
        previous_velocity=velocity - h * acceleration,
    )


def step(system: System, state: State, action: jax.Array) -> State:
    """The state after one time step under `action`, the handle velocities (A,) [m/s]."""
    checks.shape("action", action, (system.action_size,))
    h = system.time_step
    handle = state.handle + h * action
    points, moving = handle_position(system, handle), handle_velocity(system, action)
    shape = state.velocity.shape

    def residual(unknown):
        return equation(system, state, handle, action, unknown.reshape(shape)).reshape(-1)

    def direction(unknown, value):
        velocity = unknown.reshape(shape)
        position = new_position(system, state, velocity)
        blocks, diagonal = forces.newton_blocks(system, position, velocity, points, moving, 1.5 / h, 2 / 3 * h)
        return -elimination.solve(system, blocks, diagonal, value)

    guess = ((4 * state.velocity - state.previous_velocity) / 3).reshape(-1)
    tolerance = _tolerance(system, state, points, moving, state.velocity)

    def search(guess):
        return newton(residual, direction, guess, tolerance, patience=PATIENCE)

    velocity = implicit_root(residual, scalarized_if_small(search, guess.size), guess).reshape(shape)
    return State(
        handle=handle,
        position=new_position(system, state, velocity),
        velocity=velocity,
        previous_position=state.position,
        previous_velocity=state.velocity,
    )


def step_error(system: System, state: State, action: jax.Array, next_state: State) -> jax.Array:
    """How far `next_state` is from solving the step, in units of what counts as converged.

    max |residual| over HEALTHY * TOLERANCE * epsilon * the largest term of the equation, inertia and damping as well
    as forces: at most 1 if converged, NaN if anything is not finite.
    """
    residual = equation(system, state, next_state.handle, action, next_state.velocity)
    points, moving = handle_position(system, next_state.handle), handle_velocity(system, action)
    tolerance = _tolerance(system, state, points, moving, next_state.velocity)
    return jnp.max(jnp.abs(residual)) / (HEALTHY * tolerance)


def _tolerance(system: System, state: State, points: jax.Array, moving: jax.Array, velocity: jax.Array) -> jax.Array:
    """() [N]: how much of the equation is rounding; 2 m v / h and c v are terms of it as well as the forces.

    points, moving: (H, d) [m], [m/s], of the handles. velocity: (P, d) [m/s], as far as it is known.
    """
    state, points, moving, velocity = jax.lax.stop_gradient((state, points, moving, velocity))
    by_speed = 2 / system.time_step * jnp.max(system.mass) + jnp.max(system.springs.damping, initial=0.0)
    speeds = jnp.abs(jnp.concatenate([moving, state.velocity, state.previous_velocity, velocity]))
    scale = forces.force_scale(system, jnp.concatenate([state.position, state.previous_position]), points)
    return TOLERANCE * jnp.finfo(scale.dtype).eps * jnp.maximum(scale, by_speed * jnp.max(speeds))


def new_position(system: System, state: State, velocity: jax.Array) -> jax.Array:
    """(P, d) [m]: where the free points are at the end of a step, given their new velocity (P, d) [m/s]."""
    return (4 * state.position - state.previous_position + 2 * system.time_step * velocity) / 3


def equation(system: System, state: State, handle: jax.Array, action: jax.Array, velocity: jax.Array) -> jax.Array:
    """(P, d) [N]: what is left of the implicit equation at a new velocity (P, d) [m/s]."""
    change = (3 * velocity - 4 * state.velocity + state.previous_velocity) / (2 * system.time_step)
    force = forces.force(
        system,
        new_position(system, state, velocity),
        velocity,
        handle_position(system, handle),
        handle_velocity(system, action),
    )
    return system.mass[:, None] * change - force
