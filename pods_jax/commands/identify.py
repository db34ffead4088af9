r"""Finds physical parameters of a machine from recordings; the last line of the output is one JSON object.

python scripts/identify.py --env=acrobot --recordings=swing-*.csv --parameters=mass,inertia,damping --out=found
python scripts/identify.py --env=acrobot --recordings=a.csv,b.csv --held_out=c.csv \
    --settings=time_step=0.01,substeps=1 --parameters=mass[0],damping \
    --bounds=mass[0]=0.2:0.9 --prior=damping[0]=0.01:0.005
"""

import glob
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags

from pods_jax import envs, identification
from pods_jax.checks import InputError
from pods_jax.commands import command_line
from pods_jax.storage import files


def main(argv: Sequence[str]) -> int:
    """Parses the command line, identifies, and returns the exit status."""
    values = flags.FlagValues()
    _define(values)

    def command() -> None:
        with jax.enable_x64(True):
            _identify(values)

    return command_line.run(command, values, argv, about=str(__doc__))


def _define(values: flags.FlagValues) -> None:
    """The flags."""

    def text(name: str, default: str, about: str) -> None:
        flags.DEFINE_string(name, default, about, flag_values=values)

    def listed(name: str, about: str) -> None:
        flags.DEFINE_list(name, [], about, flag_values=values)

    text("env", "", "Name of an environment, or what makes your own, my_package:make_crane.")
    text("task", "", "One of its tasks; the first, if not given.")
    listed("settings", "Of the environment, name=value, with which the search begins.")
    listed("recordings", "CSV files, or patterns such as swing-*.csv; docs/identification.md has the format.")
    listed("held_out", "Further files, which are only predicted.")
    listed("columns", "What a file calls otherwise, action[0]=tau_con1.")
    listed("parameters", "Names of parameters, mass or mass[0] or mass[0]=0.5 to begin there.")
    listed("bounds", "Limits of parameters, mass[0]=0.1:2.")
    listed("prior", "Mean and standard deviation that are known already, mass[0]=0.5:0.05.")
    flags.DEFINE_float("window", None, "[s] that are predicted from each start; an episode.", flag_values=values)
    flags.DEFINE_float("stride", None, "[s] between the starts of two windows; the window.", flag_values=values)
    flags.DEFINE_float(
        "differentiate",
        0.0,
        "[s] over which velocities are taken from positions; 0: as recorded.",
        flag_values=values,
    )
    flags.DEFINE_enum("starts", "estimated", ["estimated", "measured"], "Where windows begin.", flag_values=values)
    flags.DEFINE_enum(
        "independent",
        "samples",
        ["samples", "windows"],
        "Whose errors are: windows, if the model is wrong.",
        flag_values=values,
    )
    text("out", "", "Folder to write identified.json and identified.png to; must not exist.")


def _identify(values: flags.FlagValues) -> None:
    folder = pathlib.Path(values.out) if values.out else None
    if folder is not None and folder.exists():
        raise InputError("out", values.out, "must be a folder that does not exist yet; nothing is overwritten")
    if not values.env:
        raise InputError("env", values.env, f"must be one of {', '.join(envs.names())}")
    settings = {name: _number(f"settings {name}", value) for name, value in _pairs("settings", values.settings)}
    envs.load(values.env)
    env = envs.make(values.env, values.task or None, **settings)
    columns = dict(_pairs("columns", values.columns))
    records, held_out = (
        [_recording(path, env, columns, values.differentiate) for path in _files(name, getattr(values, name))]
        for name in ("recordings", "held_out")
    )
    found = identification.identify(
        env,
        records,
        _parameters(env, values.parameters),
        bounds={name: _range("bounds", value) for name, value in _pairs("bounds", values.bounds)},
        prior={name: _range("prior", value) for name, value in _pairs("prior", values.prior)},
        window=values.window,
        stride=values.stride,
        starts=values.starts,
        independent=values.independent,
        held_out=held_out,
    )
    print(found.summary())
    record = json.dumps(found.record(), allow_nan=False)
    if folder is not None:
        with files.replacing(folder / "identified.json", folder / "identified.png") as (text, picture):
            text.write_text(record + "\n", encoding="utf-8")
            found.figure().savefig(picture, dpi=120)
    print(record)


def _recording(path: str, env: envs.Environment, columns: dict[str, str], width: float) -> identification.Recording:
    recording = identification.read_recording(path, env, columns)
    return identification.differentiated(recording, width) if width else recording


def _files(name: str, patterns: Sequence[str]) -> list[str]:
    """The files that match, each once, in order of their names."""
    found: list[str] = []
    for pattern in patterns:
        matching = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        if not matching:
            raise InputError(name, pattern, "must match at least one file")
        found += [path for path in matching if path not in found]
    return found


def _parameters(env: envs.Environment, entries: Sequence[str]) -> dict[str, float]:
    """The values to begin with: those of the environment, unless an entry says others."""
    begin: dict[str, float] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        known = envs.values(env, [name])
        begin |= {each: _number(f"parameters {name}", value) for each in known} if value else known
    if not begin:
        raise InputError("parameters", list(entries), "must name at least one, for example mass")
    return begin


def _pairs(name: str, entries: Sequence[str]) -> list[tuple[str, str]]:
    """The entries name=value."""
    pairs = []
    for entry in entries:
        key, sign, value = entry.partition("=")
        if not sign or not value:
            raise InputError(name, entry, "must be name=value")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _range(name: str, value: str) -> tuple[float, float]:
    first, sign, second = value.partition(":")
    if not sign:
        raise InputError(name, value, "must be two numbers with a colon between them, such as 0.1:2")
    return float(_number(name, first)), float(_number(name, second))


def _number(name: str, value: str) -> Any:
    """A whole number or a number."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    raise InputError(name, value, "must be a number")


def installed() -> int:
    """What `pods-identify` runs."""
    return main(sys.argv)
