"""Every mistake in a configuration is named with its path, its value and what is allowed, all at once."""

import dataclasses
import importlib
import json
import math
import pathlib

import numpy as np
import pytest

from configs import pods as pods_config
from configs import robot as robot_config
from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.runs.configuration import check, default_config, differences
from tests.tiers import slow_but

PAYLOADS = ("pendulum_2d", "pendulum_3d", "double_pendulum_3d", "payload_2d", "rope_3d", "cloth_3d")
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


def make_config(**changes):
    return pods_config.get_config().to_dict() | changes


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("env", {"mass": -1.0}, "config.env.mass = -1.0: must be a finite number, greater than 0"),
        ("env", {"mass": math.nan}, "config.env.mass = nan: must be a finite number, greater than 0"),
        ("env", {"stiffness": -5.0}, "config.env.stiffness = -5.0: must be a finite number, greater than 0"),
        (
            "env",
            {"stiffness": math.inf},
            "config.env.stiffness = inf: must be a finite number, greater than 0",
        ),
        ("env", {"time_step": 0.0}, "config.env.time_step = 0.0: must be a finite number, greater than 0"),
        ("env", {"horizon": True}, "config.env.horizon = True: must be a whole number"),
        ("env", {"horizon": None}, "config.env.horizon = None: must be a whole number"),
        (
            "env",
            {"weights": (1.0, 1.0, -1.0, 1.0)},
            "config.env.weights = (1.0, 1.0, -1.0, 1.0): must be finite",
        ),
        ("env", {"stifness": 1.0}, "config.env.stifness = 1.0: did you mean 'stiffness'?"),
        (
            "algorithm",
            {"optimizer": {"learning_rate": None}},
            "config.algorithm.optimizer.learning_rate = None: must be a finite number",
        ),
        (
            "algorithm",
            {"optimizer": {"learning_rate": "fast"}},
            "config.algorithm.optimizer.learning_rate = 'fast': must be a finite number",
        ),
        ("algorithm", {"batch_size": 2.0}, "config.algorithm.batch_size = 2.0: must be a whole number"),
        ("algorithm", {"hidden_sizes": (0,)}, "config.algorithm.hidden_sizes[0] = 0"),
        ("algorithm", {"hidden_sizes": (8, "a")}, "config.algorithm.hidden_sizes[1] = 'a': must be a whole number"),
        ("algorithm", {"batchsize": 3}, "config.algorithm.batchsize = 3: did you mean 'batch_size'?"),
    ],
)
def test_a_mistake_in_a_section_is_named(section, changes, message):
    config = make_config()
    config[section] |= changes
    with pytest.raises(InputError) as caught:
        check(config)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "config.seeds = 1: did you mean 'seed'?"),
        ({"env": 3}, "config.env = 3: must be a group of fields, `name` among them"),
        ({"algorithm": {}}, "config.algorithm = {}: must be a group of fields, `name` among them"),
        ({"seed": 2.0}, "config.seed = 2.0: must be a whole number"),
        (
            {"seed": 2**32},
            "config.seed = 4294967296: must be a whole number, at least 0 and at most 4294967295",
        ),
        ({"num_epochs": math.nan}, "config.num_epochs = nan: must be a whole number, at least 1"),
        ({"evaluate_every": None}, "config.evaluate_every = None: must be a whole number, at least 1"),
    ],
)
def test_a_mistake_at_the_top_is_named(changes, message):
    with pytest.raises(InputError) as caught:
        check(make_config(**changes))
    assert message in str(caught.value)


def test_a_missing_field_is_named():
    config = make_config()
    del config["seed"], config["env"]
    with pytest.raises(InputError, match=r"config.env is missing\n  config.seed is missing"):
        check(config)


def test_all_mistakes_are_reported_at_once():
    config = make_config(seed=-1, num_epochs=0)
    config["env"] |= {"mass": -1.0, "horizn": 3}
    config["algorithm"] |= {"batch_size": 0, "improvement": {"method": "riccatti"}}
    with pytest.raises(InputError) as caught:
        check(config)
    _, *lines = str(caught.value).split("\n  ")
    assert [line.split(" = ")[0] for line in lines] == [
        "config.seed",
        "config.num_epochs",
        "config.env.horizn",
        "config.env.mass",
        "config.algorithm.batch_size",
        "config.algorithm.improvement.method",
    ]


class TestSettingsThatDependOnEachOther:
    """The replay buffer of SAC has to hold an epoch: batch_size times the horizon of the environment."""

    def config(self, **settings):
        return default_config("sac", env={"horizon": 6}, settings={"batch_size": 4, **settings})

    def test_they_may_be_right_together_and_wrong_beside_the_defaults(self):
        assert check(self.config(optimizer={"buffer_size": 100})).algorithm.config.optimizer.buffer_size == 100

    def test_they_are_no_mistake_beside_one(self):
        with pytest.raises(InputError) as caught:
            check(self.config(optimizer={"buffer_size": 100}, loss={"discount": 2.0}))
        assert str(caught.value).splitlines()[1:] == [
            "  config.algorithm.loss.discount = 2.0: must be a finite number, greater than 0, at most 1"
        ]

    def test_they_are_judged_by_each_other(self):
        with pytest.raises(
            InputError, match=r"config.algorithm.optimizer.buffer_size = 10: must hold an epoch, .* 24$"
        ):
            check(self.config(optimizer={"buffer_size": 10}))

    def test_what_does_not_suit_the_environment_is_the_mistake_of_one_field(self):
        config = default_config("pods")
        with pytest.raises(InputError) as caught:
            check(config | {"env": config["env"] | {"terminal_only": True}})
        (line,) = str(caught.value).splitlines()[1:]
        assert line.startswith("  config.algorithm.improvement.damping = 0.0: must be greater than 0 where")


def test_a_former_field_is_refused_with_its_new_place():
    config = make_config()
    config["algorithm"] |= {"guard_size": 4, "polish_after": 3, "regression": "visited_states"}
    with pytest.raises(InputError) as caught:
        check(config)
    _, *lines = str(caught.value).split("\n  ")
    assert lines == [
        "config.algorithm.guard_size = 4: is now algorithm.guard.size (in Python guard={'size': 4})",
        "config.algorithm.polish_after = 3: is now algorithm.fine_tune_after",
        "config.algorithm.regression = 'visited_states': is now algorithm.regression.states "
        "(in Python regression={'states': 'visited_states'})",
    ]


def test_default_config_takes_what_is_different_group_by_group():
    config = default_config(env={"horizon": 7}, settings={"guard": {"size": 3}}, num_epochs=2)
    assert (config["env"]["horizon"], config["env"]["task"], config["num_epochs"]) == (7, "stop", 2)
    assert config["algorithm"] == default_config()["algorithm"] | {"guard": {"size": 3}}


def test_a_good_configuration_survives_json():
    checked = check(make_config(seed=7))
    again = check(json.loads(json.dumps(checked.fields)))
    assert again.fields == checked.fields
    assert again.algorithm.config == checked.algorithm.config
    assert (again.seed, again.num_epochs) == (7, make_config()["num_epochs"])


def test_numpy_numbers_are_numbers():
    checked = check(make_config(seed=np.int64(7), num_epochs=np.int32(3), search_optimum=np.False_))
    assert (checked.seed, checked.num_epochs, checked.search_optimum) == (7, 3, False)
    assert {type(value) for value in (checked.seed, checked.num_epochs, checked.search_optimum)} == {int, bool}
    assert checked.fields == check(make_config(seed=7, num_epochs=3, search_optimum=False)).fields
    assert type(checked.fields["seed"]) is int


def test_settings_reach_the_environment_and_the_algorithm():
    config = make_config()
    config["env"] |= {"task": "stop_at_origin", "horizon": 7}
    config["algorithm"] |= {"batch_size": 3}
    algorithm = check(config).algorithm
    assert (algorithm.env.task, algorithm.env.horizon, algorithm.config.batch_size) == (
        "stop_at_origin",
        7,
        3,
    )


def test_differences_name_the_fields_and_leave_out_the_counts():
    old = make_config()
    new = make_config(seed=1, num_epochs=99, evaluate_every=7, num_test_rollouts=3, env=old["env"] | {"horizon": 9})
    assert differences(old, new) == ["config.env.horizon: 50, now 9", "config.seed: 0, now 1"]
    assert differences(old, old | {"num_epochs": 99}) == []


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_the_committed_configurations_are_valid(path):
    module = importlib.import_module(f"configs.{path.stem}")
    assert check(module.get_config().to_dict()).num_epochs > 0


def test_a_slower_algorithm_differs_in_its_learning_rate_only():
    checked = check(make_config())
    assert checked.slower(1.0) is checked.algorithm
    slower = checked.slower(0.25)
    assert slower.env is checked.algorithm.env
    config = checked.algorithm.config
    optimizer = dataclasses.replace(config.optimizer, learning_rate=config.optimizer.learning_rate / 4)
    assert slower.config == dataclasses.replace(config, optimizer=optimizer)


ROBOTS = [f"{name}/{task}" for name in envs.names() if name not in PAYLOADS for task in envs.tasks(name)]


@pytest.mark.parametrize("robot", slow_but(ROBOTS, "acrobot/balance", "hopper_slip/run"))
def test_one_configuration_serves_every_robot(robot):
    """With the episode that belongs to the robot; only those that are unstable at their goal get a teacher."""
    name, task = robot.split("/")
    configuration = check(robot_config.get_config(robot).to_dict())
    env = configuration.algorithm.env
    assert (env.name, env.task, env.horizon) == (name, task, envs.settings(name)["horizon"])
    names = [phase.name for phase in configuration.algorithm.phases]
    assert ("imitation" in names) == (name in ("cartpole", "acrobot", "pendubot", "double_pendulum"))
    assert names[-1] == "fine-tuning"


def test_the_first_task_is_taken_where_none_is_named():
    assert robot_config.get_config("quadrotor").env.task == "hover"
