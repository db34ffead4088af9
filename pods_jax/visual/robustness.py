"""The figure of `robustness.curves`: gaps by the strength of noise and the width of ranges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(curves: Sequence[Any]) -> "Figure":
    """Draws the optimality gap of each curve by its scale; the dashed line is what the environment has."""
    # matplotlib takes a while to import, and only those who draw need it.
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = drawn.subplots()
    for curve in curves:
        axes.plot(curve.scale, 100 * np.asarray(curve.optimality_gap), marker="o", markersize=4, label=curve.what)
    axes.axvline(1.0, color="gray", linestyle="--", linewidth=0.8)
    axes.set(xlabel="noise or range, by that of the environment", ylabel="optimality gap [%]", ylim=(0, None))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return drawn
