"""Every step of a network of springs is solved, however stiff, damped, light, or far from where it was."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import sim
from tests.tiers import slow_but

RANGES = {"stiffness": (1.0, 1e9), "damping": (1e-3, 1e4), "mass": (1e-3, 1e3), "time_step": (1e-5, 0.1)}
"""Drawn evenly by their logarithms; one system in five is not damped, one in three has no weight."""

NUM_STEPS = 25

SPEED = 3.0
"""[m/s] the largest coordinate of the velocities of points and handles."""


def pendulum(count, dimension):
    """Point masses one below the other from a handle that moves freely, all numbers 1 but the rest lengths."""
    system = sim.make_system(
        mass=[1.0] * count,
        springs=[sim.Spring(i, i + 1, 1.0, 0.5) for i in range(count)],
        handles=[sim.Handle(np.zeros(dimension), np.eye(dimension))],
        time_step=1.0,
        dimension=dimension,
    )
    heights = -0.5 * jnp.arange(1.0, count + 1)
    return system, jnp.pad(heights[:, None], ((0, 0), (dimension - 1, 0)))


def drawn(system, key, dtype):
    """The system with other numbers, and its time step [s], which is static where systems pass through a program."""
    keys = dict(zip((*RANGES, "undamped", "weightless"), jax.random.split(key, 6), strict=True))
    value = {
        name: jnp.exp(jax.random.uniform(keys[name], (), jnp.float64, *np.log(bounds)))
        for name, bounds in RANGES.items()
    }
    damping = jnp.where(jax.random.bernoulli(keys["undamped"], 0.2), 0.0, value["damping"])
    springs = dataclasses.replace(
        system.springs,
        stiffness=jnp.full(len(system.springs.ends), value["stiffness"]),
        damping=jnp.full(len(system.springs.ends), damping),
    )
    gravity = jnp.where(jax.random.bernoulli(keys["weightless"], 1 / 3), 0.0, system.gravity)
    mass = jnp.full(system.num_points, value["mass"])
    system = dataclasses.replace(system, mass=mass, springs=springs, gravity=gravity)
    system = jax.tree.map(lambda leaf: leaf.astype(dtype), system)
    return dataclasses.replace(system, time_step=value["time_step"].astype(dtype))


def play(system, start, actions):
    """The errors (T,) of the steps, and those of the same steps with velocities that are wrong by a hundredth."""

    def advance(state, action):
        after = sim.step(system, state, action)
        error = sim.step_error(system, state, action, after)
        size = jnp.max(jnp.abs(after.velocity)) + SPEED
        wrong = dataclasses.replace(after, velocity=after.velocity + 0.01 * size)
        return after, (error, sim.step_error(system, state, action, wrong))

    return jax.lax.scan(advance, start, actions)[1]


AS_USERS_DO = {"xla_backend_optimization_level": 3}
if jax.__version_info__ < (0, 11):
    AS_USERS_DO["xla_cpu_use_fusion_emitters"] = True
"""How programs are compiled outside of tests: in single precision the stiffest steps hang on the last digit."""


@partial(jax.jit, static_argnums=(0, 1, 2, 3), compiler_options=AS_USERS_DO)
@partial(jax.vmap, in_axes=(None, None, None, None, 0))
def errors_of_rollout(count, dimension, dtype, strongly_damped, key):
    key_system, key_velocity, key_actions = jax.random.split(key, 3)
    system, position = pendulum(count, dimension)
    system = drawn(system, key_system, dtype)
    springs = dataclasses.replace(system.springs, strongly_damped=strongly_damped)
    system = dataclasses.replace(system, springs=springs)
    velocity = SPEED * jax.random.uniform(key_velocity, position.shape, dtype, -1.0, 1.0)
    start = sim.initial_state(system, jnp.zeros(dimension, dtype), position.astype(dtype), velocity)
    actions = SPEED * jax.random.uniform(key_actions, (NUM_STEPS, dimension), dtype, -1.0, 1.0)
    return play(system, start, actions)


def errors_of_rollouts(count, dimension, dtype, keys):
    """(N, T) twice, see `play`, of systems which are solved as `make_system` would have it."""

    def stopped_in_a_step(key):
        system = drawn(pendulum(count, dimension)[0], jax.random.split(key, 3)[0], dtype)
        return system.springs.damping[0] * system.time_step > system.mass[0]

    damped = np.asarray(jax.vmap(stopped_in_a_step)(keys))
    parts = [errors_of_rollout(count, dimension, dtype, kind, keys[damped == kind]) for kind in (False, True)]
    return (np.concatenate(errors) for errors in zip(*parts, strict=True))


CASES = [(1, 2, jnp.float32), (1, 3, jnp.float64), (1, 2, jnp.float64), (1, 3, jnp.float32)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("num_rollouts", "count", "dimension", "dtype"),
    [
        pytest.param(size, *case, marks=mark)
        for size, mark in ((2000, pytest.mark.exhaustive), (400, pytest.mark.slow))
        for case in CASES[: 2 if size == 400 else None]
    ],
)
def test_hardly_a_random_step_is_unsolved_and_no_wrong_one_passes(num_rollouts, count, dimension, dtype):
    keys = jax.random.split(jax.random.key(dimension), num_rollouts)
    solved, wrong = errors_of_rollouts(count, dimension, dtype, keys)
    assert np.mean(~(solved <= 1)) <= 5e-4
    assert solved.dtype == dtype
    assert np.mean(wrong > 1) > 0.9  # in float32 stiff springs carry velocities of more than a hundredth


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_no_random_step_of_two_points_is_unsolved(dtype):
    solved, _ = errors_of_rollouts(2, 3, dtype, jax.random.split(jax.random.key(0), 400))
    assert np.sum(~(solved <= 1)) == 0


def assert_solved(system, start, actions):
    """Every step is solved, and none passes with velocities that are wrong by a hundredth."""
    solved, wrong = jax.jit(play)(system, start, actions)
    assert np.max(solved) <= 1
    assert np.min(wrong) > 1


def damped_far_beyond_critical(dtype):
    """A mass on a spring at many of whose steps Newton's method alone comes to nothing."""
    system = sim.make_system(
        mass=[1.0],
        springs=[sim.Spring(0, 1, 5e3, 0.5, damping=1e3)],
        handles=[sim.Handle.in_plane(np.zeros(2))],
        time_step=1 / 30,
        dimension=2,
    )
    return jax.tree.map(lambda leaf: leaf.astype(dtype), system)


@pytest.mark.parametrize("dtype", slow_but([jnp.float32, jnp.float64], jnp.float32))
def test_springs_damped_far_beyond_critical_are_solved(dtype):
    system = damped_far_beyond_critical(dtype)
    position, velocity = jnp.asarray([[0, -0.5]], dtype), jnp.asarray([[3.0, 0.9]], dtype)
    start = sim.initial_state(system, jnp.zeros(2, dtype), position, velocity)
    actions = 2 * jax.random.uniform(jax.random.key(1), (60, 2), dtype, -1.0, 1.0)
    assert_solved(system, start, actions)


@pytest.mark.slow
def test_a_point_thrown_straight_through_its_handle_is_solved():
    system = damped_far_beyond_critical(jnp.float64)
    undamped = dataclasses.replace(system.springs, damping=jnp.zeros(1))
    system = dataclasses.replace(system, springs=undamped)

    def thrown(speed):
        position, velocity = jnp.asarray([[0.0, -0.5]]), jnp.stack([jnp.zeros(()), speed])[None]
        return play(system, sim.initial_state(system, jnp.zeros(2), position, velocity), jnp.zeros((30, 2)))[0]

    assert np.max(jax.jit(jax.vmap(thrown))(jnp.linspace(5.0, 60.0, 23))) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("masses", [(1e-2, 1e3), (1e3, 1e-2)])
def test_masses_of_very_different_size_are_solved(masses):
    system, position = pendulum(2, 2)
    system = dataclasses.replace(system, mass=jnp.asarray(masses), time_step=1 / 30)
    system = dataclasses.replace(
        system, springs=dataclasses.replace(system.springs, stiffness=jnp.full(2, 1e5), damping=jnp.full(2, 10.0))
    )
    start = sim.initial_state(system, jnp.zeros(2), position, jnp.zeros((2, 2)))
    actions = SPEED * jax.random.uniform(jax.random.key(0), (100, 2), minval=-1.0, maxval=1.0)
    assert_solved(system, start, actions)


@pytest.mark.slow
def test_a_damped_load_sags_by_weight_over_stiffness_in_the_end():
    system = damped_far_beyond_critical(jnp.float64)
    start = sim.initial_state(system, jnp.zeros(2), jnp.asarray([[0.0, -0.4]]), jnp.asarray([[0.0, 1.0]]))
    end = jax.lax.fori_loop(0, 3000, lambda _, state: sim.step(system, state, jnp.zeros(2)), start)
    np.testing.assert_allclose(end.position, [[0.0, -0.5 - 9.81 / 5e3]], atol=1e-9)
    np.testing.assert_allclose(end.velocity, 0.0, atol=1e-9)
