"""A training that made its policy far worse says so at its end."""

import math

import pytest

from pods_jax.runs import collapse
from scripts import train
from tests.faults import toy

ROWS = [{"epoch": 0, "test/return_mean": -20.0, "test/return_std": 5.0}, {"epoch": 5, "test/return_mean": -30.0}]


@pytest.mark.parametrize("now", [-5.0, -20.0, -39.9, math.nan])
def test_a_little_worse_is_no_collapse_and_a_failure_is_said_elsewhere(now):
    assert collapse.describe(ROWS, {"return_mean": now}) == ""


@pytest.mark.parametrize("now", [-41.0, -437.1, -math.inf])
def test_far_worse_than_before_training_is_one(now):
    assert f"the return is {now:.5g}, before the first epoch it was -20" in collapse.describe(
        ROWS, {"return_mean": now}
    )


def test_the_spread_counts_where_the_return_is_near_zero_and_rewards_may_be_positive():
    near_zero = [{"epoch": 0, "test/return_mean": -0.01, "test/return_std": 5.0}]
    assert not collapse.describe(near_zero, {"return_mean": -4.0})
    assert collapse.describe(near_zero, {"return_mean": -6.0})
    positive = [{"epoch": 0, "test/return_mean": 10.0, "test/return_std": math.nan}]
    assert not collapse.describe(positive, {"return_mean": 1.0})
    assert collapse.describe(positive, {"return_mean": -1.0})
    assert not collapse.describe([], {"return_mean": -1e9})


@pytest.mark.parametrize(("final", "said"), [(-50.0, True), (-2.5, False)])
def test_it_is_the_last_line_of_the_command(final, said, tmp_path, install_toy, capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    install_toy()
    arguments = ["--config=configs/pods.py", "--config.num_epochs=2", "--config.num_test_rollouts=4"]
    evaluator = toy.evaluator(numbers=toy.NUMBERS | {"return_mean": final})
    assert train.main(["train.py", f"--workdir={tmp_path / 'run'}", *arguments], evaluator) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("warning: the training has collapsed: the return is -50, before") == said
