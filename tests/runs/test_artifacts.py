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


@pytest.mark.parametrize("kind", [kind for kind in artifacts.KINDS if kind != "robustness"])
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
            ("--workdir={run}", "--kind=robustness"),
            "neither noise nor random parameters",
            command_line.BAD_INPUT,
        ),
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
    # A longer run is no other seed, and neither is another run of the same seed.
    longer, again = Workdir(tmp_path / "longer"), Workdir(tmp_path / "again")
    write_json(longer.config, config | {"seed": 0, "num_epochs": 9})
    write_json(again.config, config | {"seed": 0})
    assert list(artifacts.by_setting([folders["a"], longer])) == ["num_epochs = 1", "num_epochs = 9"]
    apart = artifacts.by_setting([folders["a"], folders["b"], again])
    assert [len(runs) for runs in apart.values()] == [1, 1, 1]
    assert [label.split(", ")[1] for label in apart] == [str(one.path) for one in (folders["a"], folders["b"], again)]


def test_a_line_of_several_seeds_says_where_the_shortest_ends(run, tmp_path, capsys):
    config = json.loads((run / "config.json").read_text())
    for seed, last in enumerate((4, 2)):
        folder = Workdir(tmp_path / str(seed))
        write_json(folder.config, config | {"seed": seed, "num_epochs": 4})
        numbers = {f"test/{name}": -1.0 for name in ("return_mean", "return_std", "optimality_gap")}
        rows = [json.dumps({"epoch": epoch, **numbers}) for epoch in range(last + 1)]
        folder.metrics.write_text("\n".join(rows) + "\n")
    flags = [f"--workdir={tmp_path / '0'}", f"--workdir={tmp_path / '1'}", f"--out={tmp_path / 'a.png'}"]
    assert plot_script.main(["plot.py", *flags]) == 0
    assert "warning: 2 runs: one ends after epoch 2, the longer ones go on as" in capsys.readouterr().out
