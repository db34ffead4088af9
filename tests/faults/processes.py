"""Starting the child process of the fault tests, and comparing what runs leave behind."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np

from configs import pods as pods_config
from pods_jax.runs import metrics_log
from pods_jax.runs.configuration import check
from pods_jax.storage import checkpoints

ROOT = pathlib.Path(__file__).parents[2]
CHILD = pathlib.Path(__file__).parent / "child.py"
NUM_EPOCHS = 12


def command(workdir, *arguments, seconds=0.02, num_epochs=NUM_EPOCHS):
    counts = (f"--config.num_epochs={num_epochs}", "--config.evaluate_every=1", "--config.num_test_rollouts=4")
    options = ("--config=configs/pods.py", f"--workdir={workdir}", *counts, *arguments)
    return [sys.executable, str(CHILD), str(seconds), *options]


def environment(num_devices=1):
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1", "MPLBACKEND": "agg"}


def start(arguments, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "bufsize": 1}
    return subprocess.Popen(arguments, cwd=ROOT, **({"env": environment()} | pipes | options))


def finish(arguments, status=0, timeout=120, **options):
    """Runs to the end and returns what was written, standard output first."""
    with start(arguments, **options) as process:
        out, error = process.communicate(timeout=timeout)
    assert process.returncode == status, (process.returncode, error)
    assert "Traceback" not in error
    return out, error


def wait_for(process, text, count=1):
    """Reads what a process prints up to the line that holds `text` for the `count`-th time."""
    for line in process.stdout:
        count -= text in line
        if count == 0:
            return
    raise AssertionError(f"no {text!r}: {process.stderr.read()}")


def final_state(workdir):
    """Every bit of the last state, and the epoch; the toy must be in its place."""
    configuration = check(pods_config.get_config().to_dict())
    restored = checkpoints.restore(workdir / "checkpoints", configuration.algorithm.init(jax.random.key(0)))
    return restored.epoch, fingerprint(restored.state)


def fingerprint(tree):
    def raw(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return str(leaf.dtype), np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()

    return [raw(leaf) for leaf in jax.tree.leaves(tree)]


def history(workdir):
    """The metrics without the times."""
    rows = metrics_log.read(workdir / "metrics.jsonl")
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def assert_as_if_undisturbed(folder, whole):
    assert final_state(folder) == final_state(whole)
    assert history(folder) == history(whole)
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in whole.iterdir()}, "temporary files pile up"
    assert checkpoints.epochs(folder / "checkpoints") == checkpoints.epochs(whole / "checkpoints")
    assert all(path.name.isdecimal() for path in (folder / "checkpoints").iterdir())
