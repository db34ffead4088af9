"""Runs in a folder: what they leave, how they go on, what they refuse.

Most tests train a toy: what matters here is what happens between the epochs. The last ones train a tiny PODS.
"""

import dataclasses
import io
import json
import math
import signal
import subprocess
import sys
import threading
from functools import partial

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from PIL import Image
from rich.console import Console

from configs import pods as pods_config
from pods_jax.checks import InputError
from pods_jax.runs import experiment, metrics_log
from pods_jax.runs.configuration import check
from pods_jax.storage import checkpoints
from scripts import evaluate as evaluate_script
from scripts import render as render_script
from tests.faults import toy as toys
from tests.faults.toy import NUMBERS


def make_config(**changes):
    counts = {"num_epochs": 6, "evaluate_every": 2, "num_test_rollouts": 4, "search_optimum": True}
    return pods_config.get_config().to_dict() | counts | changes


run = partial(experiment.run, evaluator=toys.EVALUATOR)
"""A run of the toy, which must be installed."""


@pytest.fixture
def toy(install_toy):
    install_toy()


def final_state(folder, config):
    like = check(config).algorithm.init(jax.random.key(0))
    return checkpoints.restore(folder / "checkpoints", like).state


def assert_same_run(first, second, config):
    """The two folders hold the same states, to the last bit, and the same metrics but for times."""
    one, other = final_state(first, config), final_state(second, config)
    assert one["value"].tobytes() == other["value"].tobytes()
    assert jax.random.key_data(one["key"]).tobytes() == jax.random.key_data(other["key"]).tobytes()
    histories = [
        [{name: row[name] for name in row if not name.startswith("time/")} for row in metrics_log.read(path)]
        for path in (first / "metrics.jsonl", second / "metrics.jsonl")
    ]
    assert histories[0] == histories[1]


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("toy")
class TestToy:
    def test_a_run_leaves_everything_on_disk(self, tmp_path, capsys):
        config = make_config(seed=3)
        assert run(config, tmp_path / "run") == NUMBERS
        folder = tmp_path / "run"
        assert json.loads((folder / "config.json").read_text()) == json.loads(json.dumps(config))
        assert json.loads((folder / "evaluation.json").read_text()) == {"epoch": 6, **NUMBERS}
        assert (folder / "figures" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
        assert checkpoints.latest_epoch(folder / "checkpoints") == 6
        assert list((folder / "events").iterdir())
        rows = metrics_log.read(folder / "metrics.jsonl")
        assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4, 5, 6]
        assert [row["epoch"] for row in rows if "test/return_mean" in row] == [0, 2, 4, 6]
        assert rows[6]["train/steps"] == np.asarray(final_state(folder, config)["value"]).tolist()
        text = capsys.readouterr().out
        assert "epoch 4/6   return -2.0000   gap >= 25.00 %" in text
        assert "learning_curve.png" in text

    def test_the_first_epochs_do_not_wait_for_what_measures_them(self, tmp_path):
        told = threading.Event()

        class Output(io.StringIO):
            def write(self, text):
                if "epoch 2: return" in text and metrics_log.read(tmp_path / "metrics.jsonl")[0]["epoch"] == 1:
                    told.set()
                return super().write(text)

        console = Console(file=Output(), soft_wrap=True)
        slow = dataclasses.replace(toys.EVALUATOR, prepare=lambda configuration, console: told.wait(timeout=60))
        experiment.run(make_config(), tmp_path, console, evaluator=slow)
        assert told.is_set()
        assert "epoch 4: return" not in console.file.getvalue()
        assert [row["epoch"] for row in metrics_log.read(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3, 4, 5, 6]

    def test_what_measures_them_may_fail(self, tmp_path):
        def fail(configuration, console):
            raise InputError("this environment cannot be measured")

        with pytest.raises(InputError, match="cannot be measured"):
            experiment.run(make_config(), tmp_path, evaluator=dataclasses.replace(toys.EVALUATOR, prepare=fail))

    @pytest.mark.slow
    def test_a_second_run_only_evaluates(self, tmp_path, capsys):
        run(make_config(), tmp_path)
        before = contents(tmp_path / "checkpoints"), (tmp_path / "metrics.jsonl").read_bytes()
        capsys.readouterr()
        assert run(make_config(), tmp_path) == NUMBERS
        assert "already trained to epoch 6" in capsys.readouterr().out
        assert run(make_config(num_epochs=4), tmp_path) == NUMBERS
        assert (contents(tmp_path / "checkpoints"), (tmp_path / "metrics.jsonl").read_bytes()) == before

    @pytest.mark.slow
    def test_a_larger_number_of_epochs_continues_exactly(self, tmp_path, capsys):
        run(make_config(), tmp_path / "whole")
        run(make_config(num_epochs=2), tmp_path / "parts")
        run(make_config(num_epochs=6), tmp_path / "parts")
        assert_same_run(tmp_path / "whole", tmp_path / "parts", make_config())
        assert "continuing after epoch 2" in capsys.readouterr().out

    @pytest.mark.slow
    def test_an_interrupted_run_loses_nothing(self, tmp_path):
        run(make_config(), tmp_path / "whole")
        calls = iter(range(10))

        def interrupted_monitor(env, policy, prepared):
            if next(calls) == 2:  # epoch 0, epoch 2, and now epoch 4: it is not saved yet
                raise KeyboardInterrupt
            return dict(NUMBERS)

        with pytest.raises(KeyboardInterrupt):
            experiment.run(make_config(), tmp_path / "parts", evaluator=toys.evaluator(interrupted_monitor))
        assert checkpoints.latest_epoch(tmp_path / "parts" / "checkpoints") == 2
        run(make_config(), tmp_path / "parts")
        assert_same_run(tmp_path / "whole", tmp_path / "parts", make_config())

    @pytest.mark.slow
    def test_a_run_killed_between_metrics_and_checkpoint_repeats_those_epochs(self, tmp_path, monkeypatch):
        run(make_config(), tmp_path / "whole")
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "save", lambda *arguments: sys.exit("killed"))  # noticed by the next save
            with pytest.raises(SystemExit):
                run(make_config(), tmp_path / "parts")
        assert [row["epoch"] for row in metrics_log.read(tmp_path / "parts" / "metrics.jsonl")] == [0, 1, 2, 3, 4]
        run(make_config(), tmp_path / "parts")
        assert_same_run(tmp_path / "whole", tmp_path / "parts", make_config())

    @pytest.mark.slow
    def test_the_precision_of_the_caller_counts(self, tmp_path):
        """The training program is compiled in another thread, where a `with` statement of this one is not known."""
        with jax.enable_x64(not jax.config.jax_enable_x64):
            run(make_config(), tmp_path)
        assert checkpoints.latest_epoch(tmp_path / "checkpoints") == make_config()["num_epochs"]

    def test_a_changed_setting_is_refused_with_what_differs(self, tmp_path):
        run(make_config(), tmp_path)
        before = contents(tmp_path)
        env = make_config()["env"] | {"task": "stop_at_origin"}
        algorithm = make_config()["algorithm"] | {"hidden_sizes": (8, 8)}
        with pytest.raises(InputError) as caught:
            run(make_config(seed=1, env=env, algorithm=algorithm, num_epochs=9), tmp_path)
        _, *lines = str(caught.value).split("\n  ")
        assert lines == [
            f"config.algorithm.hidden_sizes: {list(make_config()['algorithm']['hidden_sizes'])}, now [8, 8]",
            "config.env.task: 'stop', now 'stop_at_origin'",
            "config.seed: 0, now 1",
        ]
        assert contents(tmp_path) == before

    @pytest.mark.slow
    def test_what_does_not_change_the_training_may_change(self, tmp_path):
        run(make_config(), tmp_path)
        run(make_config(evaluate_every=3, num_test_rollouts=5, num_epochs=9), tmp_path)
        assert checkpoints.latest_epoch(tmp_path / "checkpoints") == 9

    @pytest.mark.slow
    def test_the_evaluation_script_needs_only_the_folder(self, tmp_path, capsys):
        run(make_config(), tmp_path)
        (tmp_path / "metrics.jsonl").unlink()
        before = contents(tmp_path)
        capsys.readouterr()
        assert evaluate_script.main(["scripts/evaluate.py", f"--workdir={tmp_path}"], toys.EVALUATOR) == 0
        last_line = capsys.readouterr().out.splitlines()[-1]
        assert json.loads(last_line) == {"epoch": 6, **NUMBERS}
        assert contents(tmp_path) == before

    @pytest.mark.slow
    def test_the_evaluation_script_reports_a_missing_or_damaged_checkpoint(self, tmp_path, capsys):
        run(make_config(), tmp_path)
        for epoch in ("2", "4", "6"):
            (tmp_path / "checkpoints" / epoch / "state" / "manifest.ocdbt").write_bytes(b"")
        assert evaluate_script.main(["scripts/evaluate.py", f"--workdir={tmp_path}"], toys.EVALUATOR) == 3
        error = capsys.readouterr().err
        assert "no checkpoint can be used, and nothing was changed" in error
        assert [error.count(f"checkpoints/{epoch}: ") for epoch in (2, 4, 6)] == [1, 1, 1]


TINY = {
    "env": {"name": "pendulum_2d", "task": "stop", "horizon": 4},
    "algorithm": {
        "name": "pods",
        "batch_size": 8,
        "hidden_sizes": (8,),
        "regression": {"gradient_steps": 4, "minibatch_size": 16},
        "guard": {"size": 4},
    },
    "seed": 0,
    "num_epochs": 3,
    "evaluate_every": 2,
    "num_test_rollouts": 4,
    "search_optimum": True,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder, and what its run returned."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, experiment.run(TINY, folder)


@pytest.mark.slow
def test_pods_trains_and_is_evaluated_from_its_folder(trained, capsys):
    folder, numbers = trained
    rows = metrics_log.read(folder / "metrics.jsonl")
    assert [row["epoch"] for row in rows if "test/return_mean" in row] == [0, 2, 3]
    assert all(math.isfinite(row["test/return_mean"]) for row in rows if "test/return_mean" in row)
    assert experiment.evaluate(folder) == numbers
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"epoch": 3, **numbers}


@pytest.mark.slow
def test_a_trained_policy_can_be_watched(trained, tmp_path, capsys):
    folder, out = trained[0], tmp_path / "new" / "swing.gif"
    assert render_script.main(["render.py", f"--workdir={folder}", f"--out={out}", "--rollout=2"]) == 0
    assert "return" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert picture.n_frames == TINY["env"]["horizon"]
    for arguments, message in ((["--rollout=4"], "rollout = 4"), (["--out=swing.mp4"], "ends in .gif")):
        assert render_script.main(["render.py", f"--workdir={folder}", f"--out={out}", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.exhaustive
def test_a_run_without_guard_and_search_is_saved_and_continued(tmp_path, capsys):
    config = TINY | {"algorithm": TINY["algorithm"] | {"guard": {"size": 0}}, "search_optimum": False}
    experiment.run(config | {"num_epochs": 2}, tmp_path / "parts")
    parts = experiment.run(config | {"num_epochs": 4}, tmp_path / "parts")
    assert parts["return_mean"] == experiment.run(config | {"num_epochs": 4}, tmp_path / "whole")["return_mean"]
    assert math.isfinite(parts["return_mean"])
    assert math.isnan(parts["optimality_gap"])
    assert "gap >=" not in capsys.readouterr().out
    assert json.loads((tmp_path / "parts" / "evaluation.json").read_text())["optimality_gap"] is None
    assert (tmp_path / "parts" / "figures" / "learning_curve.png").exists()


@pytest.mark.exhaustive
def test_ctrl_c_stops_a_training_that_then_goes_on(tmp_path, request):
    command = [
        *(sys.executable, "scripts/train.py", "--config=configs/pods.py", f"--workdir={tmp_path / 'run'}"),
        *("--config.env.horizon=4", "--config.num_test_rollouts=4", "--config.evaluate_every=1"),
        *(f"--config.algorithm.{name}={value}" for name, value in flatten_dict(TINY["algorithm"], sep=".").items()),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options = {"cwd": request.config.rootpath, "text": True, **pipes}
    with subprocess.Popen([*command, "--config.num_epochs=100000"], **options) as process:
        for line in process.stdout:
            if " epoch " in line:
                process.send_signal(signal.SIGINT)
                break
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "SIGINT: saved epoch" in error
    assert "to continue: " in error
    epoch = checkpoints.latest_epoch(tmp_path / "run" / "checkpoints")
    done = subprocess.run([*command, f"--config.num_epochs={epoch + 2}"], **options, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"continuing after epoch {epoch}" in done.stdout
