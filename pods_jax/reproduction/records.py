"""What a reproduction remembers: one training in plain Python, one line of JSON each.

With a line in `records.jsonl` a training need not be repeated, even where the folder of its run is gone; so records
can be kept in a repository, and a reproduction goes on from them on another machine. Each says what made it.
"""

import csv
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from pods_jax import algorithms, envs
from pods_jax.runs import metrics_log
from pods_jax.runs.configuration import merged
from pods_jax.runs.workdir import Workdir
from pods_jax.storage import files
from pods_jax.visual.curves import Record

QUANTITIES = ("return", "terminal_kinetic_energy", "terminal_distance", "action_magnitude")
"""What is measured at each look at a policy, with its standard deviation over the held-out states."""

DIGITS = 7
"""How many of each number are kept: as many as single precision has."""


def is_finished(folder: Workdir, config: Mapping[str, Any]) -> bool:
    """Whether the folder holds a run with these settings that was trained to the end and evaluated."""
    if not folder.evaluation.exists():
        return False
    epoch = json.loads(folder.evaluation.read_text(encoding="utf-8"))["epoch"]
    return folder.read_config() == _plain(config) and epoch == config["num_epochs"]


def of_run(folder: Workdir, variant: str) -> Record:
    """What a run left on disk, with the simulated steps and the seconds (compilation excluded) until each look."""
    rows, config = metrics_log.read(folder.metrics), folder.read_config()
    looks = [row for row in rows if "test/return_mean" in row]
    epochs = [row["epoch"] for row in looks]
    seconds = [row.get("time/seconds_per_epoch", 0.0) for row in looks] * np.diff(epochs, prepend=0)
    steps = np.cumsum([row.get("train/environment_steps", 0) for row in rows])
    named = {"return": "return_mean"}
    series = {name: [row[f"test/{named.get(name, name)}"] for row in looks] for name in QUANTITIES}
    series |= {f"{name}_std": [row[f"test/{name}_std"] for row in looks] for name in QUANTITIES}
    numbers = _rounded(
        {
            "variant": variant,
            "environment": config["env"]["name"],
            "task": config["env"]["task"],
            "seed": config["seed"],
            "made": _made(folder),
            "epoch": epochs,
            **series,
            "steps": [int(count) for row, count in zip(rows, steps, strict=True) if "test/return_mean" in row],
            "seconds": np.cumsum(seconds).tolist(),
            "compile_seconds": sum(row.get("time/compile_seconds", 0.0) for row in looks),
            "train_seconds": float(np.sum(seconds)),
            "final": _with_nan(json.loads(folder.evaluation.read_text(encoding="utf-8"))),
        }
    )
    return {**numbers, "config": complete(config)}


def read(path: pathlib.Path) -> list[Record]:
    """The records in a file, the latest of each training; none if there is no such file."""
    found: dict[tuple[Any, ...], Record] = {}
    for row in metrics_log.read_lines(path):
        key = tuple(row[name] for name in ("environment", "task", "variant", "seed"))
        found[key] = row | {"final": _with_nan(row["final"])}
    return list(found.values())


def append(path: pathlib.Path, record: Record) -> None:
    """Adds one record to a file; half a line that a killed process left at its end is removed before."""
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = whole[: whole.rfind("\n") + 1]
    line = json.dumps({**record, "final": metrics_log.storable(record["final"])}, allow_nan=False)
    files.write_text(path, f"{whole}{line}\n")


def find(records: Sequence[Record], variant: str, config: Mapping[str, Any]) -> Record | None:
    """The record of the training of a variant with exactly these settings, if there is one."""
    wanted = complete(config)
    return next((record for record in records if record["variant"] == variant and record["config"] == wanted), None)


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with its defaults written out, in JSON: a default that changes makes it another one."""
    env, algorithm = config["env"], config["algorithm"]
    known = {"env": envs.settings(env["name"]), "algorithm": algorithms.settings(algorithm["name"])}
    return dict(_plain(merged(known, config)))


def write_csv(path: pathlib.Path, records: Sequence[Record]) -> None:
    """Writes one line for each look at a policy."""
    series = [name for name, value in records[0].items() if isinstance(value, list)]
    with files.replacing(path) as (place,), place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["environment", "task", "variant", "seed", *series])
        for record in records:
            who = [record[name] for name in ("environment", "task", "variant", "seed")]
            writer.writerows([*who, *values] for values in zip(*(record[name] for name in series), strict=True))


def _made(folder: Workdir) -> dict[str, Any]:
    """When, by which sources and on what a run was made."""
    manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
    named = {name: manifest[name] for name in ("started", "commit", "jax")}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return named | {"device": jax.devices()[0].device_kind, "cores": cores}


def _plain(config: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(config, allow_nan=False))


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
