"""One line of JSON per epoch in `metrics.jsonl`, and the same numbers as TensorBoard events.

JSON has no form for a number that is not finite: it is written as null, and the name it had is listed under
"nonfinite", so that every line can be read by a strict parser and nothing is hidden.
"""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from pods_jax.runs.events import EventWriter
from pods_jax.storage import files


def storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row in the form that JSON can hold; see the module docstring for nan and infinity."""
    finite = {name: _finite(value) for name, value in row.items()}
    lost = [name for name, value in row.items() if finite[name] != value]
    return finite | ({"nonfinite": lost} if lost else {})


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of a metrics file by epoch; empty if there is no such file."""
    return sorted(read_lines(path), key=lambda row: row["epoch"])


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of a file with one JSON object in each line, oldest first; empty if there is no such file.

    A process that was killed while it wrote leaves half a line at the end: reading stops in front of it.
    """
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        rows.append({name: math.nan if value is None else value for name, value in row.items()})
    return rows


class MetricsWriter:
    """Appends rows to `metrics.jsonl` and to TensorBoard event files; use it in a `with` statement.

    Rows of epochs after `last_epoch` are removed at the start: a resumed run does those epochs once more.
    """

    def __init__(self, path: pathlib.Path, events: pathlib.Path, last_epoch: int = 0) -> None:
        kept = [row for row in read(path) if row["epoch"] <= last_epoch]
        files.write_text(path, "".join(_line(row) for row in kept))
        self._file = path.open("a", encoding="utf-8")
        self._events = EventWriter(events, last_epoch)

    def __enter__(self) -> "MetricsWriter":
        """Returns the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes both files."""
        self._file.close()
        self._events.close()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows, each with its "epoch"; they are on their way to the disk when this returns.

        Vectors, such as the histogram of step sizes, and what is not finite go to the JSON file only. Raises OSError,
        naming the file, if the disk is full.
        """
        try:
            self._write(rows)
        except OSError as error:
            raise OSError(f"{self._file.name} could not be written: {error}") from error

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write(_line(row))
            self._events.write(row)
        self._file.flush()
        self._events.flush()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(storable(row), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
