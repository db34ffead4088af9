import dataclasses
import math

import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from tests.tiers import slow_but

NAN, INFINITY = math.nan, math.inf


def refusal(*arguments, **settings):
    with pytest.raises(InputError) as caught:
        envs.make(*arguments, **settings)
    return str(caught.value)


def test_the_environments_and_their_tasks():
    assert envs.names() == (
        "pendulum_2d",
        "pendulum_3d",
        "double_pendulum_3d",
        "payload_2d",
        "rope_3d",
        "cloth_3d",
        "cartpole",
        "acrobot",
        "pendubot",
        "double_pendulum",
        "quadrotor",
        "quadrotor_payload",
        "hopper_slip",
    )
    for name in envs.names()[:5]:
        assert envs.tasks(name) == ("stop", "stop_at_origin")
    assert [envs.tasks(name) for name in envs.names()[5:]] == [
        ("lay",),
        ("swing_up",),
        ("balance", "swing_up"),
        ("balance", "swing_up"),
        ("balance", "swing_up"),
        ("hover", "waypoint"),
        ("waypoint",),
        ("run",),
    ]


@pytest.mark.parametrize("name", slow_but(envs.names(), "pendulum_2d", "pendulum_3d", "double_pendulum_3d"))
def test_what_is_made_carries_its_name_and_task(name):
    assert envs.make(name).task == envs.tasks(name)[0]
    env = envs.make(name, task=envs.tasks(name)[-1])
    assert (env.name, env.task) == (name, envs.tasks(name)[-1])


def test_actions_have_the_units_of_what_they_drive():
    handles = ("pendulum_2d", "pendulum_3d", "double_pendulum_3d", "payload_2d", "rope_3d", "cloth_3d")
    expected = dict.fromkeys(handles, "m/s") | dict.fromkeys(("cartpole", "quadrotor", "quadrotor_payload"), "N")
    expected |= {"acrobot": "N m", "pendubot": "N m", "double_pendulum": "N m", "hopper_slip": ""}
    assert {name: envs.make(name).action_unit for name in envs.names()} == expected


@pytest.mark.parametrize("name", envs.names())
def test_the_settings_are_the_defaults(name):
    assert envs.make(name, **envs.settings(name)).time_step == envs.settings(name)["time_step"]
    assert "horizon" in envs.settings(name)


def test_settings_reach_the_environment():
    env = envs.make(
        "double_pendulum_3d",
        horizon=7,
        time_step=0.02,
        mass=2.0,
        link_length=0.3,
        stiffness=1e3,
        damping=0.5,
        action_limit=1.5,
        initial_speed=0.7,
        initial_displacement=0.2,
        weights=(1.0, 2.0, 3.0, 4.0),
        task="stop_at_origin",
    )
    payload, system = env.parameters, env.parameters.system
    assert (env.horizon, env.time_step, system.time_step) == (7, 0.02, 0.02)
    np.testing.assert_allclose(system.mass, [2.0, 2.0])
    np.testing.assert_allclose(system.springs.rest_length, [0.3, 0.3])
    np.testing.assert_allclose(system.springs.stiffness, [1e3, 1e3])
    np.testing.assert_allclose(system.springs.damping, [0.5, 0.5])
    np.testing.assert_allclose(env.action_limit, [1.5, 1.5, 1.5])
    np.testing.assert_allclose([payload.initial_speed, payload.initial_displacement], [0.7, 0.2])
    assert dataclasses.astuple(payload.weights) == (1.0, 2.0, 3.0, 4.0)


def test_the_task_stop_asks_for_nothing_but_rest():
    env = envs.make("pendulum_2d", task="stop", weights=(1.0, 2.0, 3.0, 4.0), initial_displacement=0.2)
    assert dataclasses.astuple(env.parameters.weights) == (0.0, 0.0, 3.0, 4.0)
    assert env.parameters.initial_displacement == 0.0


def test_making_one_environment_leaves_the_defaults():
    before = envs.settings("pendulum_2d")
    envs.make("pendulum_2d", horizon=3)
    assert envs.settings("pendulum_2d") == before
    assert envs.make("pendulum_2d").horizon == before["horizon"]


@pytest.mark.parametrize(
    ("arguments", "settings", "field", "closest"),
    [
        (("pendulm_2d",), {}, "env.name = 'pendulm_2d'", "pendulum_2d"),
        (("pendulum3d",), {}, "env.name = 'pendulum3d'", "pendulum_3d"),
        (("pendulum_2d", "stop_at_orign"), {}, "env.task = 'stop_at_orign'", "stop_at_origin"),
        (("pendulum_2d",), {"horizn": 3}, "env.horizn = 3", "horizon"),
        (("pendulum_2d",), {"stifness": 3.0}, "env.stifness = 3.0", "stiffness"),
        (("pendulum_2d",), {"action_limits": 3.0}, "env.action_limits = 3.0", "action_limit"),
    ],
)
def test_a_misspelling_is_answered_with_the_closest_name(arguments, settings, field, closest):
    message = refusal(*arguments, **settings)
    assert field in message
    assert f"did you mean {closest!r}?" in message
    assert "must be one of" in message or "the settings are" in message


@pytest.mark.parametrize("ask", [envs.tasks, envs.settings])
def test_questions_about_an_unknown_environment_are_refused(ask):
    with pytest.raises(InputError, match="did you mean 'pendulum_2d'"):
        ask("pendulum_2")


@pytest.mark.parametrize(
    ("setting", "value", "name_in_message"),
    [
        *[("horizon", value, "horizon") for value in (0, -1, 2.5, NAN, True, "50")],
        *[("time_step", value, "time_step") for value in (0.0, -0.1, NAN, INFINITY, "fast")],
        *[("mass", value, "mass") for value in (0.0, -1.0, NAN, INFINITY, None)],
        *[("stiffness", value, "stiffness") for value in (0.0, -1.0, NAN, INFINITY)],
        *[("link_length", value, "length") for value in (0.0, -1.0, NAN)],
        *[("damping", value, "damping") for value in (-1.0, NAN)],
        *[("action_limit", value, "action_limit") for value in (0.0, -1.0, NAN, INFINITY, [1.0])],
        *[("initial_speed", value, "initial_speed") for value in (-1.0, NAN)],
        *[("initial_displacement", value, "initial_displacement") for value in (-1.0, NAN)],
        *[("weights", value, "weights") for value in ((1.0, 1.0, 1.0), (1.0, 1.0, -1.0, 1.0), (1.0, 1.0, 1.0, NAN))],
        *[("num_points", value, "num_points") for value in (0, 1.5)],
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(setting, value, name_in_message):
    message = refusal("pendulum_2d", "stop_at_origin", **{setting: value})
    assert name_in_message in message
    assert "must" in message
    shown = np.shape(value) if setting == "weights" and len(value) != 4 else value
    assert str(shown) in message
