"""A pole on a cart that is pushed along a rail, to be swung up: the CartPoleSwingUp of DiffRL.

Equations, constants, reward and initial states are those of https://github.com/NVlabs/DiffRL (Xu et al.,
"Accelerated policy learning with parallel differentiable simulation", ICLR 2022) and of its successor
https://github.com/imgeorgiev/DiffRL. Their simulator derives the masses from the boxes of `cartpole.urdf` at 1000
kg/m^3 (50 kg for the cart of 0.5 x 0.5 x 0.2 m, 2.5 kg for the pole of 0.05 x 0.05 x 1 m; the masses in that file
are not used), adds 0.1 to both diagonal entries of the mass matrix (armature), slows both joints by 1 N s/m and 1 N
m s/rad, and pushes the cart back by 100 N/m beyond 4 m. In closed form, with the angle q from upright and l from
the joint to the centre of the pole,

    [M + m + a    m l cos q    ] [x'']   [u - d x' + m l q'^2 sin q + limit]
    [m l cos q    J + m l^2 + a] [q''] = [m g l sin q - d q'               ]

integrated by the semi-implicit Euler method with four steps in each 1/60 s. The reward is exactly -|residual|^2 of
the state that is arrived in. What differs: the mass matrix is that of each step of the integrator, while theirs may
be kept for four (`MM_caching_frequency`); an action is a force in N, theirs a share of 1000 N, which costs nothing
in both; and the successor counts the reward of the state at the start of a step and starts around upright
(`initial_angle=0`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from pods_jax.envs.description import Block, Drawing, Energy, make_drawing
from pods_jax.envs.environment import Environment, Functions, finite_step_error
from pods_jax.envs.robots.explicit import RobotSettings, make_robot, parameters_of, repeat, uniform
from pods_jax.settings import setting
from pods_jax.types import Key

TASKS = ("swing_up",)


@dataclass(frozen=True)
class Settings(RobotSettings):
    """The numbers of DiffRL; see the module for where they come from."""

    horizon: int = setting(240, "time steps of an episode", unit="steps", at_least=1)
    time_step: float = setting(1 / 60, "time between two actions", unit="s", above=0.0)
    substeps: int = setting(4, "steps of the integrator in one time step", at_least=1)
    force_limit: float = setting(1000.0, "on the cart", unit="N", above=0.0)
    cart_mass: float = setting(50.0, "of the cart", unit="kg", above=0.0)
    pole_mass: float = setting(2.5, "of the pole", unit="kg", above=0.0)
    pole_centre: float = setting(0.5, "from the joint to the centre of the pole", unit="m", above=0.0)
    pole_inertia: float = setting(
        2.5 * (1 + 0.05**2) / 12, "of the pole about its centre", unit="kg m^2", at_least=0.0
    )
    armature: float = setting(0.1, "added inertia of both joints", unit="kg, kg m^2", at_least=0.0)
    damping: float = setting(1.0, "of both joints", unit="N s/m, N m s/rad", at_least=0.0)
    rail: float = setting(4.0, "half its length", unit="m", above=0.0)
    rail_stiffness: float = setting(100.0, "with which the cart is pushed back beyond", unit="N/m", at_least=0.0)
    gravity: float = setting(9.81, "acceleration", unit="m/s^2", at_least=0.0)
    initial_angle: float = setting(np.pi, "mean at the start; pi hangs, 0 is upright", unit="rad")
    initial_range: float = setting(
        np.pi / 2, "largest deviation of position and angle at the start", unit="m, rad", at_least=0.0
    )
    initial_velocity: float = setting(0.25, "largest of both at the start", unit="m/s, rad/s", at_least=0.0)
    weights: tuple[float, float, float, float, float] = setting(
        (1.0, 0.1, 0.05, 0.1, 0.0),
        "of the squares of angle, angular velocity, position, velocity, force as a share of its limit",
        at_least=0.0,
    )


SETTINGS = Settings()


@struct.dataclass
class CartPole:
    """The parameters."""

    force_limit: jax.Array  # () [N]
    cart_mass: jax.Array  # () [kg]
    pole_mass: jax.Array  # () [kg]
    pole_centre: jax.Array  # () [m]
    pole_inertia: jax.Array  # () [kg m^2]
    armature: jax.Array  # () [kg, kg m^2]
    damping: jax.Array  # () [N s/m, N m s/rad]
    rail: jax.Array  # () [m]
    rail_stiffness: jax.Array  # () [N/m]
    gravity: jax.Array  # () [m/s^2]
    initial_angle: jax.Array  # () [rad]
    initial_range: jax.Array  # () [m, rad]
    initial_velocity: jax.Array  # () [m/s, rad/s]
    weights: jax.Array  # (5,) factors of the residuals
    substep: jax.Array  # () [s]
    substeps: int = struct.field(pytree_node=False)


@struct.dataclass
class State:
    """The cart along its rail and the pole, whose angle is zero upright and grows towards +x."""

    position: jax.Array  # () [m]
    angle: jax.Array  # () [rad], any number of turns
    velocity: jax.Array  # () [m/s]
    angular_velocity: jax.Array  # () [rad/s]


def make(task: str, settings: Settings) -> Environment:
    """The environment `cartpole`: observation (5,), action (1,) the force on the cart [N]."""
    parameters = parameters_of(CartPole, settings)
    return make_robot("cartpole", task, FUNCTIONS, settings, parameters, [settings.force_limit], "N")


def reset(cartpole: CartPole, key: Key) -> State:
    """Uniform in a box around `initial_angle`, in the middle of the rail; the key is consumed."""
    key_place, key_speed = jax.random.split(key)
    position, angle = uniform(key_place, cartpole.initial_range, 2)
    velocity, turning = uniform(key_speed, cartpole.initial_velocity, 2)
    return State(position, cartpole.initial_angle + angle, velocity, turning)


def goal(cartpole: CartPole) -> State:
    """Upright, at rest, in the middle of the rail."""
    zero = jnp.zeros_like(cartpole.gravity)
    return State(zero, zero, zero, zero)


def mass_matrix(cartpole: CartPole, angle: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """M11 [kg], M12 = M21 [kg m] and M22 [kg m^2] of the mass matrix, armature included."""
    lever = cartpole.pole_mass * cartpole.pole_centre
    whole = cartpole.cart_mass + cartpole.pole_mass + cartpole.armature
    turning = cartpole.pole_inertia + lever * cartpole.pole_centre + cartpole.armature
    return whole, lever * jnp.cos(angle), turning


def beyond(cartpole: CartPole, position: jax.Array) -> jax.Array:
    """() [m] how far the cart is beyond the end of its rail, with the sign of that end."""
    return position - jnp.clip(position, -cartpole.rail, cartpole.rail)


def acceleration(cartpole: CartPole, state: State, force: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of cart () [m/s^2] and pole () [rad/s^2] under the force () [N]; see the module."""
    lever = cartpole.pole_mass * cartpole.pole_centre
    limit = -cartpole.rail_stiffness * beyond(cartpole, state.position)
    centrifugal = lever * jnp.sin(state.angle) * state.angular_velocity**2
    push = force + limit - cartpole.damping * state.velocity + centrifugal
    torque = lever * cartpole.gravity * jnp.sin(state.angle) - cartpole.damping * state.angular_velocity
    m11, m12, m22 = mass_matrix(cartpole, state.angle)
    determinant = m11 * m22 - m12**2
    return (m22 * push - m12 * torque) / determinant, (m11 * torque - m12 * push) / determinant


def advance(cartpole: CartPole, state: State, force: jax.Array) -> State:
    """One step of the semi-implicit Euler method: velocities first, positions with the new ones."""
    linear, angular = acceleration(cartpole, state, force)
    velocity = state.velocity + cartpole.substep * linear
    turning = state.angular_velocity + cartpole.substep * angular
    position = state.position + cartpole.substep * velocity
    return State(position, state.angle + cartpole.substep * turning, velocity, turning)


def step(cartpole: CartPole, state: State, force: jax.Array) -> State:
    """Steps of the integrator under a force (1,) [N] that is held."""
    return repeat(lambda state: advance(cartpole, state, force[0]), state, cartpole.substeps)


def observe(cartpole: CartPole, state: State) -> jax.Array:
    """(5,): position, velocity, sine and cosine of the angle, angular velocity."""
    turned = [jnp.sin(state.angle), jnp.cos(state.angle), state.angular_velocity]
    return jnp.stack([state.position, state.velocity, *turned])


def observation_layout(cartpole: CartPole) -> list[Block]:
    """The parts of what `observe` returns, in this order."""
    return [
        Block("position", "m", 1, "of the cart from the middle of the rail"),
        Block("velocity", "m/s", 1, "of the cart"),
        Block("direction", "1", 2, "sine and cosine of the pole's angle, zero upright"),
        Block("angular_velocity", "rad/s", 1, "of the pole"),
    ]


def residual(cartpole: CartPole, state: State, force: jax.Array) -> jax.Array:
    """(5,): angle in (-pi, pi], angular velocity, position, velocity, force; each times the root of its weight."""
    angle = jnp.arctan2(jnp.sin(state.angle), jnp.cos(state.angle))
    share = force[0] / cartpole.force_limit
    return cartpole.weights * jnp.stack([angle, state.angular_velocity, state.position, state.velocity, share])


def measure(cartpole: CartPole, state: State) -> dict[str, jax.Array]:
    """Cosine of the angle, distance [m] of the cart from the middle of the rail, kinetic energy [J]."""
    return {
        "up": jnp.cos(state.angle),
        "distance": jnp.abs(state.position),
        "kinetic_energy": energy(cartpole, state).kinetic,
    }


def energy(cartpole: CartPole, state: State) -> Energy:
    """Of cart, pole and the ends of the rail; zero potential with the pole level."""
    v, w = state.velocity, state.angular_velocity
    m11, m12, m22 = mass_matrix(cartpole, state.angle)
    fall = cartpole.pole_mass * cartpole.pole_centre * cartpole.gravity * jnp.cos(state.angle)
    end = cartpole.rail_stiffness * beyond(cartpole, state.position) ** 2 / 2
    return Energy(kinetic=(m11 * v**2 + m22 * w**2) / 2 + m12 * v * w, potential=fall + end)


def draw(cartpole: CartPole, state: State) -> Drawing:
    """The cart as what is driven, the pole, and where its tip is to come to rest."""
    zero, length = jnp.zeros_like(state.position), 2 * cartpole.pole_centre
    cart = jnp.stack([state.position, zero])
    tip = cart + length * jnp.stack([jnp.sin(state.angle), jnp.cos(state.angle)])
    target = jnp.stack([zero, length])
    return make_drawing(jnp.stack([cart, tip]), [(0, 1)], num_handles=1, target=target[None])


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
