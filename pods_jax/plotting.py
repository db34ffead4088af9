"""Figures: each function takes data and returns a matplotlib Figure, without any global state."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pods_jax.comparison import common_optimum, gaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curve(
    epochs: Sequence[int],
    return_mean: Sequence[float],
    return_std: Sequence[float],
    optimality_gap: Sequence[float],
    optimum: Sequence[float],
    title: str = "",
) -> "Figure":
    """Draws the return on the test bed and the optimality gap against the epochs, all (K,).

    The band is half a standard deviation wide and drawn on the upper side only, as in the figures of the
    paper: it shows how much the difficulty of the initial states varies, not an uncertainty. optimum: the
    mean return of the best actions that were found without a policy, a dashed line.
    """
    # matplotlib takes a while to import and only those who draw need it. Without pyplot nothing of a
    # figure outlives it, and no display is asked for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    epoch, mean, std, gap = map(np.asarray, (epochs, return_mean, return_std, optimality_gap))
    _draw_return(left, epoch, mean, std)
    left.plot(epoch, optimum, color="black", linestyle="--", linewidth=1.0, label="best actions")
    left.legend(loc="lower right")
    _draw_gap(right, epoch, gap, marker=".")
    return figure


def save(figure: "Figure", path: pathlib.Path) -> None:
    """Writes a figure to a file, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _draw_return(axes: "Axes", epochs: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
    (line,) = axes.plot(epochs, mean, label="policy")
    axes.fill_between(epochs, mean, mean + std / 2, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="epoch", ylabel="return on the test bed")
    axes.grid(alpha=0.3)


def _draw_gap(axes: "Axes", epochs: np.ndarray, gap: np.ndarray, **style: Any) -> None:
    # A logarithmic axis has no room for zero or less, which a policy as good as the optimum can reach.
    shown = np.isfinite(gap) & (gap > 0)
    axes.plot(epochs[shown], 100 * gap[shown], **style)
    axes.set(xlabel="epoch", ylabel="optimality gap [%]", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")


def comparison(records: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the optimality gap of all records of `pods_jax.comparison`, one panel for each environment and task.

    One line for each training, one colour for each variant; all gaps of a panel refer to the same optimum.
    """
    from matplotlib.figure import Figure

    panels = sorted({(record["environment"], record["task"]) for record in records})
    variants = list(dict.fromkeys(record["variant"] for record in records))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        chosen = [record for record in records if (record["environment"], record["task"]) == panel]
        optimum = common_optimum(chosen)
        axes.set_title(" / ".join(panel), fontsize="medium")
        for record in chosen:
            color = f"C{variants.index(record['variant'])}"
            _draw_gap(axes, np.asarray(record["epoch"]), gaps(record, optimum), color=color, linewidth=1.0)
        axes.axhline(1.0, color="black", linestyle=":", linewidth=0.8)
    handles = [grid[0, 0].plot([], [], color=f"C{index}")[0] for index in range(len(variants))]
    figure.legend(handles, variants, loc="outside lower center", ncols=len(variants))
    return figure


def curves(records: Sequence[Mapping[str, Any]], quantity: str, logarithmic: bool = False) -> "Figure":
    """Draws a quantity of the test bed against the simulated steps, one panel for each environment and task.

    records: of `pods_jax.reproduction`. A line is the mean over the seeds of a variant; its band is half a standard
    deviation of the bed, on the upper side only, as in the figures of the paper. The dashed line of a panel of
    returns is the best return there is, by trajectory optimization.
    """
    from matplotlib.figure import Figure

    panels = sorted({(record["environment"], record["task"]) for record in records})
    variants = list(dict.fromkeys(record["variant"] for record in records))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 3.0 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        chosen = [record for record in records if (record["environment"], record["task"]) == panel]
        for index, variant in enumerate(variants):
            _draw_variant(axes, [record for record in chosen if record["variant"] == variant], quantity, f"C{index}")
        optimum = common_optimum(chosen)
        if quantity == "return" and np.isfinite(optimum):
            axes.axhline(optimum, color="black", linestyle="--", linewidth=1.0)
        axes.set(xlabel="simulated steps", ylabel=quantity.replace("_", " "), xscale="log")
        axes.set_title(" / ".join(panel), fontsize="medium")
        axes.set_yscale("log" if logarithmic else "linear")
        axes.grid(alpha=0.3)
    handles = [grid[0, 0].plot([], [], color=f"C{index}")[0] for index in range(len(variants))]
    figure.legend(handles, variants, loc="outside lower center", ncols=min(len(variants), 2 * columns + 1))
    return figure


def _draw_variant(axes: "Axes", group: Sequence[Mapping[str, Any]], quantity: str, color: str) -> None:
    if not group:
        return
    steps = np.mean([record["steps"] for record in group], axis=0)[1:]  # a logarithmic axis has no zero
    mean, std = (np.mean([record[name] for record in group], axis=0)[1:] for name in (quantity, f"{quantity}_std"))
    axes.plot(steps, mean, color=color)
    axes.fill_between(steps, mean, mean + std / 2, color=color, alpha=0.2, linewidth=0)
