"""What the best actions do in each row, found by trajectory optimization and remembered in one file of a scale."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from pods_jax import envs
from pods_jax.envs import Environment
from pods_jax.reproduction import measurements, records, scales
from pods_jax.reproduction.report import title
from pods_jax.storage.files import write_json
from pods_jax.visual.curves import Record

NAME = "best_actions.json"


def measure(
    scale: scales.Scale,
    row: scales.Row,
    path: pathlib.Path,
    best: Callable[[Environment, int], dict[str, float]] = measurements.best,
) -> None:
    """Measures those of a row, by `best`, unless the file has them of the same environment."""
    known, env = _read(path), records.complete(scales.configuration(scale, row, scales.OURS, 0))["env"]
    if known.get(title(row), {}).get("env") != env:
        numbers = best(envs.make(*row, horizon=scale.horizon), scale.num_test_rollouts)
        write_json(path, known | {title(row): {"env": env, "numbers": numbers}})


def beside(trained: Sequence[Record], path: pathlib.Path) -> list[Record]:
    """The records, each with the numbers of the best actions in its environment as `best`, if the file has them."""
    known = _read(path).values()
    measured = [
        [entry["numbers"] for entry in known if entry["env"] == record["config"]["env"]] for record in trained
    ]
    return [
        {**record, "best": found[0]} if found else record for record, found in zip(trained, measured, strict=True)
    ]


def _read(path: pathlib.Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
