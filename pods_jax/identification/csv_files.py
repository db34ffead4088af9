"""Recordings as CSV files, plain or compressed (.gz).

The first line names the columns: `time` [s], `action[0]`, `action[1]`, ... in action units, and what was measured of
the state, by the names of its numbers: `angle[0]`, `velocity[1]`. One line for each sample follows. Other columns, a
column of nothing, are left out. Files of the RealAIGym double pendulum are read as they are.
"""

import csv
import gzip
import io
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.identification.recording import Recording, components, make_recording

REALAIGYM = {
    "time": "time",
    "action[0]": "tau_meas1",
    "action[1]": "tau_meas2",
    "angle[0]": "pos_meas1",
    "angle[1]": "pos_meas2",
    "velocity[0]": "vel_meas1",
    "velocity[1]": "vel_meas2",
}
"""Columns of https://github.com/dfki-ric-underactuated-lab/double_pendulum; torques are those measured."""

DIALECTS = (REALAIGYM,)


@dataclass(frozen=True)
class _Table:
    names: tuple[str, ...]
    rows: np.ndarray  # (K, columns)


def read_recording(path: str | pathlib.Path, env: Environment, columns: Mapping[str, str] | None = None) -> Recording:
    """The recording in a CSV file, of a machine that the environment describes.

    columns: how the file calls what is needed, {"angle[0]": "pos_filt1"}, where that is not the name itself. Raises
    InputError that names file, line and column for what cannot be read, and OSError for a file that cannot be opened.
    """
    path = pathlib.Path(path)
    table = _read(path)
    called = dict(next((dialect for dialect in DIALECTS if set(dialect.values()) <= set(table.names)), {}))
    called |= columns or {}
    wanted = ("time", *(f"action[{a}]" for a in range(env.action_size)), *components(env))
    for name in columns or {}:
        checks.choice(f"columns of {path.name}", name, wanted)
    found = {}
    for name in wanted:
        column = called.get(name, name)
        if column in table.names:
            found[name] = table.rows[:, table.names.index(column)]
        elif name in (columns or {}):
            raise InputError(f"{path}: column", column, f"must be one of {', '.join(table.names)}")
    missing = [name for name in wanted[: 1 + env.action_size] if name not in found]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]}: must have time, {', '.join(wanted[1 : 1 + env.action_size])} and "
            f"some "
            f"of {', '.join(components(env))}; it has {', '.join(table.names)}"
        )
    measured = {name: values for name, values in found.items() if name in components(env)}
    action = np.stack([found[name] for name in wanted[1 : 1 + env.action_size]], axis=1)
    return make_recording(found["time"], action, measured, name=path.name)


def write_recording(path: str | pathlib.Path, recording: Recording) -> None:
    """Writes a recording as a CSV file, compressed if its name ends so. Raises FileExistsError, OSError."""
    names = ("time", *(f"action[{a}]" for a in range(recording.action.shape[1])), *recording.measured)
    rows = np.column_stack([recording.time, recording.action, *recording.measured.values()])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[repr(float(value)) for value in row] for row in rows])
    data = text.getvalue().encode()
    with pathlib.Path(path).open("xb") as file:
        file.write(gzip.compress(data) if str(path).endswith(".gz") else data)


def _read(path: pathlib.Path) -> _Table:
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no CSV file: {error}") from error
    lines = [line for line in csv.reader(io.StringIO(text)) if line]
    if len(lines) < 2:
        raise InputError(f"{path} has no samples: must have a line of names and one line for each sample")
    names = tuple(name.strip().lstrip("#").strip() for name in lines[0])
    if len(set(names)) < len(names):
        raise InputError(f"{path}: column", next(n for n in names if names.count(n) > 1), "must stand there once")
    return _Table(names, _numbers(path, names, lines[1:]))


def _numbers(path: pathlib.Path, names: Sequence[str], lines: Sequence[Sequence[str]]) -> np.ndarray:
    """(K, columns) the numbers of the lines, NaN where a cell is empty."""
    rows = np.full((len(lines), len(names)), np.nan)
    for k, line in enumerate(lines):
        if len(line) != len(names):
            raise InputError(f"{path}, line {k + 2} has {len(line)} cells: must have {len(names)}, as the first line")
        for i, cell in enumerate(line):
            try:
                rows[k, i] = float(cell) if cell.strip() else np.nan
            except ValueError as error:
                raise InputError(f"{path}, line {k + 2}, column {names[i]}", cell, "must be a number") from error
    return rows
