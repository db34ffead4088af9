"""What goes wrong inside the computation is contained, taken back a few times, and then ends the run loudly."""

import json
import math
import socket
import sys

import jax
import jax.numpy as jnp
import pytest

from pods_jax import algorithms
from pods_jax.algorithms import Algorithm
from pods_jax.runs import experiment, metrics_log
from pods_jax.storage import checkpoints
from scripts import train
from tests import tiny
from tests.faults import processes, toy

COMMAND = ["train.py", "--config=configs/pods.py", "--config.num_epochs=6", "--config.evaluate_every=2"]


def train_toy(folder, *arguments):
    """The exit status of scripts/train.py with the toy, which must be installed."""
    return train.main([*COMMAND, f"--workdir={folder}", *arguments], toy.EVALUATOR)


def refuse_connection(*arguments):
    raise AssertionError("a training opened a connection")


def make_fragile(largest_rate):
    """The toy, but its third epoch goes wrong in every way unless the learning rate is small."""

    def make(env, config):
        plain = toy.make_toy(env, config)

        def init(key):
            return plain.init(key) | {"count": jnp.int32(0)}

        def update(state):
            after, numbers = plain.update({"key": state["key"], "value": state["value"]})
            bad = (state["count"] == 2) & (toy.learning_rate(config) > largest_rate)
            after |= {"value": jnp.where(bad, jnp.nan, after["value"]), "count": state["count"] + 1}
            numbers["loss"] = jnp.where(bad, jnp.inf, numbers["loss"])
            numbers["unhealthy_rollouts"] = jnp.where(bad, config.batch_size, 0)
            return after, numbers

        return Algorithm("fragile", env, config, init, update, plain.policy)

    return make


@pytest.mark.slow
def test_a_failed_fit_is_taken_back_with_a_lower_learning_rate(tmp_path, monkeypatch, install_toy, capsys):
    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    install_toy(make_fragile(1e-3))
    assert train_toy(tmp_path / "run") == 0
    text = capsys.readouterr().out
    problems = "['value'] of the train state is not finite, loss is not finite, all 400 rollouts of an epoch have an"
    assert text.count(f"epochs 3 to 4: {problems}") == 2  # 1e-2, 2.5e-3, 6.25e-4
    assert text.count(": back to epoch 2 with a lower learning rate") == 2
    rows = metrics_log.read(tmp_path / "run" / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == list(range(7))
    assert not any("nonfinite" in row for row in rows)
    # The lower learning rate is part of the state: going on in two parts ends at the same bits.
    assert train_toy(tmp_path / "parts", "--config.num_epochs=4") == 0
    assert train_toy(tmp_path / "parts") == 0
    assert processes.final_state(tmp_path / "run") == processes.final_state(tmp_path / "parts")
    record = json.loads((tmp_path / "parts/checkpoints/6/record/metadata").read_text())["record"]
    assert record["notes"]["rollbacks"] == 2


@pytest.mark.slow
def test_a_run_that_cannot_be_repaired_says_so_and_can_be_run_again(tmp_path, install_toy, capsys):
    install_toy(make_fragile(0.0))
    for _ in range(2):  # the second time it fails in the same way
        assert train_toy(tmp_path / "run") == 4
        error = capsys.readouterr().err
        assert "training failed 4 times after epoch 2, whose state is saved" in error
        assert "epochs 3 to 4: ['value'] of the train state is not finite, loss is not finite, all" in error
        assert "to see it again: python train.py --config=configs/pods.py" in error.replace(".venv/bin/", "")
        assert "Traceback" not in error
    folder = tmp_path / "run"
    assert checkpoints.latest_epoch(folder / "checkpoints") == 2
    assert processes.read_json(folder / "failure.json")["epoch"] == 2
    assert processes.read_json(folder / "failure.json")["config"] == processes.read_json(folder / "config.json")
    assert metrics_log.read(folder / "metrics.jsonl")[-1]["epoch"] == 4


@pytest.mark.slow
def test_a_failure_in_the_first_epochs_leaves_the_state_before_them(tmp_path, install_toy, capsys):
    install_toy()
    unknown = toy.evaluator(lambda *_: toy.NUMBERS | {"return_mean": math.nan})
    assert train.main([*COMMAND, f"--workdir={tmp_path / 'run'}"], unknown) == 4
    assert "epochs 1 to 2: the return on the held-out states is nan" in capsys.readouterr().err
    assert checkpoints.latest_epoch(tmp_path / "run" / "checkpoints") == 0
    last_row = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last_row)["nonfinite"] == ["test/return_mean"]
    assert train_toy(tmp_path / "run") == 0
    assert checkpoints.epochs(tmp_path / "run" / "checkpoints") == [2, 4, 6]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", algorithms.names())
def test_twelve_epochs_are_five_and_seven(name, tmp_path):
    """Bit for bit, on all the devices that this process sees."""
    whole, first = tiny.config(name), tiny.config(name, num_epochs=5)
    for config, folder in ((whole, "whole"), (first, "parts"), (whole, "parts")):
        experiment.run(config, tmp_path / folder, num_devices=0)

    def final(folder):
        like = experiment.fresh_state(experiment.check(whole))
        return processes.fingerprint(checkpoints.restore(tmp_path / folder / "checkpoints", like).state)

    assert final("parts") == final("whole")
    assert processes.history(tmp_path / "parts") == processes.history(tmp_path / "whole")


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_on_four_devices_too():
    """What the test above says, in a process that sees four devices."""
    arguments = ["-m", "pytest", "-q", "-m", "exhaustive", "-k", "twelve_epochs", __file__]
    out, _ = processes.finish([sys.executable, *arguments], env=processes.environment(4), timeout=1500)
    assert f"{len(algorithms.names())} passed" in out


@pytest.mark.exhaustive
def test_when_every_rollout_of_an_epoch_fails_the_run_stops(tmp_path, capsys):
    config = tiny.config("pods", env={"name": "pendulum_2d", "task": "stop", "horizon": 3, "initial_speed": 1e300})
    with pytest.raises(FloatingPointError, match="training failed 4 times after epoch 0"):
        experiment.run(config, tmp_path / "run")
    assert checkpoints.latest_epoch(tmp_path / "run" / "checkpoints") == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", algorithms.names())
def test_no_key_is_used_twice(name):
    algorithm = experiment.check(tiny.config(name)).algorithm
    with jax.debug_key_reuse(True):
        state = jax.jit(algorithm.init)(jax.random.key(0))
        jax.jit(algorithm.update)(state)
