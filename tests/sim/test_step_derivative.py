"""The derivative of a step from one factorisation, against forward mode through the implicit solve."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pods_jax import sim, trajopt


def pendulum():
    springs = [sim.Spring(0, 1, 500.0, 0.4)]
    return sim.make_system(
        mass=[0.7], springs=springs, handles=[sim.Handle.on_axis([0.0, 0.0])], time_step=0.03, dimension=2
    )


def loose_points():
    """No springs at all: gravity, drag and a plane with friction."""
    return sim.make_system(
        mass=[0.5, 1.5],
        springs=[],
        handles=[sim.Handle.in_space([9.0, 9.0, 9.0])],
        planes=[sim.Plane([0, 0, 0], [0.2, 0, 1], 1e3, friction=0.6, slip_speed=0.05, blend=0.02)],
        time_step=0.02,
        drag=[0.3, 0.0],
    )


def net(rows=1):
    """Springs with damping, a cable, drag, two handles (one in a plane), and a plane with friction under them."""
    count = 3 * rows
    points = np.zeros((2 + count, 3))
    points[:2] = [[0.0, 0.0, 0.3], [0.4, 0.0, 0.3]]
    points[2:] = [[0.2 * i, 0.15 * j, 0.01 * (i - j)] for j in range(rows) for i in range(3)]
    pairs = [*sim.line([0, *range(2, 2 + count), 1]), (2, 4 + 3 * (rows - 1))]
    springs = sim.join(pairs, points, num_handles=2, stiffness=300.0, damping=0.8)
    return sim.make_system(
        mass=np.linspace(0.1, 0.3, count),
        springs=[*springs, sim.Spring(0, 3, 200.0, 0.25, damping=0.3, cable=True)],
        handles=[sim.Handle.in_space(points[0]), sim.Handle.in_plane(points[1])],
        planes=[sim.Plane([0, 0, 0], [0, 0, 1], 400.0, friction=0.5, slip_speed=0.05, blend=0.02)],
        time_step=0.02,
        drag=0.1,
    )


def moved(system, seed=0):
    """A state in the middle of a random motion, a random action and what they lead to."""
    random = np.random.default_rng(seed)
    rest = (
        np.asarray(system.handle_origin).mean(axis=0) + random.normal(size=(system.num_points, system.dimension)) / 5
    )
    if system.num_planes:
        rest[:, -1] = random.uniform(-0.01, 0.02, system.num_points)
    state = sim.initial_state(
        system, jnp.zeros(system.action_size), jnp.asarray(rest), jnp.asarray(random.normal(size=rest.shape))
    )
    action = jnp.asarray(random.normal(size=system.action_size))
    step = jax.jit(sim.step)
    state = step(system, state, -action)
    return state, action, step(system, state, action)


@pytest.mark.parametrize(
    "system",
    [
        pendulum(),
        pytest.param(loose_points(), marks=pytest.mark.slow),
        pytest.param(net(), marks=pytest.mark.exhaustive),
    ],
    ids=["spring", "plane", "net"],
)
def test_it_is_the_derivative_by_forward_mode(system):
    """Springs, damping, drag, contact with friction, cables, several handles; large systems are in tests/envs."""
    state, action, after = moved(system)
    start, unravel = ravel_pytree(state)

    def dynamics(vector, action):
        return ravel_pytree(sim.step(system, unravel(vector), action))[0]

    expected = jax.jit(functools.partial(trajopt.linearize, dynamics))(start, action)
    model = jax.jit(sim.linearize)(system, state, action, after)
    size, identity = start.size, np.eye(start.size + action.size)
    by_state, by_action = jax.jit(lambda model, by_next: model.transpose_product(by_next))(
        model, identity[:size, :size]
    )
    tolerance = {"rtol": 1e-9, "atol": 1e-9 * np.max(np.abs(expected.A))}
    np.testing.assert_allclose(by_state, expected.A.T, **tolerance)
    np.testing.assert_allclose(by_action, expected.B.T, **tolerance)
    forward = jax.jit(lambda model, *columns: model.product(*columns))(model, identity[:size], identity[size:])
    np.testing.assert_allclose(forward, np.concatenate([expected.A, expected.B], axis=1), **tolerance)


@pytest.mark.parametrize(
    "system", [pendulum(), pytest.param(net(), marks=pytest.mark.exhaustive)], ids=["spring", "net"]
)
def test_single_precision_is_close_to_double_precision(system):
    state, action, after = moved(system)
    double = jax.jit(sim.linearize)(system, state, action, after)
    single = jax.jit(sim.linearize)(
        *jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (system, state, action, after))
    )
    for name in ("handle", "position", "velocity", "action"):
        expected = np.asarray(getattr(double, name))
        assert getattr(single, name).dtype == jnp.float32
        np.testing.assert_allclose(getattr(single, name), expected, atol=1e-4 * np.max(np.abs(expected)))
