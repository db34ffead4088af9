"""A rigid body with four rotors in a cross, at the ends of its x and y axes; what its thrusts do to it.

The usual model of a quadrotor (Mellinger & Kumar, "Minimum snap trajectory generation and control for quadrotors",
ICRA 2011) with linear drag; the numbers are ours, those of a drone of one kilogram.

Actions are deviations of the four thrusts [N] from the middle of their range, since action limits are symmetric.
Rotors push between zero and twice that middle, which with the default `thrust_to_weight` of 2 is the thrust of
hovering.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.description import Block, Energy
from pods_jax.envs.robots import quaternions
from pods_jax.envs.robots.explicit import RobotSettings
from pods_jax.settings import setting


@dataclass(frozen=True)
class MultirotorSettings(RobotSettings):
    """The body and its rotors."""

    mass: float = setting(1.0, "of the body with its rotors", unit="kg", above=0.0)
    inertia: tuple[float, float, float] = setting((0.008, 0.008, 0.014), "about x, y, z", unit="kg m^2")
    arm: float = setting(0.17, "from the centre to each rotor", unit="m", above=0.0)
    torque_ratio: float = setting(0.016, "torque of a rotor about its axis by its thrust", unit="m", above=0.0)
    drag: float = setting(0.1, "of the air, by mass", unit="1/s", at_least=0.0)
    gravity: float = setting(9.81, "acceleration", unit="m/s^2", above=0.0)
    thrust_to_weight: float = setting(2.0, "largest thrust of all rotors by the weight", above=0.0)


@struct.dataclass
class Multirotor:
    """The parameters of body and rotors."""

    mass: jax.Array  # () [kg]
    inertia: jax.Array  # (3,) [kg m^2] about its axes
    arm: jax.Array  # () [m]
    torque_ratio: jax.Array  # () [m]
    drag: jax.Array  # () [1/s]
    gravity: jax.Array  # () [m/s^2]
    middle: jax.Array  # () [N] the thrust of a rotor for the action zero


@struct.dataclass
class Body:
    """The motion of the body."""

    position: jax.Array  # (3,) [m], z upwards
    velocity: jax.Array  # (3,) [m/s]
    attitude: jax.Array  # (4,) unit quaternion, from its frame to the fixed one
    angular_velocity: jax.Array  # (3,) [rad/s], in its frame


def middle_thrust(settings: MultirotorSettings, carried: float = 0.0) -> float:
    """The thrust [N] of a rotor in the middle of its range, for a body that carries a mass [kg] beside its own.

    Raises InputError where the rotors cannot lift the weight, or for an inertia that is not above zero.
    """
    if not checks.is_traced(settings.thrust_to_weight) and settings.thrust_to_weight <= 1:
        cure = "must be greater than 1, or the rotors cannot carry the weight"
        raise InputError("env.thrust_to_weight", settings.thrust_to_weight, cure)
    if not checks.is_traced(settings.inertia) and min(settings.inertia) <= 0:
        raise InputError("env.inertia", settings.inertia, "must be three numbers greater than 0")
    return settings.thrust_to_weight * (settings.mass + carried) * settings.gravity / 8


def wrench(rotor: Multirotor, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The thrust () [N] along the body's z axis and the torque (3,) [N m] in its frame, for an action (4,) [N].

    Rotors stand at +x, +y, -x, -y; the first and the third turn so that the body is turned about +z by their drag.
    """
    f = rotor.middle + action
    torque = jnp.stack(
        [rotor.arm * (f[1] - f[3]), rotor.arm * (f[2] - f[0]), rotor.torque_ratio * (f[0] - f[1] + f[2] - f[3])]
    )
    return jnp.sum(f), torque


def up(body: Body) -> jax.Array:
    """(3,) the direction of the thrusts, a unit vector."""
    return quaternions.rotate(body.attitude, jnp.asarray([0.0, 0.0, 1.0], body.attitude.dtype))


def falling(gravity: jax.Array) -> jax.Array:
    """(3,) [m/s^2] the acceleration of gravity."""
    return gravity * jnp.asarray([0.0, 0.0, -1.0], gravity.dtype)


def advance(rotor: Multirotor, body: Body, action: jax.Array, pull: jax.Array | float, time: jax.Array) -> Body:
    """One step [s] of the semi-implicit Euler method, the quaternion normalized.

    action: (4,) [N]. pull: (3,) [N], or 0, of what hangs at its centre; m v' = m g + thrust - pull - drag m v and
    J w' = torque - w x J w.
    """
    thrust, torque = wrench(rotor, action)
    force = (thrust * up(body) - pull) / rotor.mass
    velocity = body.velocity + time * (falling(rotor.gravity) + force - rotor.drag * body.velocity)
    spin = rotor.inertia * body.angular_velocity
    turning = body.angular_velocity + time * (torque - jnp.cross(body.angular_velocity, spin)) / rotor.inertia
    return Body(
        position=body.position + time * velocity,
        velocity=velocity,
        attitude=quaternions.turned(body.attitude, turning, time),
        angular_velocity=turning,
    )


def observe(body: Body) -> jax.Array:
    """(18,): position, velocity, rotation matrix row by row, angular velocity."""
    turned = quaternions.matrix(body.attitude).reshape(-1)
    return jnp.concatenate([body.position, body.velocity, turned, body.angular_velocity])


def observation_layout() -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return [
        Block("position", "m", 3, "x, y, z of the body"),
        Block("velocity", "m/s", 3, "x, y, z of the body"),
        Block("attitude", "1", 9, "rotation matrix from the body's frame to the fixed one, row by row"),
        Block("angular_velocity", "rad/s", 3, "about the axes of the body"),
    ]


def energy(rotor: Multirotor, body: Body) -> Energy:
    """Of motion and height; what the rotors do to it is in it as well."""
    moving = rotor.mass * jnp.sum(body.velocity**2) + jnp.sum(rotor.inertia * body.angular_velocity**2)
    return Energy(kinetic=moving / 2, potential=rotor.mass * rotor.gravity * body.position[2])


def points(rotor: Multirotor, body: Body) -> jax.Array:
    """(5, 3) [m] the rotors at +x, +y, -x, -y of the body, and its centre."""
    x, y, _ = quaternions.matrix(body.attitude).T
    arms = rotor.arm * jnp.stack([x, y, -x, -y, jnp.zeros_like(x)])
    return body.position[None] + arms


ARMS = ((0, 4), (1, 4), (2, 4), (3, 4))
"""The segments between those points."""
