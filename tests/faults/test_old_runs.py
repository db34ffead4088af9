"""Runs of the version before, whose train states were others: refused by name, by everything that reads a run."""

import json

import jax.numpy as jnp
import pytest

from pods_jax.commands import evaluate, export, plot, render, train
from pods_jax.commands.command_line import BAD_CHECKPOINT
from pods_jax.runs.configuration import default_config
from pods_jax.storage import checkpoints, checksums

FORMER = {"name": "pods", "gradient_steps": 50, "polish_after": 60, "a_setting_that_is_gone": 1.0}


@pytest.fixture
def old_run(tmp_path):
    """A folder as format 3 left it: flat settings, some of which there are no more."""
    folder = tmp_path / "run"
    checkpoints.save(folder / "checkpoints", 40, {"params": jnp.zeros(3)})
    path = folder / "checkpoints" / "40" / "record" / "metadata"
    record = checksums.unseal(json.loads(path.read_text()))
    path.write_text(json.dumps(checksums.seal(record | {"format_version": 3})))
    (folder / "config.json").write_text(json.dumps(default_config() | {"algorithm": FORMER}))
    (folder / "metrics.jsonl").write_text('{"epoch": 40, "test/return_mean": -1.0}\n')
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (train.main, ("--config=configs/pods.py",)),
        (train.main, ("--config=configs/pods.py", "--config.num_epochs=0")),  # whatever is wrong beside it
        (train.main, ("--config=configs/pods.py", "--dry_run")),
        (train.main, ("--config=configs/pods.py", "--resume=must")),
        (evaluate.main, ()),
        (evaluate.main, ("--checkpoint=40",)),
        (render.main, ("--out={out}.gif",)),
        (render.main, ("--out={out}.html",)),
        (export.main, ("--format=stablehlo", "--out={out}.stablehlo")),
        (plot.main, ("--kind=learning", "--out={out}.png")),
        (plot.main, ("--kind=actions", "--out={out}.png")),
    ],
)
def test_it_is_refused_with_its_format_and_the_cure(main, arguments, old_run, tmp_path, capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    before = contents(tmp_path)
    arguments = [argument.format(out=tmp_path / "out") for argument in arguments]
    assert main(["script.py", f"--workdir={old_run}", *arguments]) == BAD_CHECKPOINT
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: the checkpoint {old_run / 'checkpoints' / '40'} cannot be used: it has format 3, and this version "
        "of pods_jax reads 4; install the version that wrote it, or train again in a new workdir"
    )
    assert contents(tmp_path) == before
