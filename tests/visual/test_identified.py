import numpy as np

from pods_jax.visual import identified


def test_the_figure_shows_intervals_correlations_and_residuals():
    figure = identified.identification(
        ["mass", "damping", "friction"],
        [2.0, 0.1, 0.0],
        [[1.9, 2.1], [0.0, 3.0], [0.0, 0.1]],
        [True, False, True],
        np.eye(3),
        {"angle": np.random.default_rng(0).normal(size=100)},
    )
    left, middle, right = figure.axes[:3]
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "mass = 2",
        "damping: not identified",
        "friction = 0",
    ]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [0])  # what has no relative size has no bar
    assert middle.get_title() == "correlations"
    assert right.get_legend().get_texts()[0].get_text() == "angle"
