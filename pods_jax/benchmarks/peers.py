"""The same mass-spring network in MJX, and how fine its steps must be to be as accurate as ours.

Free points are bodies on three slides, springs are spatial tendons, handles are mocap bodies. MuJoCo integrates these
springs explicitly, so that a control step takes several of its steps: as few as make its error, against a fine
fourth-order integration of the forces, no larger than that of one BDF2 step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks, sim
from pods_jax.compat.carried import promoting
from pods_jax.envs.environment import Environment
from pods_jax.rollouts import replay
from pods_jax.sim import State, System

MAX_SUBSTEPS = 128
FINE_SUBSTEPS = 64
"""Of the reference in each control step: stretched links swing at up to 150 rad/s, which are 0.08 rad a substep."""

Simulator = Callable[[State, jax.Array, jax.Array], jax.Array]
"""(state, actions (T, A), number of substeps) -> positions (T, P, d) [m]"""


def mjx_simulator(env: Environment) -> Simulator:
    """The network of an environment, simulated by MJX. Raises InputError if MJX is not installed."""
    try:
        import mujoco
        from mujoco import mjx
    except ImportError as error:
        raise checks.missing("the comparison with MJX", "mujoco-mjx", "mjx") from error
    system: System = env.parameters.system
    model = mjx.put_model(mujoco.MjModel.from_xml_string(mjcf(system)))
    blank = mjx.make_data(model)

    def simulate(state, actions, num_substeps):
        finer = model.replace(opt=model.opt.replace(timestep=system.time_step / num_substeps))

        def substep(action, _, carry):
            handle, qpos, qvel = carry
            handle = handle + system.time_step / num_substeps * action
            place = jnp.zeros((system.num_handles, 3)).at[:, _axes(system)].set(sim.handle_position(system, handle))
            data = promoting(mjx.step)(finer, blank.replace(qpos=qpos, qvel=qvel, mocap_pos=place))
            return handle, data.qpos.astype(qpos.dtype), data.qvel.astype(qvel.dtype)

        def advance(carry, action):
            carry = jax.lax.fori_loop(0, num_substeps, partial(substep, action), carry)
            return carry, carry[1].reshape(state.position.shape)

        start = (state.handle, state.position.reshape(-1), state.velocity.reshape(-1))
        return jax.lax.scan(advance, start, actions)[1]

    return simulate


def reference(env: Environment) -> Simulator:
    """The classical Runge-Kutta method on the forces of the network."""
    system: System = env.parameters.system

    def simulate(state, actions, num_substeps):
        h = system.time_step / num_substeps

        def slope(action, handle, position, velocity):
            place, speed = sim.handle_position(system, handle), sim.handle_velocity(system, action)
            return velocity, sim.force(system, position, velocity, place, speed) / system.mass[:, None]

        def substep(action, _, carry):
            handle, x, v = carry
            middle, end = handle + h / 2 * action, handle + h * action
            x1, v1 = slope(action, handle, x, v)
            x2, v2 = slope(action, middle, x + h / 2 * x1, v + h / 2 * v1)
            x3, v3 = slope(action, middle, x + h / 2 * x2, v + h / 2 * v2)
            x4, v4 = slope(action, end, x + h * x3, v + h * v3)
            return end, x + h / 6 * (x1 + 2 * x2 + 2 * x3 + x4), v + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)

        def advance(carry, action):
            carry = jax.lax.fori_loop(0, num_substeps, partial(substep, action), carry)
            return carry, carry[1]

        return jax.lax.scan(advance, (state.handle, state.position, state.velocity), actions)[1]

    return simulate


@dataclass(frozen=True)
class Matched:
    """How many substeps MJX needs, and the root mean square errors [m] of its positions and of ours."""

    num_substeps: int
    their_error: float
    error: float


def as_accurate(env: Environment, states: State, actions: jax.Array) -> Matched:
    """The fewest substeps with which MJX is as accurate as we are on trajectories, leaves (k, ...), (k, T, A).

    Raises InputError if MAX_SUBSTEPS are not enough.
    """
    exact = _batch(reference(env))(states, actions, FINE_SUBSTEPS)
    ours = jax.jit(jax.vmap(lambda state, actions: replay(env, state, actions).state.position))(states, actions)
    error, theirs = _distance(ours, exact), _batch(mjx_simulator(env))
    num_substeps = 1
    while num_substeps <= MAX_SUBSTEPS:
        their_error = _distance(theirs(states, actions, num_substeps), exact)
        if their_error <= error:  # False for NaN
            return Matched(num_substeps, their_error, error)
        num_substeps += max(1, num_substeps // 4)
    raise checks.InputError(f"{MAX_SUBSTEPS} substeps of MJX are not as accurate as one BDF2 step: {error:.2e} m")


def mjcf(system: System) -> str:
    """The MuJoCo model of a network of springs that push and pull, without planes; raises InputError for others."""
    if system.num_planes or any(system.springs.cable):
        raise checks.InputError("the network has planes or cables: the comparison with MJX knows springs only")
    springs, mass, gravity = system.springs, np.asarray(system.mass), np.zeros(3)
    gravity[_axes(system)] = system.gravity
    slides = [
        axis
        for axis, name in zip(("1 0 0", "0 1 0", "0 0 1"), "xyz", strict=True)
        if name != "y" or system.dimension == 3
    ]
    handles = [f'<body mocap="true"><site name="{i}"/></body>' for i in range(system.num_handles)]
    points = [
        "<body>"
        + "".join(f'<joint type="slide" axis="{axis}"/>' for axis in slides)
        + f'<geom type="sphere" size="0.01" mass="{mass[i]}"/><site name="{system.num_handles + i}"/></body>'
        for i in range(system.num_points)
    ]
    tendons = [
        f'<spatial stiffness="{springs.stiffness[i]}" damping="{springs.damping[i]}" '
        f'springlength="{springs.rest_length[i]}"><site site="{first}"/><site site="{second}"/></spatial>'
        for i, (first, second) in enumerate(springs.ends)
    ]
    return (
        f'<mujoco><option integrator="Euler" gravity="{" ".join(map(str, gravity))}">'
        '<flag contact="disable" constraint="disable"/></option>'
        f"<worldbody>{''.join(handles + points)}</worldbody><tendon>{''.join(tendons)}</tendon></mujoco>"
    )


def _axes(system: System) -> np.ndarray:
    """Coordinates of MuJoCo's space that are ours; it has no plane of its own."""
    return np.array([0, 1, 2] if system.dimension == 3 else [0, 2])


def _batch(simulate: Simulator) -> Callable[..., jax.Array]:
    return jax.jit(jax.vmap(simulate, in_axes=(0, 0, None)))


def _distance(one: jax.Array, other: jax.Array) -> float:
    return float(jnp.sqrt(jnp.mean(jnp.sum((one - other) ** 2, axis=-1))))
