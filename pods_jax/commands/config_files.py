"""Configuration files by name, with the settings of the environment that the command line names.

    --config=payload                                       a file of `configs/`, which the wheel has too
    --config=pods --config.env.name=my_package:make_crane  with the settings of make_crane in the place of env
    --config=pods --config.env.mass=2                      with a setting that the file leaves to the environment

A flag of `ml_collections` overrides fields that its file has. So where the command line is about the environment, it
is given this file, whose `get_config` returns the configuration of the other one with the fields that are missing.
"""

import difflib
import json
import pathlib
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.commands import command_line
from pods_jax.envs import registry

_PACKAGE = pathlib.Path(__file__).parents[1]

FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""Where the files are: beside the commands in a wheel, beside the package in a checkout."""


def names() -> dict[str, pathlib.Path]:
    """The configuration files of the package by name."""
    return {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.py"))}


def define(values: flags.FlagValues, argv: Sequence[str]) -> flags.FlagHolder[Any]:
    """The flag --config, to be parsed from what `resolved` makes of the command line."""
    about = "A name of --list, or a configuration file; --config.seed=1 after it overrides a field."
    return config_flags.DEFINE_config_file(
        "config", help_string=about, flag_values=values, sys_argv=command_line.with_flag_files(argv)
    )


def resolved(argv: Sequence[str]) -> list[str]:
    """The command line with files for names, and with what it says of the environment seen to.

    A function that it names, module:function, is imported. Raises InputError where that fails, and for a name of no
    file.
    """
    program, *rest = command_line.with_flag_files(argv)
    places = [i for i, argument in enumerate(rest) if _name(argument) == "config"]
    if not places:
        return [program, *rest]
    file = _path(rest[places[-1]].partition("=")[2] or (rest[places[-1] + 1] if len(rest) > places[-1] + 1 else ""))
    overrides = {_name(argument)[len("config.env.") :]: argument for argument in rest if _is_of_env(argument)}
    if overrides:
        name = overrides["name"].partition("=")[2] if "name" in overrides else ""
        envs.load(name)
        request = {"file": file, "name": name, "settings": sorted(overrides)}
        file = f"{__file__}:{json.dumps(request, allow_nan=False)}"
    for place in reversed(places):
        rest[place : place + 1 + ("=" not in rest[place])] = []
    return [program, f"--config={file}", *rest]


def get_config(request: str) -> config_dict.ConfigDict:
    """The configuration of a file with the environment of the command line; request: see `resolved`."""
    asked = json.loads(request)
    config = _run(asked["file"])
    if not isinstance(config, config_dict.ConfigDict):
        return config  # refused by who asked for it
    name = asked["name"] or config.env.name
    envs.load(name)  # a configuration file is a program that the user names
    if name not in envs.names():
        return config  # refused later, together with other mistakes
    known = envs.settings(name)
    if registry.is_own(name):
        given = config.env if name == config.env.name else {}
        config.env = config_dict.ConfigDict({"name": name, **known, **given})
    else:
        with config.unlocked():
            config.env.update(_missing(known, config.env, asked["settings"]))
    return config


def load(name: str) -> dict[str, Any]:
    """The configuration of a file, or of a name of `names`, as dictionaries. Raises InputError if there is none."""
    try:
        config = _run(_path(name))
    except OSError as error:
        raise InputError("config", name, f"cannot be read: {error}") from error
    if not isinstance(config, config_dict.ConfigDict):
        raise InputError("config", name, "its get_config() must return an ml_collections.ConfigDict")
    found: dict[str, Any] = config.to_dict()
    return found


def flags_of(argv: Sequence[str]) -> dict[str, str]:
    """The flags of a command line that are written --name=value, the last of each name."""
    given = command_line.with_flag_files(argv)[1:]
    return {_name(argument): argument.partition("=")[2] for argument in given if "=" in argument}


def _run(file: str) -> Any:
    """What `get_config` of a configuration file returns, which is given what stands behind a colon."""
    path, colon, argument = file.partition(":")
    return runpy.run_path(path)["get_config"](*([argument] if colon else []))


def _missing(known: Mapping[str, Any], fields: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    """The settings that the command line overrides and that the file leaves to the environment.

    If it names one that there is not, all of them, so that the closest one is found.
    """
    wanted = known if {*asked} - {*known, *fields} else asked
    return {name: value for name, value in known.items() if name in wanted and name not in fields}


def _name(argument: str) -> str:
    """The name of a flag on a command line."""
    return argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""


def _is_of_env(argument: str) -> bool:
    return _name(argument).startswith("config.env.")


def _path(file: str) -> str:
    """The file for a name, with what stands behind a colon; what is a file, or looks like one, as it is."""
    name, colon, argument = file.partition(":")
    known = names()
    if name in known:
        return f"{known[name]}{colon}{argument}"
    if not name or pathlib.PurePath(name).suffix or pathlib.Path(name).exists() or "/" in name:
        return file
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError("config", name, f"{hint}must be one of {', '.join(known)}, or a configuration file")
