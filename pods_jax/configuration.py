"""The configuration of an experiment, checked as a whole before anything is compiled or written.

    env        name, task and any setting of the environment, such as horizon
    algorithm  name and any setting of the algorithm
    seed       of everything that is random in the training
    num_epochs, evaluate_every (epochs per compiled chunk), num_test_rollouts

What values are allowed is known to those who use them, the environments and the algorithms. Here every field is
tried by itself, so that all mistakes are reported at once.
"""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pods_jax import algorithms, checks, envs
from pods_jax.algorithms import Algorithm
from pods_jax.checks import InputError

_COUNTS = ("num_epochs", "evaluate_every", "num_test_rollouts")
_FIELDS = ("env", "algorithm", "seed", *_COUNTS)


@dataclass(frozen=True)
class Configuration:
    """A configuration without mistakes, and the algorithm (with its environment) that it describes."""

    fields: dict[str, Any]  # as given, without tuples: what `config.json` holds
    algorithm: Algorithm
    seed: int
    num_epochs: int
    evaluate_every: int
    num_test_rollouts: int


def check(config: Mapping[str, Any]) -> Configuration:
    """Returns the checked configuration; raises InputError listing every mistake."""
    mistakes = _missing_or_unknown("config", config, _FIELDS, _FIELDS)
    if not mistakes:
        mistakes += _attempt(lambda: checks.seed("config.seed", config["seed"]))
        for name in _COUNTS:
            mistakes += _attempt(partial(checks.integer, f"config.{name}", config[name], at_least=1))
        mistakes += _env_mistakes(config["env"]) or _algorithm_mistakes(config)
    if mistakes:
        raise InputError("\n  ".join(["the configuration has mistakes, nothing was started:", *mistakes]))
    return Configuration(
        fields=_without_tuples(config),
        algorithm=_make_algorithm(config),
        seed=int(config["seed"]),
        **{name: int(config[name]) for name in _COUNTS},
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], allowed: Iterable[str], path: str) -> list[str]:
    """Lists the fields whose values differ, as `path.field: old, now new`, except those in `allowed`."""
    found = []
    for name in sorted({*old, *new} - set(allowed)):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += differences(before, now, (), f"{path}.{name}")
        elif before != now:
            found.append(f"{path}.{name}: {before!r}, now {now!r}")
    return found


def _env_mistakes(section: Any) -> list[str]:
    path, needed = "config.env", ("name", "task")
    if not isinstance(section, Mapping) or not set(needed) <= set(section):
        return _missing_or_unknown(path, section, needed, ())
    name = section["name"]
    found = _attempt(lambda: checks.choice(f"{path}.name", name, envs.names()))
    if found:
        return found
    found = _attempt(lambda: checks.choice(f"{path}.task", section["task"], envs.tasks(name)))
    settings = {field: value for field, value in section.items() if field not in needed}
    return found + _setting_mistakes(path, settings, envs.overrides(name), partial(envs.make, name))


def _algorithm_mistakes(config: Mapping[str, Any]) -> list[str]:
    path, section = "config.algorithm", config["algorithm"]
    if not isinstance(section, Mapping) or "name" not in section:
        return _missing_or_unknown(path, section, ("name",), ())
    name = section["name"]
    found = _attempt(lambda: checks.choice(f"{path}.name", name, algorithms.names()))
    if found:
        return found
    settings = {field: value for field, value in section.items() if field != "name"}
    make = partial(algorithms.make, name, envs.make(**_with_tuples(config["env"])))
    return _setting_mistakes(path, settings, algorithms.settings(name), make)


def _setting_mistakes(
    path: str, settings: Mapping[str, Any], defaults: Mapping[str, Any], make: Callable[..., Any]
) -> list[str]:
    """Tries each setting by itself, then all of them together."""
    found = _missing_or_unknown(path, settings, (), defaults)
    for field in settings.keys() & defaults.keys():
        value, default = settings[field], defaults[field]
        kind = _kind(default)
        if not _is_of_kind(value, default):
            found.append(f"{path}.{field} = {value!r}: must be {kind}, such as {default!r}")
        elif value != default:
            found += _attempt(partial(make, **_with_tuples({field: value})), f"{path}.{field} = {value!r}")
    return found or _attempt(partial(make, **_with_tuples(settings)), path)


def _make_algorithm(config: Mapping[str, Any]) -> Algorithm:
    env = envs.make(**_with_tuples(config["env"]))
    settings = _with_tuples(config["algorithm"])
    return algorithms.make(settings.pop("name"), env, **settings)


def _missing_or_unknown(path: str, section: Any, needed: Iterable[str], allowed: Iterable[str]) -> list[str]:
    if not isinstance(section, Mapping):
        return [f"{path} = {section!r}: must be a group of fields"]
    found = [f"{path}.{name} is missing" for name in needed if name not in section]
    for name in section:
        if allowed and name not in allowed:
            close = difflib.get_close_matches(str(name), list(allowed), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the fields are {', '.join(allowed)}"
            found.append(f"{path}.{name} = {section[name]!r}: there is no such field, {hint}")
    return found


def _attempt(make: Callable[[], Any], context: str = "") -> list[str]:
    """The mistake that `make` reports, if any, with the path of the field in front of it."""
    try:
        make()
    except InputError as error:
        text = str(error)
        for start in ("config.", "algorithm.", "env."):
            if text.startswith(start):
                return [text if start == "config." else f"config.{text}"]
        return [f"{context}: {text}"]
    return []
