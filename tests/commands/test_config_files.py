"""Configurations by name, and settings of environments that a configuration file does not have."""

import json
import pathlib

import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.commands import command_line, config_files
from scripts import train


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """What the command `train` is going to run, for a command line."""

    def fields(*arguments):
        kept = {}
        monkeypatch.setattr(train.main.__globals__["experiment"], "run", lambda config, **rest: kept.update(config))
        assert train.main(["train.py", f"--workdir={tmp_path / 'run'}", *arguments]) == 0
        return json.loads(json.dumps(kept))

    return fields


def test_the_files_of_the_package_have_names():
    files = pathlib.Path(__file__).parents[2].joinpath("configs").glob("*.py")
    assert {*config_files.names()} == {path.stem for path in files}


def test_a_name_stands_for_a_file(configured):
    assert configured("--config=payload") == configured("--config=configs/payload.py")
    assert configured("--config", "rope", "--config.seed=3")["seed"] == 3
    assert configured("--config=robot:quadrotor/hover")["env"]["name"] == "quadrotor"


def test_a_setting_that_the_file_leaves_to_the_environment(configured):
    env = configured("--config=pods", "--config.env.mass=2", "--config.env.weights=(1,2,3,4)")["env"]
    assert (env["mass"], env["weights"]) == (2.0, [1.0, 2.0, 3.0, 4.0])
    assert "stiffness" not in env
    env = configured("--config=configs/pods.py", "--config.env.name=cartpole", "--config.env.cart_mass=3")["env"]
    assert env["cart_mass"] == 3.0


def test_an_environment_of_ones_own_brings_its_settings(configured, tmp_path):
    def make_mine(length=1.0, task="stop"):
        return envs.make("pendulum_2d", task, horizon=3, link_length=length)

    file = tmp_path / "flags.txt"
    file.write_text("--config.env.length=2\n")
    envs.register("mine", make_mine)
    try:
        env = configured("--config=pods", "--config.env.name=mine", f"--flagfile={file}")["env"]
    finally:
        envs.unregister("mine")
    assert env == {"name": "mine", "length": 2.0, "task": "stop", "terminal_only": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=paylod",), "config = 'paylod': did you mean 'payload'? must be one of bptt,"),
        (("--config=pods", "--config.env.mas=2"), """Did you mean "mass" instead of "mas"?"""),
        (("--config=pods", "--config.env.name=nothing_here:make"), "there is no module nothing_here"),
        (
            ("--config=pods", "--config.env.name=nothing"),
            "config.env.name = 'nothing': did you mean",
        ),
        (("--config=missing.py", "--config.env.mass=2"), "the configuration file cannot be read: [Errno 2] No such"),
        (("--config=robot:acrobt", "--config.env.mass=(2,2)"), "fails: InputError: env.name = 'acrobt'"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path):
    assert train.main(["train.py", f"--workdir={tmp_path / 'run'}", *arguments]) == command_line.BAD_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") <= 2
    assert not (tmp_path / "run").exists()


def test_a_command_line_without_a_configuration_stays_as_it_is():
    assert config_files.resolved(["train.py", "--workdir=a"]) == ["train.py", "--workdir=a"]
    with pytest.raises(InputError):
        config_files.resolved(["train.py", "--config=nothing"])
