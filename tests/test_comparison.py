import jax
import numpy as np
import pytest

from pods_jax import algorithms, plotting
from pods_jax.comparison import (
    common_optimum,
    epochs_until,
    gaps,
    largest_fall,
    markdown_table,
    record_training,
)
from pods_jax.evaluation import make_test_bed
from tests.algorithms.linear import make_linear

RECORD = {
    "environment": "pendulum_2d",
    "task": "stop",
    "variant": "visited states",
    "epoch": [1, 2, 3, 4],
    "return": [-20.0, -12.0, -12.3, -10.1],
    "guard_acted": [3, 12],
    "compile_seconds": 10.0,
    "train_seconds": 30.0,
    "final": {"optimum_mean": -10.2, "optimality_gap": 0.01},
}
BETTER = RECORD | {"variant": "first order", "final": {"optimum_mean": -10.0, "optimality_gap": 0.03}}


def test_gaps_refer_to_the_best_optimum_of_the_task():
    assert common_optimum([RECORD, BETTER]) == -10.0
    np.testing.assert_allclose(gaps(RECORD, -10.0), [1.0, 0.2, 0.23, 0.01])


def test_epochs_until_a_target():
    assert epochs_until(RECORD, -10.0, 0.2) == 2
    assert epochs_until(RECORD, -10.0, 0.02) == 4
    assert epochs_until(RECORD, -10.0, 1e-3) is None


def test_the_largest_fall_is_relative():
    assert largest_fall(RECORD) == pytest.approx(0.3 / 12.0)


def test_the_figure_has_a_panel_for_each_task():
    figure = plotting.comparison([RECORD, BETTER, RECORD | {"task": "stop_at_origin"}])
    assert len(figure.axes) == 2


def test_a_record_holds_the_promises():
    env = make_linear(horizon=4)
    algorithm = algorithms.make(
        "pods", env, batch_size=8, guard_size=4, hidden_sizes=(8,), gradient_steps=5, minibatch_size=32
    )
    record = record_training(algorithm, 0, 3, make_test_bed(env, 8), epochs_per_chunk=2)
    assert record["epoch"] == [2, 3]
    assert record["worse_rollouts"] == 0
    assert record["guard_value_fell"] == 0
    assert record["largest_action_ratio"] <= 1
    assert record["train_seconds"] > 0
    assert record["final"]["return_mean"] == pytest.approx(record["return"][-1])
    assert jax.tree.all(jax.tree.map(np.isfinite, record["final"]))


def test_the_table_has_a_line_for_each_setting_with_its_worst_case():
    worse = RECORD | {"epoch": [1, 2, 3, 20], "final": {"optimum_mean": -10.0, "optimality_gap": 0.02}}
    lines = markdown_table([RECORD, worse, BETTER]).splitlines()[2:]
    assert lines == [
        "| pendulum_2d / stop | first order | 1 | 3.00 % (3.00 %) | 4 | 2.50 % | 1 of -6 | 40, 10 |",
        "| pendulum_2d / stop | visited states | 2 | 1.50 % (2.00 %) | 4, 20 | 2.50 % | 2 of 4 | 40, 10 |",
    ]
