"""Two processes train together; the first writes. The toy shows how they agree, PODS what they compute."""

import contextlib
import json
import signal
import socket
import sys

import numpy as np
import pytest

from pods_jax import InputError
from pods_jax.devices import processes
from pods_jax.runs import metrics_log
from tests import tiny
from tests.faults.processes import (
    NUM_EPOCHS,
    assert_as_if_undisturbed,
    command,
    environment,
    finish,
    history,
    start,
    wait_for,
)


def joined(arguments):
    """The command lines of two processes that do together what one with these arguments would do."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    address = [f"--coordinator_address=127.0.0.1:{port}", "--num_processes=2"]
    return [[*arguments, *address, f"--process_id={index}"] for index in range(2)]


def finish_both(arguments, statuses=(0, 0), after=None):
    """Runs two processes to their ends and returns what each of them wrote to standard output and error.

    after: called with both once the first has measured twice.
    """
    written = []
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(start(each)) for each in joined(arguments)]
        if after:
            wait_for(both[0], "measuring", count=2)
            after(both)
        for process, status in zip(both, statuses, strict=True):
            out, error = process.communicate(timeout=200)
            assert process.returncode == status, (process.returncode, error)
            assert "Traceback" not in error
            written.append((out, error))
    return written


@pytest.mark.slow
def test_two_processes_train_and_go_on_as_one_would(tmp_path, undisturbed):
    folder = tmp_path / "two"
    finish_both(command(folder, num_epochs=5))
    (first, _), (second, _) = finish_both(command(folder, num_epochs=12))
    assert "continuing after epoch 5" in first
    assert "process 1 of 2" in second
    assert "epoch" not in second
    assert_as_if_undisturbed(folder, undisturbed(NUM_EPOCHS))
    assert json.loads((folder / "evaluation.json").read_text())["epoch"] == 12
    # What is trained already is evaluated only, and the second process is not left waiting for epochs.
    (first, _), _ = finish_both(command(folder, num_epochs=12))
    assert "already trained to epoch 12" in first


@pytest.mark.exhaustive
@pytest.mark.parametrize("receiver", [0, 1])
def test_a_signal_to_either_of_two_processes_stops_both_after_a_save(tmp_path, receiver, undisturbed):
    folder = tmp_path / "two"
    arguments = command(folder, seconds=0.3)
    finish_both(arguments, (143, 143), lambda both: both[receiver].send_signal(signal.SIGTERM))
    assert 1 <= metrics_log.read(folder / "metrics.jsonl")[-1]["epoch"] < 12
    finish(command(folder))  # alone, it goes on as if there had never been two
    assert_as_if_undisturbed(folder, undisturbed(NUM_EPOCHS))


@pytest.mark.slow
def test_what_one_process_refuses_both_refuse(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "letter.txt").write_text("not a run")
    (_, first), (_, second) = finish_both(command(folder), (2, 2))
    assert "it holds letter.txt" in first
    assert "another process of this training failed" in second
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("address", "count", "index", "message"),
    [
        ("", 2, 0, "coordinator_address = '': must be HOST:PORT"),
        ("here", 2, 0, "must be HOST:PORT"),
        ("127.0.0.1:80 ", 2, 1, "must be HOST:PORT"),
        ("127.0.0.1:80", 0, 0, "num_processes = 0"),
        ("127.0.0.1:80", 2, 2, "process_id = 2"),
        ("127.0.0.1:80", 2, -1, "process_id = -1"),
        ("127.0.0.1:80", 1, 0, "num_processes = 1"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(address, count, index, message):
    with pytest.raises(InputError, match=message):
        processes.connect(address, count, index)


def test_a_process_alone_agrees_with_itself():
    processes.connect("", 1, 0)
    assert processes.is_first()
    assert processes.agree(processes.Verdict.GO_BACK, signal.SIGTERM) == (processes.Verdict.GO_BACK, signal.SIGTERM)
    tree = {"count": 3}
    assert processes.from_first(tree) is tree
    with pytest.raises(ZeroDivisionError), processes.together():
        print(1 / 0)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_two_processes_train_as_two_devices_of_one(tmp_path):
    config, fields = tmp_path / "config.py", tiny.config("pods", num_epochs=4, evaluate_every=2)
    config.write_text(f"import ml_collections\ndef get_config():\n    return ml_collections.ConfigDict({fields!r})\n")

    def arguments(folder):
        return [sys.executable, "scripts/train.py", f"--config={config}", f"--workdir={folder}"]

    finish_both(arguments(tmp_path / "two"))
    finish([*arguments(tmp_path / "one"), "--num_devices=2"], timeout=300, env=environment(num_devices=2))
    for together, alone in zip(history(tmp_path / "two"), history(tmp_path / "one"), strict=True):
        assert together.keys() == alone.keys()
        for name in (name for name in alone if name.startswith(("train/", "test/"))):
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-8, atol=1e-10, err_msg=name)
