"""What every robot and task of the registry promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.checks import InputError
from tests.envs.test_environment import ROBOTS, SIZES, assert_close, pick, play, random_actions, random_starts
from tests.tiers import slow_but

CASES = [(name, task) for name in ROBOTS for task in envs.tasks(name)]
QUICK = (("acrobot", "balance"), ("quadrotor", "hover"))
"""That `make test` is to have: one in the plane and one in space."""


def state_at(env, **leaves):
    """A state with the given leaves, the others zero."""
    zero = jax.tree.map(jnp.zeros_like, env.reset(jax.random.key(0)))
    return dataclasses.replace(zero, **{name: jax.tree.map(jnp.asarray, value) for name, value in leaves.items()})


def goal_of(env):
    """The state in which the task is done, and the action that holds it."""
    upright = jnp.asarray([1.0, 0.0, 0.0, 0.0])
    still = jnp.zeros(env.action_size)
    if env.name in ("acrobot", "pendubot", "double_pendulum"):
        return state_at(env, angle=np.array([np.pi, 0.0])), still
    if env.name == "quadrotor":
        return state_at(env, attitude=upright), still
    if env.name == "quadrotor_payload":
        quadrotor = env.parameters
        stretch = quadrotor.load_mass * quadrotor.rotor.gravity / quadrotor.cable_stiffness
        body = dataclasses.replace(state_at(env).body, attitude=upright, position=jnp.asarray([0.0, 0.0, stretch]))
        return state_at(env, body=body, load_position=np.array([0.0, 0.0, -quadrotor.cable_length])), still
    if env.name == "hopper_slip":  # running is no rest: at the wanted speed and height, for a moment
        body, foot, forwards = np.array([[0.0, 0.7], [0.0, 0.1], [1.0, 0.0]])
        return state_at(env, position=body, foot=foot, velocity=forwards), still
    return state_at(env), still


@pytest.fixture(
    scope="module",
    params=slow_but(CASES, *QUICK),
    ids=lambda case: "-".join(case) if isinstance(case, tuple) else None,
)
def env(request):
    return envs.make(request.param[0], task=request.param[1])


@pytest.fixture(scope="module")
def many_starts(env):
    return random_starts(env)


@pytest.fixture(scope="module")
def trajectories(env, many_starts):
    return play(env, pick(many_starts, slice(10)), random_actions(env))


def test_initial_states_are_random_and_finite(env, many_starts):
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(many_starts))
    rows = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(many_starts)], axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert_close(random_starts(env), many_starts, tolerance=0.0)


def test_trajectories_have_the_sizes_and_are_finite(env, trajectories):
    assert (env.observation_size, env.action_size) == SIZES[env.name]
    assert trajectories.observation.shape == (10, 50, env.observation_size)
    assert sum(block.size for block in env.observation_layout) == env.observation_size
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trajectories))
    error = env.step_error(pick(trajectories.state, 0, 0), trajectories.action[0, 1], pick(trajectories.state, 0, 1))
    assert error == 0.0


def test_a_plain_loop_gives_the_trajectory_of_a_replay(env, many_starts, trajectories):
    state = pick(many_starts, 1)
    for t, action in enumerate(random_actions(env)[1, :5]):
        np.testing.assert_allclose(trajectories.observation[1, t], env.observe(state), rtol=1e-9, atol=1e-12)
        state = env.step(state, action)
        np.testing.assert_allclose(trajectories.reward[1, t], env.reward(state, action), rtol=1e-9)
        np.testing.assert_allclose(trajectories.reward[1, t], -np.sum(np.square(env.residual(state, action))))
    assert_close(pick(trajectories.state, 1, 4), state)


def test_the_goal_costs_nothing_and_is_left_by_running_only(env):
    goal, still = goal_of(env)
    np.testing.assert_allclose(env.reward(goal, still), 0.0, atol=1e-24)
    after = env.step(goal, still)
    if env.name == "hopper_slip":
        assert env.measure(after)["x"] > 0.015
    else:
        assert_close(after, goal, tolerance=1e-7)  # the square of the length of a cable has 1e-9 added
    assert all(np.isfinite(value) for value in env.measure(goal).values())


@pytest.mark.slow
def test_actions_bite_in_every_step(env, trajectories):
    state, action = pick(trajectories.state, 3, 5), trajectories.action[3, 6]
    change = np.asarray(jax.jacfwd(lambda action: env.observe(env.step(state, action)))(action))
    assert np.linalg.matrix_rank(change) == env.action_size


def test_it_draws_itself(env, trajectories):
    drawn = env.draw(pick(trajectories.state, 0, 0))
    assert env.space_dimension == (3 if "quadrotor" in env.name else 2)
    assert np.all(np.isfinite(drawn.points))
    lengths = {
        tuple(np.round([np.linalg.norm(p[a] - p[b]) for a, b in drawn.segments], 6))
        for p in np.asarray(jax.vmap(env.draw)(pick(trajectories.state, 0)).points)
    }
    springs = {"quadrotor_payload", "hopper_slip"}
    assert len(lengths) == 1 or env.name in springs


def test_another_action_shape_is_refused(env, many_starts):
    with pytest.raises(InputError, match=r"action has shape"):
        env.step(pick(many_starts, 0), jnp.zeros(env.action_size + 1))


@pytest.mark.slow
def test_parameters_are_arguments_of_one_program(env, many_starts):
    """So that they can be drawn at random without compiling again, and be differentiated."""
    state, actions = pick(many_starts, 0), random_actions(env)[0, :10]

    @jax.jit
    def total(env):
        total.count += 1  # when it is traced
        return jnp.sum(pods_jax.replay(env, state, actions).reward)

    total.count = 0
    values = [total(jax.tree.map(lambda leaf, factor=factor: factor * leaf, env)) for factor in (1.0, 1.01)]
    assert total.count == 1
    assert values[0] != values[1]
    slopes = jax.grad(lambda env: jnp.sum(pods_jax.replay(env, state, actions).reward))(env)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [("horizon", 0), ("substeps", 0), ("time_step", 0.0), ("gravity", -1.0), ("weights", (1.0,))],
)
def test_a_bad_value_is_named(name, setting, value):
    with pytest.raises(InputError, match=rf"env.{setting} .*must"):
        envs.make(name, **{setting: value})
