"""A planar one-legged hopper: a body, a springy leg whose rest length and hip it moves, a foot that hits the ground.

The leg is the spring-loaded inverted pendulum of running (Blickhan, "The spring-mass model for running and
hopping", Journal of Biomechanics 1989; Raibert, "Legged Robots That Balance", 1986), with a foot of its own mass;
every number is ours. The ground is a penalty: a spring that only pushes, with dissipation (Hunt & Crossley,
"Coefficient of restitution interpreted as damping in vibroimpact", Journal of Applied Mechanics 1975) and friction
that is smooth in the slip.

Task "run": forwards at a speed, at a height, upright.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions, finite_step_error
from pods_jax.envs.robots.explicit import RobotSettings, make_robot, parameters_of, repeat, uniform
from pods_jax.settings import setting
from pods_jax.types import Key

TASKS = ("run",)
OBSERVED_VELOCITY = 0.3
"""Velocities are observed times this, which brings them to the size of the other components."""

SMALLEST = 1e-8
"""[m^2] added to the square of the length of the leg, whose square root has no derivative at zero."""


@dataclass(frozen=True)
class Settings(RobotSettings):
    """Body, leg, ground and task."""

    horizon: int = setting(60, "time steps of an episode", unit="steps", at_least=1)
    time_step: float = setting(0.02, "time between two actions", unit="s", above=0.0)
    mass: float = setting(3.0, "of the body", unit="kg", above=0.0)
    inertia: float = setting(0.05, "of the body, about its centre", unit="kg m^2", above=0.0)
    foot_mass: float = setting(0.3, "of the foot, a point", unit="kg", above=0.0)
    gravity: float = setting(9.81, "acceleration", unit="m/s^2", at_least=0.0)
    leg_length: float = setting(0.6, "of the leg at rest", unit="m", above=0.0)
    leg_stiffness: float = setting(800.0, "of the leg", unit="N/m", above=0.0)
    leg_damping: float = setting(8.0, "along the leg", unit="N s/m", at_least=0.0)
    leg_stroke: float = setting(0.1, "by which the first action changes the rest length", unit="m", above=0.0)
    hip_torque: float = setting(15.0, "largest, by the second action", unit="N m", above=0.0)
    hip_damping: float = setting(0.3, "of the hip", unit="N m s/rad", at_least=0.0)
    contact_stiffness: float = setting(2e4, "of the ground", unit="N/m", above=0.0)
    contact_width: float = setting(0.0, "height over which contact begins; 0: at once", unit="m", at_least=0.0)
    contact_dissipation: float = setting(0.3, "of the ground", unit="s/m", at_least=0.0)
    friction: float = setting(0.9, "coefficient between foot and ground", at_least=0.0)
    slip_speed: float = setting(0.01, "over which friction reverses", unit="m/s", above=0.0)
    target_speed: float = setting(1.0, "to run at", unit="m/s")
    target_height: float = setting(0.7, "of the body", unit="m", above=0.0)
    initial_height: float = setting(0.75, "mean of the body at the start", unit="m", above=0.0)
    height_range: float = setting(0.1, "largest deviation of the height at the start", unit="m", at_least=0.0)
    initial_lean: float = setting(0.15, "largest of leg and body at the start", unit="rad", at_least=0.0)
    initial_velocity: float = setting(0.25, "mean of each at the start, also of the pitch", unit="m/s, rad/s")
    velocity_range: float = setting(0.75, "largest deviation of each at the start", unit="m/s, rad/s", at_least=0.0)
    weights: tuple[float, float, float, float, float, float, float] = setting(
        (0.49, 4.0, 1.0, 2.5e-3, 2.5e-3, 0.09, 0.01),
        "of the squares of speed, height and pitch errors, fall speed, pitch rate, lead of the foot, actions",
        at_least=0.0,
    )


SETTINGS = Settings()


@struct.dataclass
class Hopper:
    """The parameters, as in `Settings`."""

    mass: jax.Array  # () [kg]
    inertia: jax.Array  # () [kg m^2]
    foot_mass: jax.Array  # () [kg]
    gravity: jax.Array  # () [m/s^2]
    leg_length: jax.Array  # () [m]
    leg_stiffness: jax.Array  # () [N/m]
    leg_damping: jax.Array  # () [N s/m]
    leg_stroke: jax.Array  # () [m]
    hip_torque: jax.Array  # () [N m]
    hip_damping: jax.Array  # () [N m s/rad]
    contact_stiffness: jax.Array  # () [N/m]
    contact_width: jax.Array  # () [m]
    contact_dissipation: jax.Array  # () [s/m]
    friction: jax.Array  # () of normal force
    slip_speed: jax.Array  # () [m/s]
    target_speed: jax.Array  # () [m/s]
    target_height: jax.Array  # () [m]
    initial_height: jax.Array  # () [m]
    height_range: jax.Array  # () [m]
    initial_lean: jax.Array  # () [rad]
    initial_velocity: jax.Array  # () [m/s, rad/s]
    velocity_range: jax.Array  # () [m/s, rad/s]
    weights: jax.Array  # (7,) factors of the residuals
    substep: jax.Array  # () [s]
    substeps: int = struct.field(pytree_node=False)


@struct.dataclass
class State:
    """Body and foot in the vertical plane, coordinates x forwards and z upwards from the ground."""

    position: jax.Array  # (2,) [m], of the body
    pitch: jax.Array  # () [rad], of the body
    foot: jax.Array  # (2,) [m]
    velocity: jax.Array  # (2,) [m/s], of the body
    pitch_rate: jax.Array  # () [rad/s]
    foot_velocity: jax.Array  # (2,) [m/s]


def make(task: str, settings: Settings) -> Environment:
    """The environment `hopper_slip`: observation (9,), action (2,) the shares of stroke and torque, in [-1, 1].

    Raises InputError where the leg cannot carry the body, however far it is pressed.
    """
    weight = settings.mass * settings.gravity
    carried = settings.leg_stiffness * settings.leg_length - weight
    if not checks.is_traced(carried) and carried <= 0:
        cure = f"must be greater than {weight / settings.leg_length:g}, or the leg cannot carry the weight"
        raise InputError("env.leg_stiffness", settings.leg_stiffness, cure)
    return make_robot("hopper_slip", task, FUNCTIONS, settings, parameters_of(Hopper, settings), [1.0, 1.0], "")


def reset(hopper: Hopper, key: Key) -> State:
    """In the air, the leg at rest length and leaning, in slow motion; the key is consumed."""
    key_place, key_speed = jax.random.split(key)
    unit = uniform(key_place, jnp.ones_like(hopper.weights[:3]), 3)
    height = hopper.initial_height + hopper.height_range * unit[0]
    lean = hopper.initial_lean * unit[1]
    body = jnp.stack([jnp.zeros_like(height), height])
    leg = hopper.leg_length * jnp.stack([jnp.sin(lean), -jnp.cos(lean)])
    speed = hopper.initial_velocity + uniform(key_speed, hopper.velocity_range, 3)
    return State(body, hopper.initial_lean * unit[2], body + leg, speed[:2], speed[2], speed[:2])


def contact(hopper: Hopper, foot: jax.Array, velocity: jax.Array) -> jax.Array:
    """(2,) [N] of the ground on the foot: k d clip(1 - c v_z, 0, 2) upwards, friction against the slip.

    The depth d of the foot at height z is max(-z, 0), or w log(1 + exp(-z / w)) where contact begins over a width w.
    """
    height = foot[1]
    width = jnp.where(hopper.contact_width > 0, hopper.contact_width, 1.0)
    smooth = width * jax.nn.softplus(-height / width)
    depth = jnp.where(hopper.contact_width > 0, smooth, jnp.maximum(-height, 0.0))
    normal = hopper.contact_stiffness * depth * jnp.clip(1 - hopper.contact_dissipation * velocity[1], 0.0, 2.0)
    return jnp.stack([-hopper.friction * normal * jnp.tanh(velocity[0] / hopper.slip_speed), normal])


def leg(hopper: Hopper, state: State, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The force (2,) [N] of leg and hip on the foot (opposite on the body), and the torque () [N m] of the hip."""
    apart, apart_velocity = state.foot - state.position, state.foot_velocity - state.velocity
    length = jnp.sqrt(jnp.sum(apart**2) + SMALLEST)
    along = apart / length
    across = jnp.stack([-along[1], along[0]])  # to where the foot moves when the leg turns forwards
    stretch = length - hopper.leg_length - hopper.leg_stroke * action[0]
    push = -hopper.leg_stiffness * stretch - hopper.leg_damping * jnp.sum(apart_velocity * along)
    turning = jnp.sum(apart_velocity * across) / length - state.pitch_rate
    torque = hopper.hip_torque * action[1] - hopper.hip_damping * turning
    return push * along + torque / length * across, torque


def advance(hopper: Hopper, state: State, action: jax.Array) -> State:
    """One step of the semi-implicit Euler method: velocities first, positions with the new ones."""
    force, torque = leg(hopper, state, action)
    ground = contact(hopper, state.foot, state.foot_velocity)
    time = hopper.substep
    fall = time * hopper.gravity * jnp.asarray([0.0, 1.0], time.dtype)
    velocity = state.velocity - time * force / hopper.mass - fall
    pitch_rate = state.pitch_rate - time * torque / hopper.inertia
    foot_velocity = state.foot_velocity + time * (force + ground) / hopper.foot_mass - fall
    return State(
        position=state.position + time * velocity,
        pitch=state.pitch + time * pitch_rate,
        foot=state.foot + time * foot_velocity,
        velocity=velocity,
        pitch_rate=pitch_rate,
        foot_velocity=foot_velocity,
    )


def step(hopper: Hopper, state: State, action: jax.Array) -> State:
    """Steps of the integrator under an action (2,) that is held."""
    return repeat(lambda state: advance(hopper, state, action), state, hopper.substeps)


def observe(hopper: Hopper, state: State) -> jax.Array:
    """(9,): height, pitch, the foot and scaled velocities; not where the hopper is along the ground."""
    place = jnp.stack([state.position[1], state.pitch, state.foot[0] - state.position[0], state.foot[1]])
    velocities = jnp.concatenate([state.velocity, state.pitch_rate[None], state.foot_velocity])
    return jnp.concatenate([place, OBSERVED_VELOCITY * velocities])


def observation_layout(hopper: Hopper) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return [
        Block("height", "m", 1, "of the body"),
        Block("pitch", "rad", 1, "of the body"),
        Block("foot", "m", 2, "how far it is ahead of the body, and its height"),
        Block("velocity", "m/s", 2, f"x, z of the body, times {OBSERVED_VELOCITY}"),
        Block("pitch_rate", "rad/s", 1, f"of the body, times {OBSERVED_VELOCITY}"),
        Block("foot_velocity", "m/s", 2, f"x, z of the foot, times {OBSERVED_VELOCITY}"),
    ]


def residual(hopper: Hopper, state: State, action: jax.Array) -> jax.Array:
    """(8,): what the weights of the settings name, each times the root of its weight."""
    errors = jnp.stack(
        [
            state.velocity[0] - hopper.target_speed,
            state.position[1] - hopper.target_height,
            state.pitch,
            state.velocity[1],
            state.pitch_rate,
            state.foot[0] - state.position[0],
        ]
    )
    return jnp.concatenate([hopper.weights[:6] * errors, hopper.weights[6] * action])


def measure(hopper: Hopper, state: State) -> dict[str, jax.Array]:
    """Distance run x [m], speed [m/s], height [m]; up: 1 if the body is above 3/4 of a leg, pitch within 0.6."""
    height = state.position[1]
    up = (height > 0.75 * hopper.leg_length) & (jnp.abs(state.pitch) < 0.6)
    return {
        "x": state.position[0],
        "speed": state.velocity[0],
        "height": height,
        "up": jnp.where(up, jnp.ones_like(height), jnp.zeros_like(height)),
    }


def energy(hopper: Hopper, state: State) -> Energy:
    """Of body, foot, leg and ground, the leg at its rest length and contact as if it began at once."""
    length = jnp.sqrt(jnp.sum((state.foot - state.position) ** 2) + SMALLEST)
    depth = jnp.maximum(-state.foot[1], 0.0)
    moving = hopper.mass * jnp.sum(state.velocity**2) + hopper.foot_mass * jnp.sum(state.foot_velocity**2)
    springs = hopper.leg_stiffness * (length - hopper.leg_length) ** 2 + hopper.contact_stiffness * depth**2
    weight = hopper.mass * state.position[1] + hopper.foot_mass * state.foot[1]
    return Energy(
        kinetic=(moving + hopper.inertia * state.pitch_rate**2) / 2,
        potential=hopper.gravity * weight + springs / 2,
    )


def draw(hopper: Hopper, state: State) -> Drawing:
    """The foot as what is driven, the body as a bar that shows its pitch, the ground, and the height to run at."""
    half = 0.25 * hopper.leg_length * jnp.stack([jnp.cos(state.pitch), jnp.sin(state.pitch)])
    points = jnp.stack([state.foot, state.position - half, state.position, state.position + half])
    target = jnp.stack([state.position[0], hopper.target_height])
    return make_drawing(
        points,
        [(0, 2), (1, 2), (2, 3)],
        num_handles=1,
        normals=[[0.0, 1.0]],
        offsets=[0.0],
        target=target[None],
    )


FUNCTIONS = Functions(
    reset,
    step,
    observe,
    residual,
    finite_step_error,
    measure,
    observation_layout=observation_layout,
    energy=energy,
    draw=draw,
)
