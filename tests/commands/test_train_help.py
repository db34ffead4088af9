"""What the help says: every name that can be given, and every field with its meaning, default and range."""

import dataclasses

import pytest

from pods_jax import algorithms, envs, settings
from pods_jax.checks import InputError
from pods_jax.commands import config_files, train_help
from pods_jax.runs.configuration import RunSettings, default_config
from scripts import train


def test_the_list_has_every_name(capsys):
    assert train.main(["train.py", "--list"]) == 0
    listed = capsys.readouterr().out
    for name in (*config_files.names(), *envs.names(), *algorithms.names()):
        assert f"\n  {name:20} " in listed
    assert "Tasks: balance, swing_up." in listed
    assert "my_package:make_it" in listed


@pytest.mark.parametrize(("env", "algorithm"), [("pendulum_2d", "pods"), ("quadrotor", "sac")])
def test_the_help_has_every_field(env, algorithm, capsys):
    arguments = [f"--config.env.name={env}", f"--config.algorithm.name={algorithm}"]
    assert train.main(["train.py", "--help", *arguments]) == 0
    told = capsys.readouterr().out
    rows = [*settings.rows(RunSettings(), "config"), *settings.rows(envs.settings_of(env), "config.env")]
    rows += settings.rows(algorithms.config_of(algorithm)(), "config.algorithm")
    for row in rows:
        assert f"\n  --{row.path}=" in told
        assert row.meaning in told
    assert f"\n  --config.env.task={envs.tasks(env)[0]}\n" in told


def test_it_shows_the_values_of_the_configuration_that_is_named():
    assert "--config.algorithm.fine_tune_after=30: " in train_help.text(["train.py", "--config=payload"])
    assert "--config.algorithm.fine_tune_after=0: " in train_help.text(["train.py"])


def test_an_environment_of_ones_own_is_explained():
    def make_mine(length: float = 2, sizes=(1, 2)):
        """Something that swings.

        And more about it.
        """

    envs.register("mine", make_mine)
    try:
        told = train_help.text(["train.py", "--config.env.name=mine"])
    finally:
        envs.unregister("mine")
    assert "mine                 Something that swings.\n" in told
    assert "--config.env.length=2.0: number\n" in told


def test_a_name_that_there_is_not_is_refused(capsys):
    assert train.main(["train.py", "--help", "--config.env.name=pendulm_2d"]) == 2
    assert "did you mean 'pendulum_2d'?" in capsys.readouterr().err
    with pytest.raises(InputError, match="config = 'paylod': did you mean 'payload'"):
        train_help.text(["train.py", "--config=paylod"])


def test_what_a_run_starts_from_is_said_once():
    config = default_config()
    told = {field: value for field, value in config.items() if field not in ("env", "algorithm")}
    assert told == dataclasses.asdict(RunSettings())
