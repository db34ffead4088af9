import dataclasses
import math

import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.envs import registry
from tests.tiers import slow_but

NAN, INFINITY = math.nan, math.inf
SIZES = np.ones(3)


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


@pytest.mark.slow
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


def make_mine(length: float = 1, task="stop", sizes=(1, 2), terminal_only_there=False):
    if sizes != (1, 2):
        raise ZeroDivisionError("no such sizes")
    return envs.make("pendulum_2d", task, horizon=3, link_length=length, terminal_only=terminal_only_there)


@pytest.fixture
def mine():
    envs.register("mine", make_mine)
    yield
    envs.unregister("mine")


@pytest.mark.usefixtures("mine")
class TestOwn:
    def test_it_is_made_like_ours(self):
        assert "mine" in envs.names()
        assert envs.tasks("mine") == ("stop",)
        assert envs.settings("mine") == {
            "terminal_only": False,
            "length": 1.0,
            "task": "stop",
            "sizes": (1, 2),
            "terminal_only_there": False,
        }
        env = envs.make("mine", "stop_at_origin", length=2.0, terminal_only=True)
        assert (env.task, env.terminal_only) == ("stop_at_origin", True)
        np.testing.assert_allclose(env.parameters.system.springs.rest_length, [2.0])
        assert envs.make("mine", terminal_only_there=True).terminal_only

    def test_a_list_of_json_is_the_tuple_that_it_was(self):
        assert envs.make("mine", sizes=[1, 2]).horizon == 3

    def test_mistakes_are_named(self):
        assert refusal("mine", lenght=2.0) == (
            "env.lenght = 2.0: did you mean 'length'? the settings are length, task, sizes, terminal_only_there"
        )
        assert refusal("mine", length="long") == "env.length = 'long': must be a finite number"
        assert "the function fails: ZeroDivisionError: no such sizes (" in refusal("mine", sizes=(3,))
        assert "env.task = 'fly': must be one of stop, stop_at_origin" in refusal("mine", "fly")  # its own error
        assert "did you mean 'mine'?" in refusal("mnie")

    def test_its_name_is_taken(self):
        for name in ("mine", "pendulum_2d"):
            with pytest.raises(InputError, match=f"name = '{name}': there is such an environment; choose another"):
                envs.register(name, make_mine)


def test_one_of_ours_can_be_replaced_and_comes_back():
    assert not registry.is_own("pendulum_2d")
    made = make_mine()
    envs.register("pendulum_2d", lambda: made, replace=True)
    assert registry.is_own("pendulum_2d")
    assert envs.make("pendulum_2d").horizon == 3
    envs.unregister("pendulum_2d")
    assert envs.make("pendulum_2d").horizon == 50
    with pytest.raises(InputError, match="name = 'pendulum_2d'"):
        envs.unregister("pendulum_2d")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("", make_mine, "name = '': must be a text"),
        (3, make_mine, "name = 3: must be a text"),
        ("mine", None, "make = None: must be a function"),
        ("mine", lambda size: None, "mine, parameter size: must have a default"),
        ("mine", lambda **settings: None, "mine, parameter settings: must be given by its name"),
        ("mine", lambda weights=SIZES: None, "parameter weights = .*: must be a number, a text, True or False"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, make, message):
    before = envs.names()
    with pytest.raises(InputError, match=message):
        envs.register(name, make)
    assert envs.names() == before


def test_what_it_makes_must_be_an_environment():
    envs.register("mine", lambda: (3, 4))
    try:
        assert refusal("mine").startswith(
            "env.name = 'mine' returns a tuple: the function must return an Environment"
        )
    finally:
        envs.unregister("mine")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported; returns its name, which no other test uses."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code):
        name = f"{tmp_path.name}_own".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


CODE = "from pods_jax import envs\ndef make(horizon=3):\n    return envs.make('pendulum_2d', horizon=horizon)\n"


class TestByPlace:
    def test_it_is_imported_when_it_is_loaded_and_not_before(self, module):
        place = f"{module(CODE)}:make"
        message = refusal(place)
        assert "nothing is imported because a file names it" in message
        assert f"--env={place}, or in Python envs.load('{place}')" in message
        envs.load(place)
        try:
            envs.load(place)  # once more is nothing
            assert envs.make(place, horizon=4).horizon == 4
            assert place in envs.names()
        finally:
            envs.unregister(place)

    def test_other_names_are_left_alone(self):
        before = envs.names()
        for name in ("pendulum_2d", "nothing of this kind", ""):
            envs.load(name)
        assert envs.names() == before

    @pytest.mark.parametrize(
        ("code", "function", "message"),
        [
            (CODE, "mkae", "did you mean {name}:make? {name} has no function mkae"),
            (CODE + "value = 3", "value", "{name} has no function value"),
            ("import nothing_of_this_kind", "make", "importing {name} fails: ModuleNotFoundError: No module named"),
            ("1 / 0", "make", "importing {name} fails: ZeroDivisionError: division by zero ("),
            ("def make(:", "make", "importing {name} fails: SyntaxError: invalid syntax"),
            ("def make(size): pass", "make", "{name}:make, parameter size: must have a default"),
        ],
    )
    def test_what_cannot_be_loaded_says_why(self, module, code, function, message):
        name = module(code)
        with pytest.raises(InputError) as caught:
            envs.load(f"{name}:{function}")
        assert message.format(name=name) in str(caught.value)

    @pytest.mark.parametrize("place", ["nothing_of_this_kind:make", "nothing_of_this_kind.below:make"])
    def test_a_module_that_there_is_not(self, place):
        with pytest.raises(InputError, match="there is no module nothing_of_this_kind; install it, or run this in"):
            envs.load(place)


def test_an_installed_package_makes_its_own_known(module, tmp_path):
    name = module(CODE)
    folder = tmp_path / "theirs-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[pods_jax.environments]\ntheir_crane = {name}:make\nbroken = {name}:nothing\n"
    )
    assert {"their_crane", "broken"} <= {*envs.names()}
    assert registry.is_own("their_crane")
    assert envs.make("their_crane", horizon=7).horizon == 7
    assert f"loading {name}:nothing fails: AttributeError" in refusal("broken")
