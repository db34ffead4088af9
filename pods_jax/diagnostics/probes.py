"""What can be measured of an environment, to be held against what theory says."""

import itertools

import jax
import jax.numpy as jnp

from pods_jax import envs
from pods_jax.envs.environment import Environment
from pods_jax.rollouts import replay

STEP = 1e-6
"""Of the central differences."""

LONGEST = 10
"""Time steps of the probes whose cost grows with the square of their number."""


def derivative_error(env: Environment) -> float:
    """The relative difference of the derivative of a return, along a random direction, from a central difference.

    The direction is in shares of the action limits, so that the difference is neither lost in rounding nor coarse.
    """
    state, actions = _start(env)
    direction = jax.random.normal(jax.random.key(2), actions.shape) * env.action_limit[None]

    def total(shift):
        return jnp.sum(replay(env, state, actions + shift * direction).reward)

    _, derivative = jax.jvp(total, (0.0,), (1.0,))
    difference = (total(STEP) - total(-STEP)) / (2 * STEP)
    return float(jnp.abs(derivative - difference) / jnp.abs(difference))


def order_of_convergence(name: str, task: str, coarsest: int = 128) -> float:
    """By what power of the time step the free motion converges, from three ever finer ones.

    Over two of the environment's own time steps, which the first divides by `coarsest` and the last by four times as
    much: 512 resolves stiff springs, 8 leaves an integrator of order four something to gain.
    """
    ends = []
    for refinement in (coarsest, 2 * coarsest, 4 * coarsest):
        coarse = envs.make(name, task)
        env = envs.make(name, task, time_step=coarse.time_step / refinement, horizon=2 * refinement)
        state = env.reset(jax.random.key(0))
        still = jnp.zeros((env.horizon, env.action_size))
        final = jax.tree.map(lambda leaf: leaf[-1], replay(env, state, still).state)
        ends.append(env.observe(final))
    first, second = (jnp.linalg.norm(fine - coarse) for coarse, fine in itertools.pairwise(ends))
    return float(jnp.log2(first / second))


def energy_drift(env: Environment) -> tuple[float, float]:
    """By how much the energy of the free motion grows at most, from any time to any later one, and to the end.

    Both relative to the largest kinetic energy in a horizon. The second is negative where the energy falls: BDF2
    damps fast vibrations, and so do drag, damping and friction. The first never is: positions and velocities are of
    second order, so that the energy swings by the square of the time step even where it falls in the end; an energy
    with a wrong sign swings by twice the potential one. Raises InputError where the environment gives no energy.
    """
    state = env.reset(jax.random.key(0))
    states = replay(env, state, jnp.zeros((env.horizon, env.action_size))).state
    start, during = env.energy(state), jax.vmap(env.energy)(states)
    kinetic = jnp.concatenate([start.kinetic[None], during.kinetic])
    total = kinetic + jnp.concatenate([start.potential[None], during.potential])
    growth, change = jnp.max(total - jax.lax.cummin(total)), total[-1] - total[0]
    scale = jnp.max(jnp.abs(kinetic))
    return float(growth / scale), float(change / scale)


def conditioning(env: Environment) -> tuple[float, float]:
    """The smallest eigenvalue of the Gauss-Newton matrix of a short trajectory, and its condition number."""
    state, actions = _start(env)

    def residuals(actions):
        states = replay(env, state, actions).state
        return jax.vmap(env.residual)(states, actions)

    jacobian = jax.jacfwd(residuals)(actions).reshape(-1, actions.size)
    values = jnp.linalg.eigvalsh(2 * jacobian.T @ jacobian)
    return float(values[0]), float(values[-1] / values[0])


def _start(env: Environment) -> tuple[envs.environment.State, jax.Array]:
    """An initial state and random actions within half of their limits, for a short trajectory."""
    shape = (min(env.horizon, LONGEST), env.action_size)
    actions = jax.random.uniform(jax.random.key(1), shape, minval=-0.5, maxval=0.5) * env.action_limit[None]
    return env.reset(jax.random.key(0)), actions
