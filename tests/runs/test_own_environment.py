"""Environments of one's own in runs: a crane in a file of its own through all scripts, and one given as a value."""

import json
import pathlib

import pytest
from flax.traverse_util import flatten_dict

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.commands import command_line
from pods_jax.export import load_policy
from pods_jax.runs import experiment
from pods_jax.runs.configuration import default_config, describe
from pods_jax.runs.own_environment import read_configuration
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import optimum_cache
from pods_jax.storage.files import write_json
from scripts import evaluate, export, plot, render, train
from tests.faults import toy
from tests.tiny import TINY

ROOT = pathlib.Path(__file__).parents[2]
CRANE = "own_crane:make_crane"
COUNTS = {"num_epochs": 1, "evaluate_every": 1, "num_test_rollouts": 3, "search_optimum": False}


def config_for(**env):
    return default_config("pods", env=env, settings=TINY["pods"], **COUNTS)


@pytest.fixture
def unloaded():
    yield
    for name in envs.names():
        if ":" in name:
            envs.unregister(name)


@pytest.mark.slow
def test_a_crane_in_a_file_of_ones_own_through_all_scripts(tmp_path, monkeypatch, capsys, unloaded):
    monkeypatch.chdir(ROOT / "examples")
    workdir, of_env = f"--workdir={tmp_path / 'crane'}", f"--env={CRANE}"
    flags = [f"--config.{name}={value}" for name, value in COUNTS.items()]
    flags += [f"--config.algorithm.{name}={value}" for name, value in flatten_dict(TINY["pods"], sep=".").items()]
    training = ["train.py", "--config=pods", f"--config.env.name={CRANE}", "--config.env.horizon=5", workdir, *flags]
    assert train.main([*training, "--config.env.payload=30"]) == 0
    assert json.loads((tmp_path / "crane" / "config.json").read_text())["env"] == {
        "name": CRANE,
        "payload": 30.0,
        "horizon": 5,
        "time_step": 0.05,
        "terminal_only": False,
    }
    assert train.main([*training, "--config.env.payload=30", "--config.num_epochs=2"]) == 0
    assert "continuing after epoch 1" in capsys.readouterr().out
    assert train.main([*training, "--config.env.payload=40"]) == command_line.BAD_INPUT
    assert "config.env.payload: 30.0, now 40.0" in capsys.readouterr().err

    assert evaluate.main(["evaluate.py", workdir, of_env]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["epoch"] == 2
    page, picture, curve, traces = (tmp_path / name for name in ("a.html", "a.gif", "a.png", "b.png"))
    for out in (page, picture):
        assert render.main(["render.py", workdir, of_env, f"--out={out}", "--rollout=1"]) == 0
    assert "crane / rest, pods" in page.read_text(encoding="utf-8")
    assert plot.main(["plot.py", workdir, f"--out={curve}"]) == 0  # a learning curve needs no environment
    assert plot.main(["plot.py", workdir, of_env, "--kind=actions", f"--out={traces}"]) == 0
    assert all(path.stat().st_size > 1000 for path in (picture, curve, traces))
    pytest.importorskip("safetensors", reason="pip install 'pods_jax[export]' to test it")
    out = tmp_path / "policy.safetensors"
    assert export.main(["export.py", workdir, of_env, f"--out={out}"]) == 0
    assert load_policy(out).description["action"]["unit"] == "N"
    assert list((tmp_path / "crane" / "events").iterdir())


def test_the_crane_takes_at_most_forty_lines_and_is_shown_as_it_is():
    code = (ROOT / "examples" / "own_crane.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 40
    assert code in (ROOT / "docs" / "own_environments.md").read_text(encoding="utf-8")


def test_nothing_is_imported_because_a_file_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sly.py").write_text("open('executed', 'w').close()\ndef make(): pass\n")
    for name in ("sly:make", "os:abort"):
        write_json(tmp_path / "run" / "config.json", config_for() | {"env": {"name": name}})
        (tmp_path / "run" / "checkpoints").mkdir(exist_ok=True)
        for script in (evaluate, render, export):
            assert script.main(["script.py", f"--workdir={tmp_path / 'run'}"]) == command_line.BAD_INPUT
            assert f"--env={name}" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


class TestValue:
    @pytest.fixture
    def pendulum(self):
        return envs.make("pendulum_2d", horizon=3, mass=2.0)

    @pytest.fixture
    def folder(self, pendulum, install_toy, tmp_path):
        install_toy()
        experiment.run(config_for(), tmp_path / "run", env=pendulum, evaluator=toy.EVALUATOR)
        return tmp_path / "run"

    @pytest.mark.slow
    def test_it_is_described_and_trained_further(self, pendulum, folder):
        fields = json.loads((folder / "config.json").read_text())
        assert fields["env"] == json.loads(json.dumps(describe(pendulum)))
        assert fields["env"]["value"]["horizon"] == 3
        config = config_for() | {"num_epochs": 2}
        experiment.run(config, folder, env=pendulum, evaluator=toy.EVALUATOR)
        other = envs.make("pendulum_2d", horizon=4, mass=2.0)
        with pytest.raises(InputError, match=r"holds a run with other settings.*\n.*horizon: 3, now 4"):
            experiment.run(config, folder, env=other, evaluator=toy.EVALUATOR)

    def test_whoever_reads_the_folder_gives_it_again(self, pendulum, folder):
        assert experiment.evaluate(folder, env=pendulum, evaluator=toy.EVALUATOR) == toy.NUMBERS
        with pytest.raises(InputError, match=r"name a function that makes it, such as --env=my_package:make_it"):
            experiment.evaluate(folder, evaluator=toy.EVALUATOR)
        with pytest.raises(InputError, match=r"holds a run in another environment\n  env.value.horizon: 3, now 50"):
            experiment.evaluate(folder, env=envs.make("pendulum_2d"), evaluator=toy.EVALUATOR)
        with pytest.raises(InputError, match="env is of type int: must be of type Environment"):
            experiment.evaluate(folder, env=3, evaluator=toy.EVALUATOR)

    def test_a_function_may_make_it(self, pendulum, folder, tmp_path, monkeypatch, unloaded):
        monkeypatch.syspath_prepend(tmp_path)
        code = "from pods_jax import envs\ndef make(): return envs.make('pendulum_2d', horizon=3, mass=2.0)\n"
        (tmp_path / "remade_pendulum.py").write_text(code)
        loaded = read_configuration(Workdir(folder), "remade_pendulum:make")
        assert loaded.algorithm.env.horizon == 3
        assert loaded.own_environment

    def test_it_must_be_an_environment(self, tmp_path):
        with pytest.raises(InputError, match="must be of type Environment"):
            experiment.run(config_for(), tmp_path / "other", env="pendulum_2d")

    @pytest.mark.slow
    def test_its_optima_are_not_taken_for_those_of_another(self, pendulum, monkeypatch, install_toy, tmp_path):
        install_toy()
        monkeypatch.setattr(optimum_cache, "path_of", lambda *known: pytest.fail("they would be kept"))
        config = config_for() | {"search_optimum": True, "num_test_rollouts": 1}
        experiment.run(config, tmp_path / "kept", env=pendulum)


@pytest.mark.slow
def test_a_run_in_ours_needs_no_env(install_toy, tmp_path):
    install_toy()
    experiment.run(config_for(horizon=3), tmp_path / "run", evaluator=toy.EVALUATOR)
    with pytest.raises(InputError, match=r"holds a run in 'pendulum_2d', an environment of ours; leave it out"):
        experiment.evaluate(tmp_path / "run", env="own:make", evaluator=toy.EVALUATOR)
    with pytest.raises(InputError, match=r"env is a value: .* give this name"):
        experiment.evaluate(tmp_path / "run", env=envs.make("pendulum_2d"), evaluator=toy.EVALUATOR)
