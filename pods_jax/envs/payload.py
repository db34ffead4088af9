"""Payloads hung from driven handles: the tasks of the paper on any mass-spring system.

Task "stop": from a random motion, come to rest hanging, as fast as possible, anywhere (w_p = w_x = 0).
Task "stop_at_origin": come to rest with the handles at their origin and the payload hanging below.
Task "lay": the same objective, but the payload is to lie somewhere else than it hangs at the start.
Objective (Eq. 15): -reward = w_p |p|^2 + w_x |x|^2 + w_v |v|^2 + w_a |a|^2 with p the handle coordinates and x
the payload positions relative to their targets, v the payload velocities, summed over points.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import ArrayLike

from pods_jax import checks, sim
from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions
from pods_jax.types import Key

TASKS = ("stop", "stop_at_origin")
LAY = "lay"

TAUT = 1.5
"""How far points are lowered for a guess of where they hang, by what is missing of the length of a cable."""


@dataclass(frozen=True)
class Weights:
    """The coefficients of Eq. 15; a term of weight zero is left out of the residual."""

    handle: float  # w_p [1/m^2]
    position: float  # w_x [1/m^2]
    velocity: float  # w_v [s^2/m^2]
    action: float  # w_a [s^2/m^2]


def make_weights(values: Sequence[float]) -> Weights:
    """Weights from (w_p, w_x, w_v, w_a). Raises InputError unless they are four numbers >= 0."""
    return Weights(*map(float, checks.array("weights", values, (4,), at_least=0.0)))


@struct.dataclass
class Payload:
    """The parameters of a payload environment."""

    system: sim.System
    rest_position: jax.Array  # (P, d) [m], where the points should come to rest, with the handles at their origin
    start_handle: jax.Array  # (A,) [m], where the handles start, before they are displaced
    start_position: jax.Array  # (P, d) [m], hanging at rest below them
    initial_speed: jax.Array  # () [m/s], largest horizontal speed of each velocity mode at the start
    initial_displacement: jax.Array  # () [m], largest displacement of the handles in each of their translations
    translations: jax.Array  # (m, A), moves of the handle coordinates that shift all handles alike
    velocity_modes: jax.Array  # (m, P), how much of each random velocity each point gets
    weights: Weights = struct.field(pytree_node=False)
    rests_at_start: bool = struct.field(pytree_node=False, default=False)  # whether the target is where it starts


def make_payload(
    name: str,
    task: str,
    system: sim.System,
    rest_position: ArrayLike,
    *,
    horizon: int,
    action_limit: float,
    initial_speed: float,
    initial_displacement: float,
    weights: Weights,
    start_handle: ArrayLike | None = None,
    start_position: ArrayLike | None = None,
    velocity_modes: np.ndarray | None = None,
) -> Environment:
    """An Environment around a system with P free points that should come to rest at `rest_position` (P, d) [m].

    action_limit: [m/s] > 0 for every handle coordinate. start_handle (A,), start_position (P, d): an equilibrium to
    start from, the target itself if not given. velocity_modes (m, P): each of m random horizontal velocities moves
    the points in these proportions; every point by itself if not given. Raises InputError naming field, value, cure.
    """
    checks.choice("task", task, (*TASKS, LAY))
    name = checks.text("name", name)
    sim.check_connected(system)
    checks.instance("weights", weights, Weights, "envs.make_weights([0, 0, 1, 0.1])")
    for field in ("handle", "position", "velocity", "action"):
        checks.number(f"weight_{field}", getattr(weights, field), at_least=0.0)
    initial_displacement = checks.scalar("initial_displacement", initial_displacement, at_least=0.0)
    if task == "stop":
        weights = Weights(0.0, 0.0, weights.velocity, weights.action)
        initial_displacement = 0.0
    limit = checks.scalar("action_limit", action_limit, above=0.0)
    shape = (system.num_points, system.dimension)
    target = jnp.asarray(checks.scalars("rest_position", rest_position, shape))
    start = target if start_position is None else jnp.asarray(checks.scalars("start_position", start_position, shape))
    coordinates = np.zeros(system.action_size) if start_handle is None else start_handle
    modes = np.eye(system.num_points) if velocity_modes is None else velocity_modes
    return Environment(
        name=name,
        task=task,
        horizon=checks.integer("horizon", horizon, at_least=1),
        time_step=system.time_step,
        functions=FUNCTIONS,
        parameters=Payload(
            system=system,
            rest_position=target,
            start_handle=jnp.asarray(checks.scalars("start_handle", coordinates, (system.action_size,))),
            start_position=start,
            initial_speed=jnp.asarray(checks.scalar("initial_speed", initial_speed, at_least=0.0)),
            initial_displacement=jnp.asarray(initial_displacement),
            translations=jnp.asarray(common_translations(system)),
            velocity_modes=jnp.asarray(
                checks.array("velocity_modes", modes, (len(np.atleast_1d(modes)), system.num_points))
            ),
            weights=weights,
            rests_at_start=start_position is None and start_handle is None,
        ),
        action_limit=jnp.full(system.action_size, limit),
        action_unit="m/s",
    )


def common_translations(system: sim.System) -> np.ndarray:
    """(m, A): the changes of the handle coordinates that shift all handles by a unit along each possible axis."""
    axes = np.asarray(system.handle_axes).reshape(system.action_size, -1)  # (A, H d)
    wanted = np.tile(np.eye(system.dimension), system.num_handles)  # (d, H d)
    found = wanted @ np.linalg.pinv(axes)
    possible = np.linalg.norm(found @ axes - wanted, axis=1) < 1e-6
    return found[possible] if np.any(possible) else np.eye(system.action_size)


def reset(payload: Payload, key: Key) -> sim.State:
    """Hanging at rest below handles that are displaced together, with random horizontal velocities.

    The velocity of each mode is uniform in the interval (2D) or the disc (3D) of radius `initial_speed`.
    """
    key_handle, key_velocity = jax.random.split(key)
    system = payload.system
    dtype = payload.start_position.dtype
    unit = jax.random.uniform(key_handle, payload.translations.shape[:1], dtype, -1.0, 1.0)
    displaced = payload.initial_displacement * jnp.sum(unit[:, None] * payload.translations, axis=0)
    shift = jnp.mean(sim.handle_position(system, displaced) - system.handle_origin, axis=0)
    modes = payload.velocity_modes
    direction = within_unit_ball(key_velocity, (modes.shape[0], system.dimension - 1), dtype)
    horizontal = jnp.matmul(modes.T, direction, precision="highest")
    velocity = payload.initial_speed * jnp.pad(horizontal, ((0, 0), (0, 1)))
    handle = payload.start_handle + displaced
    return sim.initial_state(system, handle, payload.start_position + shift[None], velocity)


def within_unit_ball(key: Key, shape: tuple[int, int], dtype: jnp.dtype) -> jax.Array:
    """(n, 1) uniform in [-1, 1] or (n, 2) uniform in the unit disc; the key is consumed.

    `jax.random.ball` does this for any dimension, by rejection in a loop that takes seconds to compile, in every
    program that draws initial states.
    """
    unit = jax.random.uniform(key, shape, dtype, -1.0, 1.0)
    if shape[1] == 1:
        return unit
    radius, angle = jnp.sqrt((unit[:, 0] + 1) / 2), jnp.pi * unit[:, 1]
    return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=1)


def step(payload: Payload, state: sim.State, action: jax.Array) -> sim.State:
    """One BDF2 step."""
    return sim.step(payload.system, state, action)


def step_error(payload: Payload, state: sim.State, action: jax.Array, next_state: sim.State) -> jax.Array:
    """Health of one BDF2 step, see `sim.step_error`."""
    return sim.step_error(payload.system, state, action, next_state)


def observe(payload: Payload, state: sim.State) -> jax.Array:
    """(A + 2 P d,): handle coordinates, positions relative to the mean handle, velocities; no history."""
    centre = jnp.mean(sim.handle_position(payload.system, state.handle), axis=0)
    return jnp.concatenate([state.handle, (state.position - centre[None]).reshape(-1), state.velocity.reshape(-1)])


def observation_layout(payload: Payload) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    system = payload.system
    numbers = system.num_points * system.dimension
    axes = "x, y, z" if system.dimension == 3 else "x, z"
    return [
        Block("handle", "m", system.action_size, "coordinates of the handles, zero at their origin"),
        Block("position", "m", numbers, f"{axes} of each free point relative to the mean of the handles"),
        Block("velocity", "m/s", numbers, f"{axes} of each free point"),
    ]


def energy(payload: Payload, state: sim.State) -> Energy:
    """Of the free points, springs and planes; what the handles put in is in it as well."""
    handles = sim.handle_position(payload.system, state.handle)
    return Energy(
        kinetic=sim.kinetic_energy(payload.system, state.velocity),
        potential=sim.potential_energy(payload.system, state.position, handles),
    )


def residual(payload: Payload, state: sim.State, action: jax.Array) -> jax.Array:
    """(R,) the terms of Eq. 15 whose squared norm is the cost of arriving in `state` by `action`."""
    weights = payload.weights
    terms = (
        (weights.handle, state.handle),
        (weights.position, (state.position - payload.rest_position).reshape(-1)),
        (weights.velocity, state.velocity.reshape(-1)),
        (weights.action, action),
    )
    present = [weight**0.5 * term for weight, term in terms if weight > 0]
    return jnp.concatenate(present) if present else jnp.zeros(1, action.dtype)


def measure(payload: Payload, state: sim.State) -> dict[str, jax.Array]:
    """Kinetic energy [J], and the mean distance [m] of the points from where they should hang.

    For "stop" that is below the handles wherever these are, for "stop_at_origin" at the target.
    """
    centre = jnp.mean(sim.handle_position(payload.system, state.handle) - payload.system.handle_origin, axis=0)
    anywhere = payload.weights.position == 0 and payload.weights.handle == 0
    target = payload.rest_position + (centre if anywhere else jnp.zeros_like(centre))[None]
    distance = jnp.sqrt(jnp.sum((state.position - target) ** 2, axis=1))
    return {
        "kinetic_energy": sim.kinetic_energy(payload.system, state.velocity),
        "distance": jnp.mean(distance),
    }


def linearize(payload: Payload, state: sim.State, action: jax.Array, next_state: sim.State) -> sim.StepDerivative:
    """The derivative of one BDF2 step."""
    return sim.linearize(payload.system, state, action, next_state)


def draw(payload: Payload, state: sim.State) -> Drawing:
    """Handles, points, springs and planes; cables no longer than their rest length hang slack."""
    system, springs = payload.system, payload.system.springs
    points = jnp.concatenate([sim.handle_position(system, state.handle), state.position])
    first, second = np.asarray(springs.ends, int).reshape(-1, 2).T
    length = jnp.linalg.norm(points[second] - points[first], axis=1)
    return make_drawing(
        points,
        springs.ends,
        slack=(length <= springs.rest_length) & np.asarray(springs.cable, bool),
        cables=springs.cable,
        num_handles=system.num_handles,
        normals=system.planes.normal,
        offsets=system.planes.offset,
        target=payload.rest_position if payload.weights.position > 0 else (),
    )


def completed(payload: Payload, state: sim.State) -> sim.State:
    """The state with the history that continues its motion backwards, see `sim.initial_state`."""
    return sim.initial_state(payload.system, state.handle, state.position, state.velocity)


def derived(payload: Payload) -> Payload:
    """The parameters with the equilibrium that belongs to the system, after parts of the system were replaced."""
    system = sim.derived(payload.system)
    guess = _stretched(system, payload.start_handle, payload.start_position)
    hanging = sim.equilibrium(system, payload.start_handle, guess)
    target = hanging if payload.rests_at_start else payload.rest_position
    return dataclasses.replace(payload, system=system, start_position=hanging, rest_position=target)


def _stretched(system: sim.System, handle: jax.Array, position: jax.Array) -> jax.Array:
    """(P, d) [m] where to look for the equilibrium of a system that hung at `position` before its springs changed.

    All points move away from the handles as springs have grown, and down until no cable is slack: from there Newton's
    method does not jump.
    """
    handles, springs = sim.handle_position(system, handle), system.springs
    first, second = np.asarray(springs.ends, int).reshape(-1, 2).T
    centre = jnp.mean(handles, axis=0)[None]

    def lengths(position: jax.Array) -> jax.Array:
        points = jnp.concatenate([handles, position])
        return jnp.sqrt(jnp.sum((points[second] - points[first]) ** 2, axis=1))

    grown = centre + jnp.mean(springs.rest_length / lengths(position)) * (position - centre)
    missing = jnp.where(jnp.asarray(springs.cable), springs.rest_length - lengths(grown), 0.0)
    return grown.at[:, -1].add(-jnp.maximum(TAUT * jnp.max(missing, initial=0.0), 0.0))


FUNCTIONS = Functions(
    reset,
    step,
    observe,
    residual,
    step_error,
    measure,
    linearize=linearize,
    observation_layout=observation_layout,
    energy=energy,
    draw=draw,
    completed=completed,
    derived=derived,
)
