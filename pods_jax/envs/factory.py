"""Functions of users that make an Environment: where they are found, and what their settings are."""

import dataclasses
import difflib
import importlib.metadata
import inspect
import pkgutil
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.settings import changed

GROUP = "pods_jax.environments"
"""The group of entry points by which an installed package makes environments known."""

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_place(name: Any) -> bool:
    """Whether a name has the form "module:function"."""
    return isinstance(name, str) and _PLACE.fullmatch(name) is not None


def find(place: str) -> Callable[..., Environment]:
    """Imports what "module:function" names; raises InputError, with the cure, if that is no function or fails."""
    module, _, function = place.partition(":")
    try:
        found = pkgutil.resolve_name(f"{module}:")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            cure = "install it, or run this in the folder that it lies in"
            raise InputError("env.name", place, f"there is no module {error.name}; {cure}") from error
        raise InputError("env.name", place, f"importing {module} fails: {_said(error)}") from error
    functions = {name: value for name, value in vars(found).items() if callable(value) and not name.startswith("_")}
    if function not in functions:
        close = difflib.get_close_matches(function, functions, n=1)
        hint = f"did you mean {module}:{close[0]}? " if close else ""
        raise InputError("env.name", place, f"{hint}{module} has no function {function}")
    return functions[function]


def installed() -> Mapping[str, importlib.metadata.EntryPoint]:
    """The environments of installed packages by name, none of which is imported yet."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


def entry(name: str) -> Callable[..., Environment]:
    """The function of an installed package, imported. Raises InputError if that fails."""
    try:
        found = installed()[name].load()
    except Exception as error:
        raise InputError("env.name", name, f"loading {installed()[name].value} fails: {_said(error)}") from error
    return checks.function("env.name", found)


def settings_of(make: Callable[..., Environment], name: str) -> Any:
    """The parameters of a function with their defaults, as a frozen dataclass; see `pods_jax.settings`.

    Raises InputError for a parameter without a name or a default, or with a default that no configuration can hold.
    """
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError) as error:
        raise InputError(name, make, "must be a function whose parameters can be known") from error
    fields: list[tuple[str, Any, Any]] = []
    for parameter in parameters:
        where = f"{name}, parameter {parameter.name}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InputError(f"{where}: must be given by its name; it is a setting of the environment")
        if parameter.default is parameter.empty:
            raise InputError(f"{where}: must have a default; it is a setting of the environment")
        default = _storable(where, parameter.default)
        if isinstance(default, int) and not isinstance(default, bool) and parameter.annotation in (float, "float"):
            default = float(default)
        fields.append((parameter.name, type(default), dataclasses.field(default=default)))
    return dataclasses.make_dataclass("Settings", fields, frozen=True)()


def call(name: str, make: Callable[..., Environment], changes: Mapping[str, Any]) -> Environment:
    """Calls a function of a user with its defaults and the changes; raises InputError if it fails or returns else."""
    config = changed(settings_of(make, name), changes, "env")
    given = {
        field.name: _as_default(getattr(config, field.name), field.default) for field in dataclasses.fields(config)
    }
    try:
        env = make(**given)
    except InputError:
        raise
    except Exception as error:
        raise InputError("env.name", name, f"the function fails: {_said(error)}") from error
    if not isinstance(env, Environment):
        found = f"= {name!r} returns a {type(env).__name__}"
        raise InputError(
            "env.name", name, "the function must return an Environment, such as envs.from_step makes", found=found
        )
    return env


def _storable(where: str, value: Any) -> Any:
    """A default that configurations can hold, lists as tuples."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return tuple(_storable(where, entry) for entry in value)
    raise InputError(
        f"{where}",
        value,
        "must be a number, a text, True or False, or a tuple of them, for configurations to hold it",
    )


def _as_default(value: Any, default: Any) -> Any:
    """The value with a tuple for the list that JSON makes of one."""
    return tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value


def _said(error: BaseException) -> str:
    """What an exception in the code of a user says, and where it was raised."""
    lines = str(error).strip().splitlines() or [""]
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, SyntaxError) else f" ({place.filename}:{place.lineno})"
    return f"{type(error).__name__}: {lines[0]}{where}"
