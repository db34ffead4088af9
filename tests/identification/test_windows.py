"""Windows on the time grid of an environment: means of actions, interpolation, starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.identification import accuracy, make_recording, prediction, windows
from tests.identification.synthetic import recordings


def test_samples_on_the_grid_are_taken_as_they_are():
    step, weight = windows._interpolation(np.arange(8.0), 7)
    np.testing.assert_array_equal(np.sum(weight * (step[:, None] + np.arange(4)[None]), axis=1), np.arange(8))
    assert np.all(np.sum(weight == 1.0, axis=1) == 1)


def test_cubics_are_interpolated_exactly():
    place = np.array([0.0, 0.3, 1.0, 2.49, 5.2, 6.999, 7.0])
    step, weight = windows._interpolation(place, 7)
    cubic = lambda t: t**3 - 4 * t**2 + 1  # noqa: E731
    near = cubic((step[:, None] + np.arange(4)[None]).astype(float))
    np.testing.assert_allclose(np.sum(weight * near, axis=1), cubic(place), atol=1e-12)


def test_actions_are_the_means_of_what_was_held():
    held = np.array([[1.0], [3.0], [-1.0]])
    found = windows._means(np.array([0.0, 0.15, 0.3]), held, np.array([0.0, 0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(found[:, 0], [1.0, 2.0, 3.0, -1.0])


@pytest.mark.slow
def test_a_recording_without_noise_is_predicted_exactly():
    env = envs.make("rope_3d", horizon=12)
    recorded, _ = recordings(env, jax.random.key(0), count=2, noise=0.0)
    cut = windows.cut(env, recorded, 12 * env.time_step, 1.0, accuracy.rest(env))
    assert cut.count == 2
    error = jax.vmap(lambda start, window: prediction.errors(env, start, window))(cut.start, cut)
    np.testing.assert_allclose(error, 0.0, atol=1e-6)


def test_windows_begin_where_the_recording_was_and_know_what_was_measured():
    env = envs.make("acrobot", substeps=1)
    time = env.time_step * np.arange(21)
    measured = {"angle": np.stack([np.sin(time), np.cos(time)], axis=1)}
    recorded = make_recording(time, np.zeros((21, 1)), measured)
    cut = windows.cut(env, [recorded], 5 * env.time_step, 5 * env.time_step, np.zeros(4))
    assert cut.count == 4
    np.testing.assert_allclose(cut.start[1, :2], [np.sin(time[5]), np.cos(time[5])])
    np.testing.assert_allclose(cut.start[1, 2], np.cos(time[5]), rtol=1e-2)  # from the angle
    np.testing.assert_array_equal(np.asarray(cut.known).all(axis=(0, 1)), [True, True, False, False])
    every = windows.cut(env, [recorded], 5 * env.time_step, 0.0, np.zeros(4))
    assert every.count == 16


@pytest.mark.slow
def test_prediction_errors_from_every_start_are_those_of_replays():
    env = envs.make("acrobot", substeps=1, horizon=10)
    recorded, _ = recordings(env, jax.random.key(3), count=1, noise=0.02)
    found = accuracy.prediction_error(env, recorded, 3 * env.time_step)
    each, state = recorded[0], env.reset(jax.random.key(0))
    errors = []
    for first in range(8):
        at = {name: each.measured[name][first] for name in each.measured}
        start = state.replace(
            angle=jnp.asarray([at["angle[0]"], at["angle[1]"]]),
            velocity=jnp.asarray([at["velocity[0]"], at["velocity[1]"]]),
        )
        states = pods_jax.replay(env, start, jnp.asarray(each.action[first : first + 3])).state
        errors.append(states.angle[:, 0] - each.measured["angle[0]"][first + 1 : first + 4])
    np.testing.assert_allclose(found["angle[0]"], np.sqrt(np.mean(np.square(errors))), rtol=1e-9)
