"""The figure of an identification of parameters: how sure they are, how they go together, what is left over."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 12
"""So many components are named in the legend; a rope has more."""


def identification(
    names: Sequence[str],
    estimate: ArrayLike,
    confidence: ArrayLike,
    is_identified: ArrayLike,
    correlation: ArrayLike,
    residuals: Mapping[str, ArrayLike],
) -> "Figure":
    """Draws what identification found: intervals by their estimates, correlations, residuals by their noise.

    estimate (p,), confidence (p, 2): of the parameters; those that are not identified are named only. correlation
    (p, p). residuals: for each measured component (M,) of unit variance if the model is right, which the dashed
    normal density is drawn for.
    """
    # matplotlib takes a while to import, and only those who draw need it.
    from matplotlib.figure import Figure

    value, interval, sure = np.asarray(estimate), np.asarray(confidence), np.asarray(is_identified)
    figure = Figure(figsize=(13.0, 1.6 + 0.32 * max(len(names), 6)), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_intervals(left, names, value, interval, sure)
    rows = np.arange(len(names))
    image = middle.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    middle.set_xticks(rows, names, rotation=90)
    middle.set_yticks(rows, names)
    middle.set_title("correlations", fontsize="medium")
    figure.colorbar(image, ax=middle, shrink=0.8)
    edges = np.linspace(-4, 4, 41)
    for name, values in residuals.items():
        right.hist(np.asarray(values), bins=edges.tolist(), density=True, histtype="step", label=name)
    right.plot(edges, np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi), color="black", linestyle="--", linewidth=0.8)
    right.set(xlabel="residual by its noise", ylabel="density")
    if len(residuals) <= MAX_NAMED:
        right.legend(fontsize="small")
    return figure


def _draw_intervals(
    axes: "Axes", names: Sequence[str], value: np.ndarray, interval: np.ndarray, sure: np.ndarray
) -> None:
    rows = np.arange(len(names))
    shown = sure & (value != 0)
    relative = 100 * (interval[shown] - value[shown, None]) / np.abs(value[shown, None])
    axes.errorbar(np.zeros(shown.sum()), rows[shown], xerr=np.abs(relative.T), fmt="o", capsize=3)
    told = zip(names, value, sure, strict=True)
    axes.set_yticks(rows, [f"{name} = {v:.4g}" if known else f"{name}: not identified" for name, v, known in told])
    axes.set(xlabel="95 % interval [% of the estimate]", ylim=(len(names) - 0.5, -0.5))
    axes.grid(alpha=0.3)
