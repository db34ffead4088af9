import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from pods_jax.visual import figures
from tests.records import make_record

EPOCHS = [0, 5, 10]
MEAN, STD, GAP, OPTIMUM = [-4.0, -2.2, -2.0], [1.0, 0.5, 0.5], [1.0, 0.1, 0.0], [-2.0] * 3


@pytest.fixture
def axes():
    figure = figures.learning_curve(EPOCHS, MEAN, STD, GAP, OPTIMUM, title="pendulum_2d / stop")
    assert isinstance(figure, Figure)
    return figure.axes


def test_the_return_and_the_best_actions_are_drawn(axes):
    policy, best = axes[0].lines
    np.testing.assert_allclose(policy.get_xydata(), np.transpose([EPOCHS, MEAN]))
    np.testing.assert_allclose(best.get_ydata(), OPTIMUM)
    assert best.get_linestyle() == "--"


def test_the_band_is_half_a_standard_deviation_on_the_upper_side(axes):
    (band,) = axes[0].collections
    corners = band.get_paths()[0].vertices
    heights = {x: sorted({y for at, y in corners if at == x}) for x in EPOCHS}
    assert heights == {x: pytest.approx([y, y + s / 2]) for x, y, s in zip(EPOCHS, MEAN, STD, strict=True)}


def test_the_gap_is_logarithmic_and_leaves_out_what_has_no_logarithm(axes):
    (line,) = axes[1].lines
    assert axes[1].get_yscale() == "log"
    np.testing.assert_allclose(line.get_xydata(), [[0, 100.0], [5, 10.0]])


def test_a_figure_is_saved_even_if_nothing_is_finite(tmp_path):
    path = tmp_path / "figures" / "learning_curve.png"
    figures.save(figures.learning_curve([0], [np.nan], [np.nan], [np.nan], [np.nan]), str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_matplotlib_is_imported_by_those_who_draw_and_pyplot_by_nobody():
    program = """
import sys
from pods_jax.visual import figures
from tests.records import make_record
assert "matplotlib" not in sys.modules
figures.learning_curve([0], [-1.0], [0.0], [0.5], [-0.5])
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_curves_have_a_line_for_each_variant_and_the_optimum():
    records = [make_record(), make_record(seed=1, returns=(-20.0, -14.0, -12.0)), make_record("BPTT")]
    (axes,) = figures.curves(records, "return").axes
    lines = [line for line in axes.get_lines() if len(line.get_xdata())]
    np.testing.assert_allclose(lines[0].get_ydata(), [-13.0, -11.0])  # the mean of two seeds, from the first steps on
    np.testing.assert_allclose(lines[0].get_xdata(), [100, 200])
    assert [line.get_linestyle() for line in lines if line.get_color() == "black"] == ["--"]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (np.min(band), np.max(band)) == (-13.0, -10.75)  # half a standard deviation of 0.5, on the upper side


@pytest.mark.parametrize("measured", [True, False])
def test_curves_of_other_quantities_have_the_line_of_the_best_actions_where_they_were_measured(measured):
    beside = {"best": {"action_magnitude": 0.7}} if measured else {}
    (axes,) = figures.curves([make_record() | beside], "action_magnitude").axes
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == ([[0.7, 0.7]] if measured else [])


def test_curves_of_variants_that_failed_do_not_flatten_the_others():
    records = [make_record(), make_record("BPTT", (-20.0, -500.0, -300.0)), make_record("PPO", (-20.0, -30.0, -12.0))]
    (axes,) = figures.curves(records, "return").axes
    assert -40 < axes.get_ylim()[0] < -30
    assert axes.get_ylim()[1] < 0
    assert [text.get_text() for text in axes.texts] == ["further down: BPTT"]
    (axes,) = figures.curves(records[1:2], "return").axes
    assert axes.get_ylim()[0] < -500


@pytest.mark.parametrize(("lowest", "further_down"), [(-100.0, ["further down: BPTT"]), (-25.0, [])])
def test_curves_of_variants_that_recover_do_not_flatten_the_others_either(lowest, further_down):
    records = [make_record(), make_record("BPTT", (-20.0, lowest, -9.0)), make_record("PPO", (-20.0, -13.0, -12.0))]
    (axes,) = figures.curves(records, "return").axes
    assert [text.get_text() for text in axes.texts] == further_down
    assert (axes.get_ylim()[0] > lowest) == bool(further_down)


def test_gaps_against_seconds_begin_with_the_first_look_that_took_time():
    records = [make_record(), make_record("SAC", (-20.0, -15.0, -12.0), (0.0, 40.0, 80.0))]
    (axes,) = figures.comparison(records).axes
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    np.testing.assert_allclose(lines[1].get_xdata(), [40.0, 80.0])
    np.testing.assert_allclose(lines[1].get_ydata(), [100 * 6 / 9, 100 * 3 / 9])
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "training [s]"


def rows_of(returned, gaps):
    return [
        {"epoch": 2 * index, "test/return_mean": returned, "test/return_std": 1.0, "test/optimality_gap": gap}
        for index, gap in enumerate(gaps)
    ]


def test_several_settings_share_a_figure_and_are_named():
    runs = {"first": [[*rows_of(-2.0, (0.5, 0.3, 0.1)), {"epoch": 5}]], "second": [rows_of(-1.0, (0.4, 0.2))]}
    figure = figures.learning_curves(runs)
    left, right = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [50.0, 30.0, 10.0])
    for line, same in zip(left.get_lines(), right.get_lines(), strict=True):
        assert line.get_color() == same.get_color()


def test_seeds_of_one_setting_are_one_line_with_a_band():
    trainings = [rows_of(-1.0, (0.4, 0.3)), rows_of(-2.0, (0.2, 0.1)), rows_of(-6.0, (0.3, 0.05, 0.01))]
    left, right = figures.learning_curves({"all": trainings}).axes
    np.testing.assert_allclose(left.get_lines()[0].get_xydata(), [[0, -3.0], [2, -3.0]])  # the epochs that all have
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [30.0, 10.0])
    edges = left.collections[-1].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (-6.0, -1.0)
    assert left.get_title() == "band: from the least to the largest of the seeds"
    # The longest goes on by itself, from where the line of all ends: none is cut.
    np.testing.assert_allclose(left.get_lines()[1].get_xydata(), [[2, -6.0], [4, -6.0]])
    np.testing.assert_allclose(right.get_lines()[1].get_xydata(), [[2, 5.0], [4, 1.0]])
    heights = right.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(5.0), pytest.approx(40.0))


def test_a_phase_portrait_ends_in_dots():
    position, velocity = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)
    (axes,) = figures.phase_portrait(position, velocity).axes
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in dots] == [(2.0, -2.0), (5.0, -5.0)]


def test_action_traces_show_the_limits_of_each_component():
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 5, 2))
    panels = figures.action_traces(actions, np.array([1.0, 2.0]), time_step=0.1).axes
    for index, axes in enumerate(panels):
        *traces, low, high = axes.get_lines()
        np.testing.assert_allclose([trace.get_ydata() for trace in traces], actions[:, :, index])
        assert (low.get_ydata()[0], high.get_ydata()[0]) == (-1.0 - index, 1.0 + index)
        assert axes.get_ylabel() == f"action {index}"
    (axes,) = figures.action_traces(actions[..., :1], np.ones(1), time_step=0.1, unit="N m").axes
    assert axes.get_ylabel() == "action 0 [N m]"


def test_matrices_share_a_scale_that_is_symmetric():
    figure = figures.matrices({"a": np.diag([1.0, -2.0]), "b": np.zeros((2, 2))}, "column", "row")
    first, second, _ = figure.axes
    assert (first.get_title(), second.get_title()) == ("a", "b")
    assert first.get_images()[0].norm is second.get_images()[0].norm
    assert (first.get_images()[0].norm.vmin, first.get_images()[0].norm.vmax) == (-2.0, 2.0)
