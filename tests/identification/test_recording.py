"""What a recording must be, and how wrong ones are refused by name."""

import dataclasses

import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.identification import differentiated, make_recording
from pods_jax.identification import recording as recordings

TIME = 0.03 * np.arange(50)
ANGLE = np.stack([np.sin(3 * TIME), np.cos(2 * TIME)], axis=1)
RATE = np.stack([3 * np.cos(3 * TIME), -2 * np.sin(2 * TIME)], axis=1)
ACTION = np.ones((50, 1))


@pytest.fixture(scope="module")
def env():
    return envs.make("acrobot")


def changed(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def test_columns_are_named_by_the_numbers_of_the_state(env):
    recording = make_recording(TIME, ACTION, {"angle": ANGLE, "velocity": RATE})
    assert tuple(recording.measured) == recordings.components(env)
    assert recordings.check(recording, env) is recording
    np.testing.assert_allclose(recording.duration, 49 * 0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (TIME, changed(ACTION, 7, np.nan), {"angle": ANGLE}),
            "recording: action is nan at sample 7 (1 such values)",
        ),
        ((TIME, ACTION, {"angle": changed(ANGLE, (3, 1), np.inf)}), "recording: angle is inf at sample 3"),
        ((changed(TIME, 9, TIME[8]), ACTION, {"angle": ANGLE}), "time does not rise at sample 9"),
        ((TIME[::-1], ACTION, {"angle": ANGLE}), "time does not rise at sample 1"),
        ((TIME[:2], ACTION[:2], {"angle": ANGLE[:2]}), "has 2 samples: must have at least 3"),
        ((TIME, ACTION[:40], {"angle": ANGLE}), "action has 40 samples: must have 50, as time has"),
        ((TIME, ACTION[:, 0], {"angle": ANGLE}), "action has shape (50,): must have 2 dimension(s)"),
        ((TIME, ACTION, {}), "has no measured column"),
        ((["now"] * 50, ACTION, {"angle": ANGLE}), "recording: time is not numeric: must be numbers"),
    ],
)
def test_wrong_numbers_are_refused_by_name(arguments, message):
    with pytest.raises(InputError) as caught:
        make_recording(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TIME, ACTION, {"angel": ANGLE}), "column = 'angel[0]': did you mean 'angle[0]'?"),
        ((TIME, np.ones((50, 2)), {"angle": ANGLE}), "has 2 actions: must have 1, as acrobot has"),
        ((TIME, 7 * ACTION, {"angle": ANGLE}), "action[0] reaches 7: must be within the limit 6 N m of acrobot"),
        ((TIME, ACTION, {"angle": np.degrees(ANGLE), "velocity": RATE}), "look at the units of both and of time"),
        ((TIME, ACTION, {"angle": ANGLE, "velocity": np.degrees(RATE)}), "look at the units of both and of time"),
        ((1e3 * TIME, ACTION, {"angle": ANGLE}), "samples are 30 s apart: must be at most 50 time steps"),
        ((1e-3 * TIME, ACTION, {"angle": ANGLE, "velocity": RATE}), "look at the units of both and of time"),
    ],
)
def test_what_cannot_be_of_an_environment_is_refused(env, arguments, message):
    with pytest.raises(InputError) as caught:
        recordings.check(make_recording(*arguments), env)
    assert message in str(caught.value)


def test_velocities_come_from_positions_at_any_sampling():
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.001, 0.005, 400))
    found = differentiated(make_recording(time, np.zeros((400, 1)), {"angle[0]": np.sin(3 * time)}), width=0.05)
    np.testing.assert_allclose(found.measured["velocity[0]"], 3 * np.cos(3 * time), atol=5e-3)
    coarse = make_recording(time, np.zeros((400, 1)), {"angle[0]": np.sin(3 * time), "velocity[0]": np.ones(400)})
    np.testing.assert_array_equal(differentiated(coarse, 0.05).measured["velocity[0]"], found.measured["velocity[0]"])


def test_a_cubic_is_differentiated_exactly():
    time = np.cumsum(np.linspace(0.01, 0.02, 30))
    found = differentiated(make_recording(time, np.zeros((30, 1)), {"position[0, 1]": time**3 - time}), width=0.1)
    np.testing.assert_allclose(found.measured["velocity[0, 1]"], 3 * time**2 - 1, atol=1e-9)
    with pytest.raises(InputError, match=r"width = 0: must be a finite number, greater than 0"):
        differentiated(found, 0)


def test_a_recording_stays_as_it_is(env):
    recording = make_recording(TIME, ACTION, {"angle": ANGLE})
    differentiated(recording)
    assert set(recording.measured) == {"angle[0]", "angle[1]"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        recording.name = "other"
