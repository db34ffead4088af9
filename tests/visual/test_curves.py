import numpy as np
import pytest

from pods_jax.visual import figures
from pods_jax.visual.curves import best_known, epochs_until, gaps, largest_fall

RECORD = {
    "environment": "pendulum_2d",
    "task": "stop",
    "variant": "visited states",
    "epoch": [1, 2, 3, 4],
    "return": [-20.0, -12.0, -12.3, -10.1],
    "seconds": [0.0, 2.0, 4.0, 6.0],
    "final": {"optimum_mean": -10.2, "optimality_gap": 0.01},
}
BETTER = RECORD | {"variant": "first order", "final": {"optimum_mean": -10.0, "optimality_gap": 0.03}}


def test_gaps_refer_to_the_best_optimum_of_the_task():
    assert best_known([RECORD, BETTER]) == -10.0
    assert best_known([RECORD, BETTER | {"best": {"return_mean": -9.5}}]) == -9.5
    assert best_known([RECORD, BETTER | {"best": {"return_mean": -10.5}}]) == -10.0
    np.testing.assert_allclose(gaps(RECORD, -10.0), [1.0, 0.2, 0.23, 0.01])


def test_epochs_until_a_target():
    assert epochs_until(RECORD, -10.0, 0.2) == 2
    assert epochs_until(RECORD, -10.0, 0.02) == 4
    assert epochs_until(RECORD, -10.0, 1e-3) is None


def test_the_largest_fall_is_relative():
    assert largest_fall(RECORD) == pytest.approx(0.3 / 12.0)


def test_the_figure_has_a_panel_for_each_task():
    tasks = ("stop", "stop_at_origin", "another")
    figure = figures.comparison([BETTER, *(RECORD | {"task": task} for task in tasks)])
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert shown == [f"pendulum_2d / {task}" for task in tasks]
