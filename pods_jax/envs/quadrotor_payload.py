"""A quadrotor that brings a load on a cable to rest; the cable may go slack. See `robots.multirotor` for its model.

The load hangs at the centre of the body on a spring that only pulls, damped along the cable. Every number is ours.

Task "waypoint": the load comes to rest where it hangs below the origin.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions, finite_step_error
from pods_jax.envs.robots import multirotor, quaternions
from pods_jax.envs.robots.explicit import make_robot, parameters_of, repeat, uniform
from pods_jax.envs.robots.multirotor import Body, Multirotor, MultirotorSettings
from pods_jax.settings import setting
from pods_jax.types import Key

TASKS = ("waypoint",)

SMALLEST = 1e-9
"""[m^2] added to the square of the cable's length, whose square root has no derivative at zero."""


@dataclass(frozen=True)
class Settings(MultirotorSettings):
    """Load, cable, initial states and objective."""

    horizon: int = setting(60, "time steps of an episode", unit="steps", at_least=1)
    load_mass: float = setting(0.3, "of the load, a point", unit="kg", above=0.0)
    cable_length: float = setting(0.6, "of the cable at rest", unit="m", above=0.0)
    cable_stiffness: float = setting(600.0, "of the cable, where it is taut", unit="N/m", above=0.0)
    cable_damping: float = setting(3.0, "along the cable, where it is taut", unit="N s/m", at_least=0.0)
    initial_position: float = setting(1.5, "largest coordinate of the body at the start", unit="m", at_least=0.0)
    initial_tilt: float = setting(
        0.5,
        "largest component of the vector part of the quaternion at the start, before it is normalized",
        at_least=0.0,
    )
    initial_velocity: float = setting(1.0, "largest coordinate at the start", unit="m/s", at_least=0.0)
    initial_turning: float = setting(1.0, "largest angular velocity at the start", unit="rad/s", at_least=0.0)
    initial_swing: float = setting(0.5, "largest angle of the cable at the start", unit="rad", at_least=0.0)
    initial_sway: float = setting(0.5, "largest velocity of load relative to body", unit="m/s", at_least=0.0)
    weights: tuple[float, float, float, float, float, float] = setting(
        (1.0, 0.04, 0.09, 0.01, 2.5e-3, 4e-4),
        "of the squares of load position and velocity, tilt, velocity, angular velocity, deviation of the thrusts",
        at_least=0.0,
    )


SETTINGS = Settings()


@struct.dataclass
class QuadrotorPayload:
    """The parameters."""

    rotor: Multirotor
    load_mass: jax.Array  # () [kg]
    cable_length: jax.Array  # () [m]
    cable_stiffness: jax.Array  # () [N/m]
    cable_damping: jax.Array  # () [N s/m]
    initial_position: jax.Array  # () [m]
    initial_tilt: jax.Array  # ()
    initial_velocity: jax.Array  # () [m/s]
    initial_turning: jax.Array  # () [rad/s]
    initial_swing: jax.Array  # () [rad]
    initial_sway: jax.Array  # () [m/s]
    weights: jax.Array  # (6,) factors of the residuals
    substep: jax.Array  # () [s]
    substeps: int = struct.field(pytree_node=False)


@struct.dataclass
class State:
    """The body and its load."""

    body: Body
    load_position: jax.Array  # (3,) [m]
    load_velocity: jax.Array  # (3,) [m/s]


def make(task: str, settings: Settings) -> Environment:
    """The environment `quadrotor_payload`: observation (24,), action (4,) deviations of the thrusts [N].

    Raises InputError where the rotors cannot carry the weight of body and load.
    """
    middle = multirotor.middle_thrust(settings, settings.load_mass)
    rotor = parameters_of(Multirotor, settings, middle=middle)
    parameters = parameters_of(QuadrotorPayload, settings, rotor=rotor)
    return make_robot("quadrotor_payload", task, FUNCTIONS, settings, parameters, [middle] * 4, "N")


def reset(quadrotor: QuadrotorPayload, key: Key) -> State:
    """The load hanging taut below a tilted body, both in motion; the key is consumed."""
    keys = jax.random.split(key, 6)
    position = uniform(keys[0], quadrotor.initial_position, 3)
    vector = uniform(keys[1], quadrotor.initial_tilt, 3)
    velocity = uniform(keys[2], quadrotor.initial_velocity, 3)
    swing = jnp.sin(uniform(keys[4], quadrotor.initial_swing, 2))
    downwards = jnp.concatenate([swing, -jnp.ones_like(swing[:1])])
    stretch = quadrotor.load_mass * quadrotor.rotor.gravity / quadrotor.cable_stiffness
    cable = (quadrotor.cable_length + stretch) * downwards / jnp.linalg.norm(downwards)
    body = Body(
        position=position,
        velocity=velocity,
        attitude=quaternions.normalized(jnp.concatenate([jnp.ones_like(vector[:1]), vector])),
        angular_velocity=uniform(keys[3], quadrotor.initial_turning, 3),
    )
    return State(body, position + cable, velocity + uniform(keys[5], quadrotor.initial_sway, 3))


def cable(quadrotor: QuadrotorPayload, state: State) -> tuple[jax.Array, jax.Array]:
    """The stretch () [m] of the cable, negative where it is slack, and its pull (3,) [N] on the load.

    The tension is k stretch + d (rate of stretch) where the cable is stretched and this is positive, else zero.
    """
    apart = state.body.position - state.load_position
    distance = jnp.sqrt(jnp.sum(apart**2) + SMALLEST)
    direction = apart / distance
    stretch = distance - quadrotor.cable_length
    rate = jnp.sum((state.body.velocity - state.load_velocity) * direction)
    tension = quadrotor.cable_stiffness * stretch + quadrotor.cable_damping * rate
    return stretch, jnp.where((stretch > 0) & (tension > 0), tension, 0.0) * direction


def step(quadrotor: QuadrotorPayload, state: State, action: jax.Array) -> State:
    """Steps of the integrator under thrusts that are held; drag slows body and load by the same share."""
    rotor, time = quadrotor.rotor, quadrotor.substep

    def advance(state: State) -> State:
        pull = cable(quadrotor, state)[1]
        force = multirotor.falling(rotor.gravity) + pull / quadrotor.load_mass
        velocity = state.load_velocity + time * (force - rotor.drag * state.load_velocity)
        body = multirotor.advance(rotor, state.body, action, pull, time)
        return State(body, state.load_position + time * velocity, velocity)

    return repeat(advance, state, quadrotor.substeps)


def target(quadrotor: QuadrotorPayload) -> jax.Array:
    """(3,) [m] where the load is to come to rest: one cable's length below the origin."""
    return quadrotor.cable_length * jnp.asarray([0.0, 0.0, -1.0], quadrotor.cable_length.dtype)


def observe(quadrotor: QuadrotorPayload, state: State) -> jax.Array:
    """(24,): the body as `multirotor.observe` has it, and the load relative to it."""
    relative = [state.load_position - state.body.position, state.load_velocity - state.body.velocity]
    return jnp.concatenate([multirotor.observe(state.body), *relative])


def observation_layout(quadrotor: QuadrotorPayload) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return [
        *multirotor.observation_layout(),
        Block("load_position", "m", 3, "x, y, z of the load relative to the body"),
        Block("load_velocity", "m/s", 3, "x, y, z of the load relative to the body"),
    ]


def residual(quadrotor: QuadrotorPayload, state: State, action: jax.Array) -> jax.Array:
    """(18,): what the weights of the settings name; the tilt as x, y of the body's z axis."""
    w_load, w_load_velocity, w_tilt, w_velocity, w_turning, w_thrust = quadrotor.weights
    body, rotor = state.body, quadrotor.rotor
    hovering = (rotor.mass + quadrotor.load_mass) * rotor.gravity / 4
    return jnp.concatenate(
        [
            w_load * (state.load_position - target(quadrotor)),
            w_load_velocity * state.load_velocity,
            w_tilt * multirotor.up(body)[:2],
            w_velocity * body.velocity,
            w_turning * body.angular_velocity,
            w_thrust * (rotor.middle + action - hovering),
        ]
    )


def measure(quadrotor: QuadrotorPayload, state: State) -> dict[str, jax.Array]:
    """Distance [m] of the load from its target, its speed [m/s], whether the cable is slack, kinetic energy [J]."""
    slack = cable(quadrotor, state)[0] <= 0
    distance = jnp.linalg.norm(state.load_position - target(quadrotor))
    return {
        "distance": distance,
        "load_speed": jnp.linalg.norm(state.load_velocity),
        "slack": jnp.where(slack, jnp.ones_like(distance), jnp.zeros_like(distance)),
        "kinetic_energy": energy(quadrotor, state).kinetic,
    }


def energy(quadrotor: QuadrotorPayload, state: State) -> Energy:
    """Of body, load and cable."""
    body, load = multirotor.energy(quadrotor.rotor, state.body), quadrotor.load_mass
    stretch = jnp.maximum(cable(quadrotor, state)[0], 0.0)
    weight = load * quadrotor.rotor.gravity * state.load_position[2]
    return Energy(
        kinetic=body.kinetic + load * jnp.sum(state.load_velocity**2) / 2,
        potential=body.potential + weight + quadrotor.cable_stiffness * stretch**2 / 2,
    )


def draw(quadrotor: QuadrotorPayload, state: State) -> Drawing:
    """The drone as what is driven, the load on its cable, and where it is to come to rest."""
    points = jnp.concatenate([multirotor.points(quadrotor.rotor, state.body), state.load_position[None]])
    segments = (*multirotor.ARMS, (4, 5))
    slack = cable(quadrotor, state)[0] <= 0
    return make_drawing(
        points,
        segments,
        slack=jnp.concatenate([jnp.zeros(4, bool), slack[None]]),
        cables=[False] * 4 + [True],
        num_handles=5,
        target=target(quadrotor)[None],
    )


def completed(quadrotor: QuadrotorPayload, state: State) -> State:
    """The state with a unit quaternion."""
    body = state.body.replace(attitude=quaternions.normalized(state.body.attitude))  # type: ignore[attr-defined]
    return state.replace(body=body)  # type: ignore[attr-defined]


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
    completed=completed,
)
