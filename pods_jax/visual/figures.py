"""Figures: each function takes data and returns a matplotlib Figure, without any global state."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.typing import ArrayLike

from pods_jax.checks import InputError
from pods_jax.storage import files
from pods_jax.visual.curves import best_known, gaps

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
    """Draws the return on held-out states and the optimality gap against the epochs, all (K,).

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


def save(figure: "Figure", path: pathlib.Path | str, dpi: int = 150) -> None:
    """Writes a figure to a file, completely or not at all, and makes its folder.

    Raises InputError as `check_name`, and OSError if it cannot be written; what was there is then as it was.
    """
    path = pathlib.Path(path)
    check_name(path)
    with files.replacing(path) as (place,):
        figure.savefig(place, dpi=dpi)


def check_name(path: pathlib.Path) -> None:
    """Raises InputError unless the file can be a figure."""
    from matplotlib.backend_bases import FigureCanvasBase

    endings = sorted(f".{name}" for name in FigureCanvasBase.filetypes)
    if path.suffix.lower() not in endings:
        raise InputError(f"out = {str(path)!r}: must name a file that ends in one of {', '.join(endings)}")


def _draw_return(axes: "Axes", epochs: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
    (line,) = axes.plot(epochs, mean, label="policy")
    axes.fill_between(epochs, mean, mean + std / 2, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="epoch", ylabel="return on held-out states")
    axes.grid(alpha=0.3)


def _draw_gap(axes: "Axes", epochs: np.ndarray, gap: np.ndarray, **style: Any) -> None:
    # A logarithmic axis has no room for zero or less, which a policy as good as the optimum can reach.
    shown = np.isfinite(gap) & (gap > 0)
    axes.plot(epochs[shown], 100 * gap[shown], **style)
    axes.set(xlabel="epoch", ylabel="optimality gap [%]", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")


def comparison(records: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the optimality gap of all records against the seconds of training, a panel for each environment and task.

    One line for each training, one colour for each variant; all gaps of a panel refer to the same optimum.
    """
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((record["environment"], record["task"]) for record in records))
    variants = list(dict.fromkeys(record["variant"] for record in records))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        chosen = [record for record in records if (record["environment"], record["task"]) == panel]
        optimum = best_known(chosen)
        axes.set_title(" / ".join(panel), fontsize="medium")
        for record in chosen:
            color = f"C{variants.index(record['variant'])}"
            seconds = np.asarray(record["seconds"])[1:]  # a logarithmic axis has no zero
            _draw_gap(axes, seconds, gaps(record, optimum)[1:], color=color, linewidth=1.0)
        axes.axhline(1.0, color="black", linestyle=":", linewidth=0.8)
        axes.set(xlabel="training [s]", xscale="log")
        axes.tick_params(labelbottom=True)
    _hide_unused(grid, len(panels))
    handles = [grid[0, 0].plot([], [], color=f"C{index}")[0] for index in range(len(variants))]
    figure.legend(handles, variants, loc="outside lower center", ncols=min(len(variants), 4 * columns))
    return figure


def curves(records: Sequence[Mapping[str, Any]], quantity: str, logarithmic: bool = False) -> "Figure":
    """Draws a quantity of held-out states against the simulated steps, one panel for each environment and task.

    records: of `pods_jax.reproduction`. A line is the mean over the seeds of a variant; its band is half a standard
    deviation of the states, on the upper side only, as in the figures of the paper. The dashed line of a panel is of
    the best actions there are, by trajectory optimization.
    """
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((record["environment"], record["task"]) for record in records))
    variants = list(dict.fromkeys(record["variant"] for record in records))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 3.0 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        chosen = [record for record in records if (record["environment"], record["task"]) == panel]
        for index, variant in enumerate(variants):
            _draw_variant(axes, [record for record in chosen if record["variant"] == variant], quantity, f"C{index}")
        optimum = best_known(chosen, quantity)
        if np.isfinite(optimum):
            axes.axhline(optimum, color="black", linestyle="--", linewidth=1.0)
        axes.set(xlabel="simulated steps", ylabel=quantity.replace("_", " "), xscale="log")
        axes.set_title(" / ".join(panel), fontsize="medium")
        axes.set_yscale("log" if logarithmic else "linear")
        if quantity == "return":
            _cut_off_failures(axes, chosen)
        axes.grid(alpha=0.3)
    _hide_unused(grid, len(panels))
    handles = [grid[0, 0].plot([], [], color=f"C{index}")[0] for index in range(len(variants))]
    figure.legend(handles, variants, loc="outside lower center", ncols=min(len(variants), 2 * columns + 1))
    return figure


def _hide_unused(grid: np.ndarray, count: int) -> None:
    """Hides the axes after the first `count`."""
    for axes in grid.flat[count:]:
        axes.set_visible(False)


def _draw_variant(axes: "Axes", group: Sequence[Mapping[str, Any]], quantity: str, color: str) -> None:
    if not group:
        return
    steps = np.mean([record["steps"] for record in group], axis=0)[1:]  # a logarithmic axis has no zero
    mean, std = (np.mean([record[name] for record in group], axis=0)[1:] for name in (quantity, f"{quantity}_std"))
    axes.plot(steps, mean, color=color)
    axes.fill_between(steps, mean, mean + std / 2, color=color, alpha=0.2, linewidth=0)


def _cut_off_failures(axes: "Axes", records: Sequence[Mapping[str, Any]]) -> None:
    """Names variants whose curves would flatten all others.

    These end with a lower return than they began with, or were ten times as far below the best as any other.
    """
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(record["variant"], []).append((record["return"], record["return_std"]))
    curves = {variant: np.mean(group, axis=0) for variant, group in groups.items()}
    failed = [variant for variant, (mean, _) in curves.items() if mean[-1] < mean[0]]
    best = max(np.max(mean) for mean, _ in curves.values())
    depths = sorted((best - np.min(mean[1:]), name) for name, (mean, _) in curves.items() if name not in failed)
    if len(depths) > 1 and depths[-1][0] > 10 * depths[-2][0]:
        failed.append(depths[-1][1])
    if failed and len(failed) < len(curves):
        shown = [curve[:, 1:] for variant, curve in curves.items() if variant not in failed]
        lowest, highest = min(np.min(mean) for mean, _ in shown), max(np.max(mean + std / 2) for mean, std in shown)
        margin = 0.1 * (highest - lowest)
        axes.set_ylim(lowest - margin, highest + margin)
        axes.text(0.02, 0.02, f"further down: {', '.join(failed)}", transform=axes.transAxes, fontsize="small")


def learning_curves(runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> "Figure":
    """Draws the return and the gap of several settings in one figure, each trained once or with several seeds.

    runs: for each label the rows of `metrics.jsonl` of its trainings. Of several seeds, the line is the mean return
    and the median gap, and bands reach from the least to the largest; it ends where not all have measured, and the
    longer ones go on as thin lines of their own. Of one, the band is that of `learning_curve`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    handles = []
    for label, trainings in runs.items():
        measured = [{row["epoch"]: row for row in rows if "test/return_mean" in row} for rows in trainings]
        epochs = sorted(set.intersection(*(set(training) for training in measured)))
        mean, std, gap = (
            np.asarray([[training[epoch][f"test/{name}"] for epoch in epochs] for training in measured], float)
            for name in ("return_mean", "return_std", "optimality_gap")
        )  # each (seeds, epochs)
        if len(measured) == 1:
            _draw_return(left, np.asarray(epochs), mean[0], std[0])
        else:
            _draw_return(left, np.asarray(epochs), np.mean(mean, axis=0), np.zeros(len(epochs)))
            left.fill_between(epochs, np.min(mean, axis=0), np.max(mean, axis=0), alpha=0.2, linewidth=0)
        color = left.get_lines()[-1].get_color()
        left.collections[-1].set_color(color)
        _draw_gap(right, np.asarray(epochs), np.median(gap, axis=0), color=color, marker=".", label=label)
        handles.append(right.get_lines()[-1])
        low, high = 100 * np.min(gap, axis=0), 100 * np.max(gap, axis=0)
        shown = np.isfinite(low) & (low > 0)
        right.fill_between(epochs, low, high, where=shown, color=color, alpha=0.2, linewidth=0)
        _draw_rest(left, right, measured, epochs, color)
    several = any(len(trainings) > 1 for trainings in runs.values())
    of_one = "half a standard deviation over the initial states"
    left.set_title(f"band: {'from the least to the largest of the seeds' if several else of_one}", fontsize="small")
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(runs), 4))
    return figure


def _draw_rest(
    left: "Axes",
    right: "Axes",
    measured: Sequence[Mapping[int, Mapping[str, Any]]],
    shared: Sequence[int],
    color: str,
) -> None:
    """Draws trainings that are longer than others of their label from where the shared line ends, each by itself."""
    last = max(shared, default=-1)
    for training in measured:
        epochs = [epoch for epoch in sorted(training) if epoch >= last]
        if epochs and epochs[-1] > last:
            mean, gap = (
                np.asarray([training[epoch][f"test/{name}"] for epoch in epochs], float)
                for name in ("return_mean", "optimality_gap")
            )
            left.plot(epochs, mean, color=color, linewidth=0.8, alpha=0.6)
            _draw_gap(right, np.asarray(epochs), gap, color=color, linewidth=0.8, alpha=0.6)


def phase_portrait(position: ArrayLike, velocity: ArrayLike, unit: str = "m") -> "Figure":
    """Draws velocity against position of k rollouts (k, T) of one coordinate; a dot is where each ends."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for along, across in zip(np.asarray(position), np.asarray(velocity), strict=True):
        axes.plot(along, across, color="C0", linewidth=1.0, alpha=0.7)
        axes.plot(along[-1], across[-1], "o", color="black", markersize=3)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(xlabel=f"position [{unit}]", ylabel=f"velocity [{unit}/s]")
    axes.grid(alpha=0.3)
    return figure


def action_traces(actions: ArrayLike, limit: ArrayLike, time_step: float, unit: str = "") -> "Figure":
    """Draws the actions (k, T, A) of k rollouts against time, a panel for each component; dashed: the limits (A,)."""
    from matplotlib.figure import Figure

    actions, limit = np.asarray(actions), np.asarray(limit)
    time = time_step * np.arange(actions.shape[1])
    figure = Figure(figsize=(6.0, 0.8 + 1.9 * actions.shape[2]), layout="constrained")
    for index, axes in enumerate(figure.subplots(actions.shape[2], squeeze=False, sharex=True)[:, 0]):
        axes.step(time, actions[:, :, index].T, where="post", color="C0", linewidth=1.0, alpha=0.7)
        for bound in (-limit[index], limit[index]):
            axes.axhline(bound, color="black", linestyle="--", linewidth=0.8)
        axes.set(ylabel=f"action {index}" + (f" [{unit}]" if unit else ""))
        axes.grid(alpha=0.3)
    axes.set(xlabel="time [s]")
    return figure


def matrices(named: Mapping[str, ArrayLike], xlabel: str, ylabel: str) -> "Figure":
    """Draws matrices side by side: red above zero, blue below, white at zero, on one logarithmic scale."""
    from matplotlib.colors import SymLogNorm
    from matplotlib.figure import Figure

    arrays = {name: np.asarray(matrix) for name, matrix in named.items()}
    largest = max(float(np.max(np.abs(matrix))) for matrix in arrays.values()) or 1.0
    figure = Figure(figsize=(4.4 * len(arrays) + 0.8, 4.2), layout="constrained")
    grid = figure.subplots(1, len(arrays), squeeze=False)[0]
    norm = SymLogNorm(1e-4 * largest, vmin=-largest, vmax=largest)
    for axes, (name, matrix) in zip(grid, arrays.items(), strict=True):
        image = axes.imshow(matrix, cmap="RdBu_r", norm=norm, aspect="auto", interpolation="nearest")
        axes.set(title=name, xlabel=xlabel, ylabel=ylabel)
    figure.colorbar(image, ax=grid.tolist())
    return figure
