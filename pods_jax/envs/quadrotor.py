"""A quadrotor that catches itself and hovers, or flies to a waypoint; see `robots.multirotor` for its model.

Task "hover": come to rest at the origin, from a few metres beside it, tilted by up to a right angle. Task
"waypoint": the same from hovering far away, which is flying to a waypoint, since what is observed is relative to
the target.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions, finite_step_error
from pods_jax.envs.robots import multirotor, quaternions
from pods_jax.envs.robots.explicit import make_robot, parameters_of, repeat, uniform
from pods_jax.envs.robots.multirotor import Body, Multirotor, MultirotorSettings
from pods_jax.settings import setting
from pods_jax.types import Key

TASKS = ("hover", "waypoint")


@dataclass(frozen=True)
class Settings(MultirotorSettings):
    """The initial states and the objective; every number is ours."""

    initial_position: float = setting(3.0, "largest coordinate at the start of task hover", unit="m", at_least=0.0)
    waypoint_distance: float = setting(
        8.0, "largest coordinate at the start of task waypoint", unit="m", at_least=0.0
    )
    initial_tilt: float = setting(np.pi / 2, "largest at the start, in task hover", unit="rad", at_least=0.0)
    initial_yaw: float = setting(0.3, "largest at the start", unit="rad", at_least=0.0)
    initial_velocity: float = setting(1.0, "largest coordinate at the start", unit="m/s", at_least=0.0)
    initial_turning: float = setting(1.0, "largest angular velocity at the start", unit="rad/s", at_least=0.0)
    weights: tuple[float, float, float, float, float] = setting(
        (1.0, 0.04, 0.09, 2.5e-3, 4e-4),
        "of the squares of position, velocity, tilt, angular velocity, deviation of the thrusts from hovering",
        at_least=0.0,
    )


SETTINGS = Settings()


@struct.dataclass
class Quadrotor:
    """The parameters."""

    rotor: Multirotor
    initial_position: jax.Array  # () [m]
    initial_tilt: jax.Array  # () [rad]
    initial_yaw: jax.Array  # () [rad]
    initial_velocity: jax.Array  # () [m/s]
    initial_turning: jax.Array  # () [rad/s]
    weights: jax.Array  # (5,) factors of the residuals
    substep: jax.Array  # () [s]
    substeps: int = struct.field(pytree_node=False)


def make(task: str, settings: Settings) -> Environment:
    """The environment `quadrotor`: observation (18,), action (4,) deviations of the thrusts [N].

    Raises InputError where the rotors cannot carry the weight.
    """
    middle = multirotor.middle_thrust(settings)
    parameters = parameters_of(
        Quadrotor,
        settings,
        rotor=parameters_of(Multirotor, settings, middle=middle),
        initial_position=settings.initial_position if task == "hover" else settings.waypoint_distance,
        initial_tilt=settings.initial_tilt if task == "hover" else 0.0,
    )
    return make_robot("quadrotor", task, FUNCTIONS, settings, parameters, [middle] * 4, "N")


def reset(quadrotor: Quadrotor, key: Key) -> Body:
    """Anywhere in a box, turned, tilted to any side, in motion; the key is consumed."""
    keys = jax.random.split(key, 5)
    yaw = uniform(keys[1], quadrotor.initial_yaw)[0]
    side, share = jax.random.uniform(keys[2], (2,), yaw.dtype)
    level = jnp.stack([jnp.cos(2 * np.pi * side), jnp.sin(2 * np.pi * side), jnp.zeros_like(side)])
    tilted = quaternions.about(level, quadrotor.initial_tilt * share)
    turned = quaternions.about(jnp.asarray([0.0, 0.0, 1.0], yaw.dtype), yaw)
    return Body(
        position=uniform(keys[0], quadrotor.initial_position, 3),
        velocity=uniform(keys[3], quadrotor.initial_velocity, 3),
        attitude=quaternions.normalized(quaternions.product(tilted, turned)),
        angular_velocity=uniform(keys[4], quadrotor.initial_turning, 3),
    )


def step(quadrotor: Quadrotor, body: Body, action: jax.Array) -> Body:
    """Steps of the integrator under thrusts that are held."""

    def advance(body: Body) -> Body:
        return multirotor.advance(quadrotor.rotor, body, action, 0.0, quadrotor.substep)

    return repeat(advance, body, quadrotor.substeps)


def observe(quadrotor: Quadrotor, body: Body) -> jax.Array:
    """(18,): position from the target, velocity, rotation matrix, angular velocity."""
    return multirotor.observe(body)


def observation_layout(quadrotor: Quadrotor) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return multirotor.observation_layout()


def residual(quadrotor: Quadrotor, body: Body, action: jax.Array) -> jax.Array:
    """(16,): what the weights of the settings name; the tilt as the difference of the body's z axis from upwards."""
    w_position, w_velocity, w_tilt, w_turning, w_thrust = quadrotor.weights
    rotor = quadrotor.rotor
    hovering = rotor.mass * rotor.gravity / 4
    return jnp.concatenate(
        [
            w_position * body.position,
            w_velocity * body.velocity,
            w_tilt * (multirotor.up(body) - jnp.asarray([0.0, 0.0, 1.0], action.dtype)),
            w_turning * body.angular_velocity,
            w_thrust * (rotor.middle + action - hovering),
        ]
    )


def measure(quadrotor: Quadrotor, body: Body) -> dict[str, jax.Array]:
    """Distance [m] from the target, speed [m/s], cosine of the tilt, kinetic energy [J]."""
    return {
        "distance": jnp.linalg.norm(body.position),
        "speed": jnp.linalg.norm(body.velocity),
        "up": multirotor.up(body)[2],
        "kinetic_energy": multirotor.energy(quadrotor.rotor, body).kinetic,
    }


def energy(quadrotor: Quadrotor, body: Body) -> Energy:
    """Of motion and height."""
    return multirotor.energy(quadrotor.rotor, body)


def draw(quadrotor: Quadrotor, body: Body) -> Drawing:
    """Rotors and centre, and the target at the origin."""
    points = multirotor.points(quadrotor.rotor, body)
    return make_drawing(points, multirotor.ARMS, num_handles=4, target=jnp.zeros_like(points[:1]))


def completed(quadrotor: Quadrotor, body: Body) -> Body:
    """The state with a unit quaternion."""
    return body.replace(attitude=quaternions.normalized(body.attitude))  # type: ignore[attr-defined]


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
