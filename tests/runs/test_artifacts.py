"""What leaves a run, by the command line: a page, two runs in one page, a policy file; refusals and exit statuses."""

import json
import pathlib

import pytest

from configs import pods
from pods_jax import export
from pods_jax.commands import command_line
from pods_jax.runs import artifacts, experiment
from pods_jax.runs.workdir import Workdir
from pods_jax.storage.files import write_json
from scripts import export as export_script
from scripts import plot as plot_script
from scripts import render as render_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = pods.get_config()
    config.env.horizon = 5
    config.algorithm.update({"batch_size": 4, "hidden_sizes": (8,)})
    config.algorithm.update({"guard": {"size": 0}, "regression": {"gradient_steps": 2}})
    config.update({"num_epochs": 1, "evaluate_every": 1, "num_test_rollouts": 3, "search_optimum": False})
    folder = tmp_path_factory.mktemp("run")
    experiment.run(config.to_dict(), folder)
    return folder


def test_a_page_and_a_policy_file_leave_a_run(run, tmp_path, capsys):
    page = tmp_path / "a.html"
    assert render_script.main(["render.py", f"--workdir={run}", f"--out={page}", "--num_rollouts=2"]) == 0
    assert '"label"' in page.read_text()
    pytest.importorskip("safetensors", reason="pip install 'pods_jax[export]' to test it")
    out = tmp_path / "policy.safetensors"
    assert export_script.main(["export.py", f"--workdir={run}", f"--out={out}"]) == 0
    assert "reloaded, it differs by at most" in capsys.readouterr().out
    description = export.load_policy(out).description
    assert description["notes"]["epoch"] == 1
    assert description["notes"]["config"]["env"]["horizon"] == 5


@pytest.mark.parametrize("kind", artifacts.KINDS)
def test_figures_leave_a_run(run, tmp_path, kind):
    out = tmp_path / f"{kind}.png"
    flags = [f"--workdir={run}", f"--kind={kind}", "--num_rollouts=2", f"--out={out}"]
    assert plot_script.main(["plot.py", *flags, *([f"--workdir={run}"] if kind == "learning" else [])]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("main", "arguments", "message", "status"),
    [
        (plot_script.main, ("--workdir={run}", "--kind=curve"), "kind = 'curve'", command_line.BAD_INPUT),
        (plot_script.main, ("--kind=actions",), "workdir: got 0 folders", command_line.BAD_INPUT),
        (
            plot_script.main,
            ("--workdir={run}", "--workdir={run}", "--kind=phase"),
            "got 2 folders",
            command_line.BAD_INPUT,
        ),
        (
            render_script.main,
            ("--workdir={run}", "--out=a.html", "--rollout=3"),
            "rollout = 3",
            command_line.BAD_INPUT,
        ),
        (
            render_script.main,
            ("--workdir={run}", "--out=a.html", "--compare={run}"),
            "another folder",
            command_line.BAD_INPUT,
        ),
        (export_script.main, ("--workdir={run}", "--format=onx"), "did you mean 'onnx'", command_line.BAD_INPUT),
        (export_script.main, ("--workdir={none}",), "none", command_line.BAD_CHECKPOINT),
    ],
)
def test_what_is_wrong_is_said(run, tmp_path, capsys, monkeypatch, main, arguments, message, status):
    monkeypatch.chdir(tmp_path)
    arguments = [argument.format(run=run, none=tmp_path / "none") for argument in arguments]
    assert main(["script.py", *arguments]) == status
    assert message in capsys.readouterr().err
    assert not list(pathlib.Path().iterdir())


def test_runs_are_told_apart_by_what_differs(run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    folders = {}
    for name, seed, changes in (
        ("a", 0, {}),
        ("b", 1, {}),
        ("c", 0, {"batch_size": 5, "regression": {"states": "improved"}}),
        ("d", 0, {"name": "bptt"}),
    ):
        algorithm = {"name": "bptt"} if "name" in changes else config["algorithm"] | changes
        folder = Workdir(tmp_path / name)
        write_json(folder.config, config | {"seed": seed, "algorithm": algorithm})
        folders[name] = folder
    labels = artifacts.by_setting(list(folders.values()))
    pods, *others = labels
    assert "algorithm.batch_size = 4" in pods
    assert "algorithm.name = pods" in pods
    assert "hidden_sizes" not in pods
    assert [len(runs) for runs in labels.values()] == [2, 1, 1]
    assert others[1] == "algorithm.name = bptt"
    assert list(artifacts.by_setting([folders["a"], folders["b"]])) == ["2 runs"]
    assert list(artifacts.by_setting([folders["a"]])) == [str(folders["a"].path)]
