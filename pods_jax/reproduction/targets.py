"""The tables and figures of the paper from trainings of our own, and what they say about its claims.

Each training is a run in a folder of its own (`experiment.run`), below `workdir/SCALE/trainings`, and leaves one line
in `workdir/SCALE/records.jsonl`. One that has its line is not repeated and one that was interrupted goes on, so a
reproduction can be stopped at any time. Targets share trainings.
Of each target there remain `records.csv`, `figure.png` and `claims.md`, and of all targets together `results.md`,
with all the records that there are: every number in them comes from `records.jsonl`.
"""

import json
import os
import pathlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from pods_jax import checks, envs
from pods_jax.checks import InputError
from pods_jax.envs import Environment
from pods_jax.reproduction import best_actions, claims, measurements, records, report, scales
from pods_jax.reproduction.scales import OURS, SHEET, Row, Scale
from pods_jax.runs import experiment
from pods_jax.runs.progress import make_console
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import files
from pods_jax.visual import figures
from pods_jax.visual.curves import Record

MISSING = ("train", "skip")
"""What becomes of trainings that have no record."""

ALL = (OURS, "PODS 4000", scales.FINE_TUNED, "SAC", "PPO", "GPS", "BPTT", "SHAC")
PAPER = (OURS, "SAC", "PPO")

DERIVATIVES = "derivatives.json"
"""What is measured of them, in the folder of a scale."""


@dataclass(frozen=True)
class Target:
    """A table or figure: which variants it shows, in which rows, and what of them."""

    title: str
    variants: tuple[str, ...]
    quantity: str = "return"
    rows: str = "all"  # all, first, sheet, or the name of a task
    logarithmic: bool = False
    by_seconds: bool = False  # whether its figure shows gaps against the time of training
    derivatives: bool = False  # whether those of the first row's environment are measured
    best: bool = False  # whether it is measured what the best actions do
    one_seed: bool = False
    figure: bool = True


@dataclass(frozen=True)
class Work:
    """What takes time in a reproduction; each part can be replaced.

    run: as `experiment.run`, a training in a folder. derivatives, best: (environment, number of rollouts) -> numbers,
    as those of `measurements`.
    """

    run: Callable[..., Any] = experiment.run
    derivatives: Callable[[Environment, int], dict[str, float]] = measurements.measure
    best: Callable[[Environment, int], dict[str, float]] = measurements.best


WORK = Work()

TARGETS = {
    "table_1": Target("returns and compute times", ALL, by_seconds=True, best=True),
    "table_tuning": Target(
        "settings of the baselines, one changed at a time, after a third of the epochs",
        tuple(scales.TUNING),
        rows="first",
        one_seed=True,
        figure=False,
    ),
    "figure_3": Target(
        "orders of the update and BPTT",
        (OURS, "first order", "Algorithm 1", "BPTT"),
        derivatives=True,
    ),
    "figure_4": Target("returns while training", (*ALL, "Algorithm 1")),
    "figure_6": Target("batches of the sheet", (*(f"PODS {size}" for size in (12, 24, 48)), "SAC"), rows="sheet"),
    "figure_8": Target("kinetic energy at the end", PAPER, "terminal_kinetic_energy", logarithmic=True, best=True),
    "figure_9": Target("distance at the end", PAPER, "terminal_distance", "stop_at_origin", True, best=True),
    "figure_10": Target("magnitude of actions", PAPER, "action_magnitude", best=True),
}


def reproduce(
    targets: Sequence[str],
    scale: str,
    workdir: str | os.PathLike[str],
    variants: Sequence[str] = (),
    environments: Sequence[str] = (),
    console: Console | None = None,
    missing: str = "train",
    work: Work = WORK,
) -> list[report.Claim]:
    """Trains what is missing for the targets, writes what belongs to them, and returns the claims checked.

    variants, environments: only these are trained, if any are named. missing: "train", or "skip" to report only what
    there is. work: how it is done. Raises InputError for names that do not exist, and where there is nothing to train
    or to report.
    """
    console, size = console or make_console(), scales.get(scale)
    for name in targets:
        checks.choice("target", name, TARGETS)
    for name in variants:
        checks.choice("variant", name, {*scales.VARIANTS, *scales.TUNING, *scales.CLOTH_VARIANTS})
    root, found = pathlib.Path(workdir).expanduser().absolute() / scale, []
    book = root / "records.jsonl"
    for name in targets:
        chosen = [entry for entry in trainings(TARGETS[name], size) if not variants or entry[1] in variants]
        chosen = [entry for entry in chosen if not environments or entry[0][0] in environments]
        if not chosen:
            raise InputError(f"{name}: nothing is left to train with these variants and environments")
        if checks.choice("missing", missing, MISSING) == "train":
            for row, variant, seed in chosen:
                if not records.find(records.read(book), variant, scales.configuration(size, row, variant, seed)):
                    records.append(book, train(size, row, variant, seed, root / "trainings", console, work.run))
            measure(TARGETS[name], size, list(dict.fromkeys(row for row, _, _ in chosen)), root, work)
        trained = remembered(TARGETS[name], size, book)
        if not trained:
            raise InputError(f"{name}: {book} has no training of it yet; leave out --missing=skip")
        found += write_target(root / name, name, trained)
        write_page(root, scale)
        console.print(f"{name}: {os.path.relpath(root / name)}", markup=False)
    return found


def trainings(target: Target, scale: Scale) -> list[tuple[Row, str, int]]:
    """Row, variant and seed of each training of a target, as far as there are such algorithms."""
    rows = {"all": scale.rows, "first": scale.rows[:1], "sheet": (SHEET,)}.get(
        target.rows, tuple(row for row in scale.rows if row[1] == target.rows)
    )
    return [
        (row, variant, seed)
        for row in rows
        for variant in target.variants
        if variant in scales.variants(row)
        for seed in range(1 if target.one_seed else scale.seeds)
    ]


def train(
    scale: Scale,
    row: Row,
    variant: str,
    seed: int,
    root: pathlib.Path,
    console: Console,
    run: Callable[..., Any] = experiment.run,
) -> Record:
    """The record of one training; whatever of it is missing is done first, by `run`."""
    config = scales.configuration(scale, row, variant, seed)
    folder = Workdir(root / "_".join([*row, variant.replace(" ", "_"), str(seed)]))
    if not records.is_finished(folder, config):
        run(config, folder.path, console)
    return records.of_run(folder, variant)


def remembered(target: Target, scale: Scale, book: pathlib.Path) -> list[Record]:
    """The records of a target that there are, in the order of its trainings, with what the best actions do."""
    known = records.read(book)
    found = [
        records.find(known, variant, scales.configuration(scale, row, variant, seed))
        for row, variant, seed in trainings(target, scale)
    ]
    return best_actions.beside([record for record in found if record], book.parent / best_actions.NAME)


def measure(target: Target, scale: Scale, rows: Sequence[Row], root: pathlib.Path, work: Work = WORK) -> None:
    """Measures, once, what a target says of its rows beside the trainings."""
    path = root / DERIVATIVES
    if target.derivatives and not path.exists():
        env = envs.make(*rows[0], horizon=scale.horizon)
        files.write_json(path, work.derivatives(env, min(scale.num_test_rollouts, 100)))
    for row in rows if target.best else ():
        best_actions.measure(scale, row, root / best_actions.NAME, work.best)


def check(folder: pathlib.Path, trained: Sequence[Record]) -> list[report.Claim]:
    """The claims of the target whose folder this is."""
    found, path = claims.check(folder.name, trained), folder.parent / DERIVATIVES
    if path.exists() and TARGETS[folder.name].derivatives:
        numbers = json.loads(path.read_text(encoding="utf-8"))
        found += claims.derivatives((trained[0]["environment"], trained[0]["task"]), numbers)
    return found


def write_target(folder: pathlib.Path, name: str, trained: Sequence[Record]) -> list[report.Claim]:
    """Writes data, figure and claims of a target; returns the claims."""
    folder.mkdir(parents=True, exist_ok=True)
    found, target = check(folder, trained), TARGETS[name]
    records.write_csv(folder / "records.csv", trained)
    if target.by_seconds:
        figures.save(figures.comparison(trained), folder / "figure.png")
    elif target.figure:
        figures.save(figures.curves(trained, target.quantity, target.logarithmic), folder / "figure.png")
    files.write_text(folder / "claims.md", report.markdown(found) + "\n")
    return found


def write_page(root: pathlib.Path, scale: str) -> None:
    """Writes `results.md` from the records of all targets that are there."""
    size, book = scales.get(scale), root / "records.jsonl"
    done = [name for name in TARGETS if (root / name / "claims.md").exists()]
    flags = [f"--{kind}={','.join(n for k, n in map(_parts, done) if k == kind)}" for kind in ("table", "figure")]
    command = shlex.join(
        ["python", "scripts/reproduce.py", *(f for f in flags if not f.endswith("=")), f"--scale={scale}"]
    )
    parts = [f"# Results, scale {scale}", f"`{command}`", report.origin(records.read(book))]
    if size.smaller:
        parts += ["This scale shows that everything works. Its batches are tiny and its trainings short: no result."]
    for name in done:
        trained = remembered(TARGETS[name], size, book)
        heading = f"{name.replace('_', ' ').capitalize()}: {TARGETS[name].title}"
        parts += [f"## {heading}", report.table(trained)]
        parts += [f"![{heading}]({name}/figure.png)"] if TARGETS[name].figure else []
        parts += [report.markdown(check(root / name, trained))]
    files.write_text(root / "results.md", "\n\n".join(parts) + "\n")


def _parts(name: str) -> tuple[str, str]:
    kind, number = name.split("_")
    return kind, number
