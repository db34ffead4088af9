"""Two rigid links in a vertical plane: the acrobot (a motor at the elbow), the pendubot (at the shoulder), and both.

Model, parameters and torque limits are those of the RealAIGym benchmark "simulation_v2", design_C.1 / model_1.0
without friction, damping and motor inertia: https://github.com/dfki-ric-underactuated-lab/double_pendulum (Wiebe et
al., "Open source dual-purpose acrobot and pendubot platform", IEEE Robotics & Automation Magazine 2023). Equations
of motion (Tedrake, "Underactuated Robotics", chapter 3): M(q) q'' + C(q, q') q' = G(q) + B u - F(q'), angles q = 0
hanging. Damping, friction and motor inertia are zero unless they are set; they enter as in that benchmark,

    F = b q' + c arctan(k q'),    M11 + (n^2 + 1) J,    M12 - n J,    M22 + n^2 J,

with J the inertia of a motor and n its gear ratio. Far from rest, dry friction is therefore pi / 2 times c.

Task "balance": stay upright, from close to it. Task "swing_up": from close to rest hanging, swing up and stay. Torque
costs more there: where it is almost free, the best way up throws the links around, and policies fail to catch them.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions, finite_step_error
from pods_jax.envs.robots.explicit import RobotSettings, make_robot, parameters_of, repeat, runge_kutta, uniform
from pods_jax.settings import setting
from pods_jax.types import Key

TASKS = ("balance", "swing_up")
OBSERVED_VELOCITY = 0.3
"""Angular velocities are observed times this [s/rad], which brings them to the size of the other components."""

WEIGHT_UNITS = "1/m^2, 1/m^2, s^2/rad^2, 1/(N m)^2"

INERTIA_1 = 0.031887199591513114 - 0.5234602302310271 * 0.2**2
INERTIA_2 = 0.05086984812807257 - 0.6255677234174437 * 0.25569305436052964**2
"""[kg m^2] RealAIGym gives inertias about the joints above, which mass and centre bound from below."""


@dataclass(frozen=True)
class Settings(RobotSettings):
    """The two links of design_C.1 / model_1.0; the initial states and weights are ours."""

    horizon: int = setting(100, "time steps of an episode", unit="steps", at_least=1)
    time_step: float = setting(0.03, "time between two actions", unit="s", above=0.0)
    substeps: int = setting(3, "Runge-Kutta steps in one time step", at_least=1)
    torque_limit: float = setting(6.0, "of the motor", unit="N m", above=0.0)
    mass_1: float = setting(0.5234602302310271, "of the upper link", unit="kg", above=0.0)
    mass_2: float = setting(0.6255677234174437, "of the lower link", unit="kg", above=0.0)
    length_1: float = setting(0.2, "of the upper link", unit="m", above=0.0)
    length_2: float = setting(0.3, "of the lower link", unit="m", above=0.0)
    centre_1: float = setting(0.2, "of mass of the upper link, from the shoulder", unit="m", above=0.0)
    centre_2: float = setting(0.25569305436052964, "of mass of the lower link, from the elbow", unit="m", above=0.0)
    inertia_1: float = setting(INERTIA_1, "of the upper link about its centre of mass", unit="kg m^2", at_least=0.0)
    inertia_2: float = setting(INERTIA_2, "of the lower link about its centre of mass", unit="kg m^2", at_least=0.0)
    gravity: float = setting(9.81, "acceleration", unit="m/s^2", at_least=0.0)
    damping_1: float = setting(0.0, "of the shoulder", unit="N m s/rad", at_least=0.0)
    damping_2: float = setting(0.0, "of the elbow", unit="N m s/rad", at_least=0.0)
    friction_1: float = setting(0.0, "dry, of the shoulder, by pi / 2", unit="N m", at_least=0.0)
    friction_2: float = setting(0.0, "dry, of the elbow, by pi / 2", unit="N m", at_least=0.0)
    friction_slope: float = setting(100.0, "how sharply dry friction sets in", unit="s/rad", above=0.0)
    motor_inertia: float = setting(0.0, "of each motor, before its gear", unit="kg m^2", at_least=0.0)
    gear_ratio: float = setting(6.0, "of each motor", at_least=0.0)
    initial_angle: float = setting(0.05, "largest of each joint at the start, from rest", unit="rad", at_least=0.0)
    initial_velocity: float = setting(0.1, "largest of each joint at the start", unit="rad/s", at_least=0.0)
    weights: tuple[float, float, float, float] = setting(
        (4.0, 6.25, 9e-4, 4e-4),
        "to balance: of the squares of the errors of tip and elbow, of velocity and torque",
        unit=WEIGHT_UNITS,
        at_least=0.0,
    )
    swing_up_weights: tuple[float, float, float, float] = setting(
        (4.0, 1.0, 2e-2, 0.12), "to swing up: of the same", unit=WEIGHT_UNITS, at_least=0.0
    )


@struct.dataclass
class TwoLinks:
    """The parameters of these robots."""

    mass: jax.Array  # (2,) [kg]
    length: jax.Array  # (2,) [m]
    centre: jax.Array  # (2,) [m], of mass, from the joint above
    inertia: jax.Array  # (2,) [kg m^2], about the centres of mass
    gravity: jax.Array  # () [m/s^2]
    damping: jax.Array  # (2,) [N m s/rad] of the joints
    friction: jax.Array  # (2,) [N m] of the joints, dry, by pi / 2
    friction_slope: jax.Array  # () [s/rad]
    motor_inertia: jax.Array  # () [kg m^2] before the gear
    gear_ratio: jax.Array  # ()
    motor: jax.Array  # (2, A) the share of each motor's torque in each joint: (0, 1) acrobot, (1, 0) pendubot
    rest: jax.Array  # (2,) [rad], around which initial angles are drawn
    initial_angle: jax.Array  # () [rad]
    initial_velocity: jax.Array  # () [rad/s]
    weights: jax.Array  # (4,) factors of the residuals
    substep: jax.Array  # () [s]
    substeps: int = struct.field(pytree_node=False)


@struct.dataclass
class State:
    """Angles and angular velocities of shoulder and elbow; (0, 0) is hanging, (pi, 0) upright."""

    angle: jax.Array  # (2,) [rad], the second relative to the upper link
    velocity: jax.Array  # (2,) [rad/s]


def make_two_links(name: str, task: str, settings: Settings, motors: Sequence[tuple[float, float]]) -> Environment:
    """The robot called `name`; the torque of each of its motors acts in these shares on shoulder and elbow."""
    if task == "swing_up":
        settings = dataclasses.replace(settings, weights=settings.swing_up_weights)
    parameters = parameters_of(
        TwoLinks,
        settings,
        mass=(settings.mass_1, settings.mass_2),
        length=(settings.length_1, settings.length_2),
        centre=(settings.centre_1, settings.centre_2),
        inertia=(settings.inertia_1, settings.inertia_2),
        damping=(settings.damping_1, settings.damping_2),
        friction=(settings.friction_1, settings.friction_2),
        motor=np.transpose(motors),
        rest=(np.pi if task == "balance" else 0.0, 0.0),
    )
    return make_robot(name, task, FUNCTIONS, settings, parameters, [settings.torque_limit] * len(motors), "N m")


def reset(links: TwoLinks, key: Key) -> State:
    """Uniform in a box around rest, upright to balance and hanging to swing up; the key is consumed."""
    key_angle, key_velocity = jax.random.split(key)
    return State(
        links.rest + uniform(key_angle, links.initial_angle, 2), uniform(key_velocity, links.initial_velocity, 2)
    )


def goal(links: TwoLinks) -> State:
    """Upright, at rest."""
    zero = jnp.zeros_like(links.rest)
    return State(zero.at[0].set(np.pi), zero)


def mass_matrix(links: TwoLinks, angle: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """M11, M12 = M21 and M22 [kg m^2] of the mass matrix at the angles (2,)."""
    coupling = links.mass[1] * links.length[0] * links.centre[1] * jnp.cos(angle[1])
    upper, lower = links.inertia + links.mass * links.centre**2  # about the joint above
    whole = upper + lower + links.mass[1] * links.length[0] ** 2 + 2 * coupling
    gear, motor = links.gear_ratio, links.motor_inertia
    return whole + (gear**2 + 1) * motor, lower + coupling - gear * motor, lower + gear**2 * motor


def acceleration(links: TwoLinks, state: State, torque: jax.Array) -> jax.Array:
    """(2,) [rad/s^2] of the joints under the torques (A,) [N m] of the motors: M^-1 (G + B u - F - C q')."""
    (w1, w2), (angle_1, angle_2) = state.velocity, state.angle
    first, both = jnp.sin(angle_1), jnp.sin(angle_1 + angle_2)
    fall = links.mass * links.gravity * links.centre  # (2,) [N m], largest moment of each weight
    fall_2 = -fall[1] * both
    fall_1 = -(fall[0] + links.mass[1] * links.gravity * links.length[0]) * first + fall_2
    centrifugal = links.mass[1] * links.length[0] * links.centre[1] * jnp.sin(angle_2)
    drive = jnp.sum(links.motor * torque[None], axis=1) - _friction(links, state.velocity)  # (2,) [N m]
    force_1 = fall_1 + drive[0] + centrifugal * (2 * w1 + w2) * w2
    force_2 = fall_2 + drive[1] - centrifugal * w1**2
    m11, m12, m22 = mass_matrix(links, state.angle)
    return jnp.stack([m22 * force_1 - m12 * force_2, m11 * force_2 - m12 * force_1]) / (m11 * m22 - m12**2)


def _friction(links: TwoLinks, velocity: jax.Array) -> jax.Array:
    """(2,) [N m] what damping and dry friction take from the joints."""
    return links.damping * velocity + links.friction * jnp.arctan(links.friction_slope * velocity)


def step(links: TwoLinks, state: State, torque: jax.Array) -> State:
    """Runge-Kutta steps under torques (A,) [N m] that are held."""

    def derivative(state: State) -> State:
        return State(state.velocity, acceleration(links, state, torque))

    return repeat(lambda state: runge_kutta(derivative, state, links.substep), state, links.substeps)


def joints(links: TwoLinks, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where elbow and tip are, (2,) [m] each, relative to the shoulder, z upwards."""
    elbow = links.length[0] * _direction(angle[0])
    return elbow, elbow + links.length[1] * _direction(angle[0] + angle[1])


def _direction(angle: jax.Array) -> jax.Array:
    """(2,) the unit vector that hangs down for the angle zero."""
    return jnp.stack([jnp.sin(angle), -jnp.cos(angle)])


def _upright(links: TwoLinks) -> jax.Array:
    """(2, 2) [m] where elbow and tip are upright."""
    height = jnp.cumsum(links.length)
    return jnp.stack([jnp.zeros_like(height), height], axis=1)


def observe(links: TwoLinks, state: State) -> jax.Array:
    """(6,): sines and cosines of both angles, scaled angular velocities."""
    return jnp.concatenate([jnp.sin(state.angle), jnp.cos(state.angle), OBSERVED_VELOCITY * state.velocity])


def observation_layout(links: TwoLinks) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return [
        Block("sine", "1", 2, "of the angles of shoulder and elbow, zero hanging straight"),
        Block("cosine", "1", 2, "of the angles of shoulder and elbow"),
        Block("velocity", "rad/s", 2, f"of shoulder and elbow, times {OBSERVED_VELOCITY}"),
    ]


def residual(links: TwoLinks, state: State, torque: jax.Array) -> jax.Array:
    """(6 + A,): errors of tip and elbow from upright, velocities, torque, each times the root of its weight."""
    elbow, tip = joints(links, state.angle)
    upright = _upright(links)
    w_tip, w_elbow, w_velocity, w_torque = links.weights
    return jnp.concatenate(
        [w_tip * (tip - upright[1]), w_elbow * (elbow - upright[0]), w_velocity * state.velocity, w_torque * torque]
    )


def measure(links: TwoLinks, state: State) -> dict[str, jax.Array]:
    """Distance [m] of the tip from upright, its height [m] over the shoulder, kinetic energy [J]."""
    tip = joints(links, state.angle)[1]
    distance = jnp.linalg.norm(tip - _upright(links)[1])
    return {"distance": distance, "height": tip[1], "kinetic_energy": energy(links, state).kinetic}


def energy(links: TwoLinks, state: State) -> Energy:
    """Zero potential at the height of the shoulder."""
    w1, w2 = state.velocity
    m11, m12, m22 = mass_matrix(links, state.angle)
    elbow = links.length[0] * _direction(state.angle[0])
    height_1 = links.centre[0] * _direction(state.angle[0])[1]
    height_2 = elbow[1] + links.centre[1] * _direction(state.angle[0] + state.angle[1])[1]
    return Energy(
        kinetic=(m11 * w1**2 + m22 * w2**2) / 2 + m12 * w1 * w2,
        potential=links.gravity * (links.mass[0] * height_1 + links.mass[1] * height_2),
    )


def draw(links: TwoLinks, state: State) -> Drawing:
    """Shoulder and elbow as what is driven, the tip, and where it is upright."""
    elbow, tip = joints(links, state.angle)
    points = jnp.stack([jnp.zeros_like(elbow), elbow, tip])
    return make_drawing(points, [(0, 1), (1, 2)], num_handles=2, target=_upright(links)[1:])


FUNCTIONS = Functions(
    reset,
    step,
    observe,
    residual,
    finite_step_error,
    measure,
    observation_layout=observation_layout,
    goal=goal,
    energy=energy,
    draw=draw,
)
