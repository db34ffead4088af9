"""Runs whose algorithm has a second phase: it is entered on time, resumed, and foreseen by the dry run."""

import dataclasses
import re
from functools import partial

import jax.numpy as jnp
import pytest

from configs import pods as pods_config
from pods_jax.algorithms.algorithm import Phase
from pods_jax.runs import experiment, metrics_log
from pods_jax.runs.dry_run import dry_run
from tests.faults import processes, toy
from tests.tiers import slow_but

BEGINS = 4

run = partial(experiment.run, evaluator=toy.EVALUATOR)


def make_two(env, config):
    """The toy, whose second phase takes another way; the loss tells them apart."""
    plain = toy.make_toy(env, config)

    def with_loss(sign):
        def update(state):
            after, metrics = plain.update(state)
            value = state["value"] + sign * (after["value"] - state["value"])
            return after | {"value": value}, metrics | {"loss": jnp.asarray(sign)}

        return update

    return dataclasses.replace(
        plain, update=with_loss(1.0), later_phases=(Phase("backwards", BEGINS, with_loss(-1.0)),)
    )


def make_config(num_epochs, evaluate_every=3):
    counts = {"num_epochs": num_epochs, "evaluate_every": evaluate_every, "num_test_rollouts": 4}
    return pods_config.get_config().to_dict() | counts


@pytest.fixture(autouse=True)
def two(install_toy):
    install_toy(make_two)


@pytest.mark.parametrize("stopped", slow_but([3, BEGINS, 5], BEGINS))
def test_a_run_enters_the_second_phase_and_goes_on_inside_it(tmp_path, stopped, capsys):
    run(make_config(8, 1), tmp_path / "whole")
    run(make_config(stopped, 1), tmp_path / "parts")
    capsys.readouterr()
    run(make_config(8, 1), tmp_path / "parts")
    assert ("compiling the training program" in capsys.readouterr().out) == (stopped < BEGINS)
    processes.assert_as_if_undisturbed(tmp_path / "parts", tmp_path / "whole")
    losses = [row["train/loss"] for row in metrics_log.read(tmp_path / "whole" / "metrics.jsonl")[1:]]
    assert [loss > 0 for loss in losses] == [True] * BEGINS + [False] * 4


def test_a_chunk_ends_where_the_phase_does_and_the_log_has_both_compilations(tmp_path, capsys):
    run(make_config(9), tmp_path)
    rows = metrics_log.read(tmp_path / "metrics.jsonl")
    looks = {row["epoch"]: row["time/compile_seconds"] > 0 for row in rows if "time/compile_seconds" in row}
    assert looks == {3: True, 4: False, 7: True, 9: False}
    assert re.search(
        r"compiling the training program .*compiling backwards \.\.\.", capsys.readouterr().out, re.DOTALL
    )


@pytest.mark.slow
def test_a_dry_run_times_the_phases_that_are_ahead(tmp_path, capsys):
    def foreseen(num_epochs):
        numbers = dry_run(make_config(num_epochs), tmp_path)
        assert numbers["memory_bytes"] > 0
        return re.findall(r"(\w+): compiled in", capsys.readouterr().out)

    assert foreseen(BEGINS) == ["training"]
    assert foreseen(9) == ["training", "backwards"]
    run(make_config(5), tmp_path)
    capsys.readouterr()
    assert foreseen(9) == ["backwards"]
