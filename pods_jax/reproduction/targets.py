"""The tables and figures of the paper from trainings of our own, and what they say about its claims.

Each training is a run in a folder of its own (`experiment.run`), below `workdir/SCALE/trainings`. One that is
finished is not repeated and one that was interrupted goes on, so a reproduction can be stopped at any time. Targets
share trainings.
Of each target there remain `records.json`, `records.csv`, `figure.png` and `claims.md`, and of all targets
together `results.md`: every number in them comes from the folders of the runs.
"""

import csv
import json
import os
import pathlib
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from rich.console import Console

from pods_jax import checks, envs, experiment, metrics, plotting
from pods_jax.checks import InputError
from pods_jax.comparison import Record
from pods_jax.progress import make_console
from pods_jax.reproduction import claims, measurements, report, scales
from pods_jax.reproduction.scales import SHEET, Row, Scale
from pods_jax.workdir import Workdir, write_json

QUANTITIES = ("return", "terminal_kinetic_energy", "terminal_distance", "action_magnitude")
"""What is measured at each look at a policy, with its standard deviation over the test bed."""

ALL = ("PODS 500", "PODS 4000", "SAC", "PPO", "GPS", "BPTT", "SHAC")
PAPER = ("PODS 500", "SAC", "PPO")


@dataclass(frozen=True)
class Target:
    """A table or figure: which variants it shows, in which rows, and what of them."""

    title: str
    variants: tuple[str, ...]
    quantity: str = "return"
    rows: str = "all"  # all, first, sheet, or the name of a task
    logarithmic: bool = False
    derivatives: bool = False  # whether those of the first row's environment are measured


TARGETS = {
    "table_1": Target("returns and compute times", ALL),
    "figure_3": Target(
        "orders of the update and BPTT",
        ("PODS 500", "first order", "Algorithm 1", "BPTT"),
        rows="first",
        derivatives=True,
    ),
    "figure_4": Target("returns while training", (*ALL, "Algorithm 1")),
    "figure_6": Target("batches of the sheet", (*(f"PODS {size}" for size in (12, 24, 48)), "SAC"), rows="sheet"),
    "figure_8": Target("kinetic energy at the end", PAPER, "terminal_kinetic_energy", logarithmic=True),
    "figure_9": Target("distance at the end", PAPER, "terminal_distance", "stop_at_origin", True),
    "figure_10": Target("magnitude of actions", PAPER, "action_magnitude"),
}


def reproduce(
    targets: Sequence[str],
    scale: str,
    workdir: str | os.PathLike[str],
    variants: Sequence[str] = (),
    environments: Sequence[str] = (),
    console: Console | None = None,
) -> list[report.Claim]:
    """Trains what is missing for the targets, writes what belongs to them, and returns the claims checked.

    variants, environments: only these, if any are named. Raises InputError for names that do not exist.
    """
    console, size = console or make_console(), scales.get(scale)
    for name in targets:
        checks.choice("target", name, TARGETS)
    for name in variants:
        checks.choice("variant", name, {*scales.VARIANTS, *scales.CLOTH_VARIANTS})
    root, found = pathlib.Path(workdir).expanduser().absolute() / scale, []
    for name in targets:
        chosen = [entry for entry in trainings(TARGETS[name], size) if not variants or entry[1] in variants]
        chosen = [entry for entry in chosen if not environments or entry[0][0] in environments]
        if not chosen:
            raise InputError(f"{name}: nothing is left to train with these variants and environments")
        records = [train(size, *entry, root / "trainings", console) for entry in chosen]
        if TARGETS[name].derivatives:
            measure(size, chosen[0][0], root / name / "derivatives.json")
        found += write_target(root / name, name, records)
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
        for seed in range(scale.seeds)
    ]


def train(scale: Scale, row: Row, variant: str, seed: int, root: pathlib.Path, console: Console) -> Record:
    """The record of one training; whatever of it is missing is done first."""
    config = scales.configuration(scale, row, variant, seed)
    folder = Workdir(root / "_".join([*row, variant.replace(" ", "_"), str(seed)]))
    if not is_finished(folder, config):
        experiment.run(config, folder.path, console)
    return {"variant": variant, **read_record(folder)}


def measure(scale: Scale, row: Row, path: pathlib.Path) -> None:
    """Measures the derivatives of a row's environment, once."""
    if not path.exists():
        env = envs.make(*row, horizon=scale.horizon)
        write_json(path, measurements.measure(env, min(scale.num_test_rollouts, 100)))


def check(folder: pathlib.Path, records: Sequence[Record]) -> list[report.Claim]:
    """The claims of the target whose folder this is."""
    found, path = claims.check(folder.name, records), folder / "derivatives.json"
    if path.exists():
        numbers = json.loads(path.read_text(encoding="utf-8"))
        found += claims.derivatives((records[0]["environment"], records[0]["task"]), numbers)
    return found


def is_finished(folder: Workdir, config: dict[str, Any]) -> bool:
    """Whether the folder holds a run with these settings that was trained to the end and evaluated."""
    if not folder.evaluation.exists():
        return False
    same = folder.read_config() == json.loads(json.dumps(config))
    return same and json.loads(folder.evaluation.read_text(encoding="utf-8"))["epoch"] == config["num_epochs"]


def read_record(folder: Workdir) -> Record:
    """What a run left on disk, with the simulated steps and the seconds (compilation excluded) until each look."""
    rows, config = metrics.read(folder.metrics), folder.read_config()
    looks = [row for row in rows if "test/return_mean" in row]
    epochs = [row["epoch"] for row in looks]
    seconds = [row.get("time/seconds_per_epoch", 0.0) for row in looks] * np.diff(epochs, prepend=0)
    steps = np.cumsum([row.get("train/environment_steps", 0) for row in rows])
    named = {"return": "return_mean"}
    series = {name: [row[f"test/{named.get(name, name)}"] for row in looks] for name in QUANTITIES}
    series |= {f"{name}_std": [row[f"test/{name}_std"] for row in looks] for name in QUANTITIES}
    evaluation = json.loads(folder.evaluation.read_text(encoding="utf-8"))
    return {
        "environment": config["env"]["name"],
        "task": config["env"]["task"],
        "seed": config["seed"],
        "epoch": epochs,
        **series,
        "steps": [int(count) for row, count in zip(rows, steps, strict=True) if "test/return_mean" in row],
        "seconds": np.cumsum(seconds).tolist(),
        "compile_seconds": sum(row.get("time/compile_seconds", 0.0) for row in looks),
        "train_seconds": float(np.sum(seconds)),
        "final": {name: np.nan if value is None else value for name, value in evaluation.items()},
    }


def write_target(folder: pathlib.Path, name: str, records: Sequence[Record]) -> list[report.Claim]:
    """Writes data, figure and claims of a target; returns the claims."""
    found, target = check(folder, records), TARGETS[name]
    write_json(folder / "records.json", {"records": [_storable(record) for record in records]})
    with (folder / "records.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        series = [field for field, value in records[0].items() if isinstance(value, list)]
        writer.writerow(["environment", "task", "variant", "seed", *series])
        for record in records:
            who = [record[field] for field in ("environment", "task", "variant", "seed")]
            writer.writerows([*who, *values] for values in zip(*(record[field] for field in series), strict=True))
    plotting.save(plotting.curves(records, target.quantity, target.logarithmic), folder / "figure.png")
    (folder / "claims.md").write_text(report.markdown(found) + "\n", encoding="utf-8")
    return found


def write_page(root: pathlib.Path, scale: str) -> None:
    """Writes `results.md` from the records of all targets that are there."""
    done = [name for name in TARGETS if (root / name / "records.json").exists()]
    flags = [f"--{kind}={','.join(n for k, n in map(_parts, done) if k == kind)}" for kind in ("table", "figure")]
    command = shlex.join(
        ["python", "scripts/reproduce.py", *(f for f in flags if not f.endswith("=")), f"--scale={scale}"]
    )
    device = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores"
    parts = [f"# Results, scale {scale}", f"`{command}`"]
    parts += [f"Python {platform.python_version()}, jax {jax.__version__}, {device}."]
    if scales.get(scale).smaller:
        parts += ["This scale shows that everything works. Its batches are tiny and its trainings short: no result."]
    for name in done:
        content = json.loads((root / name / "records.json").read_text(encoding="utf-8"))["records"]
        records = [_restored(record) for record in content]
        heading = f"{name.replace('_', ' ').capitalize()}: {TARGETS[name].title}"
        parts += [f"## {heading}", report.table(records), f"![{heading}]({name}/figure.png)"]
        parts += [report.markdown(check(root / name, records))]
    (root / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _parts(name: str) -> tuple[str, str]:
    kind, number = name.split("_")
    return kind, number


def _storable(record: Record) -> dict[str, Any]:
    return {**record, "final": metrics.storable(record["final"])}


def _restored(record: Record) -> Record:
    final = {name: np.nan if value is None else value for name, value in record["final"].items()}
    return {**record, "final": final}
