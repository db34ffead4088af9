"""The configuration of an experiment, checked as a whole before anything is compiled or written.

    env        name, task and any setting of the environment, such as horizon
    algorithm  name and any setting of the algorithm
    seed       of everything that is random in the training
    num_epochs, evaluate_every (epochs per compiled chunk), num_test_rollouts
    search_optimum  whether the best actions for each test state are searched, for the optimality gap

What values are allowed is known to those who use them, the environments and the algorithms. Here every field
is tried by itself, so that all mistakes are reported at once.
"""

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any

from pods_jax import algorithms, checks, envs
from pods_jax.algorithms import Algorithm
from pods_jax.checks import InputError

_COUNTS = ("num_epochs", "evaluate_every", "num_test_rollouts")
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "seed": checks.seed,
    "search_optimum": checks.boolean,
    **{name: partial(checks.integer, at_least=1) for name in _COUNTS},
}
_FIELDS = ("env", "algorithm", "seed", *_COUNTS, "search_optimum")


@dataclass(frozen=True)
class Configuration:
    """A configuration without mistakes, and the algorithm (with its environment) that it describes."""

    fields: dict[str, Any]  # as given, in the form that JSON gives back: lists for tuples
    algorithm: Algorithm
    seed: int
    num_epochs: int
    evaluate_every: int
    num_test_rollouts: int
    search_optimum: bool

    def slower(self, factor: float) -> Algorithm:
        """The algorithm with its learning rates times `factor`: all settings whose names end so."""
        if factor == 1:
            return self.algorithm
        settings = _tuples(self.fields["algorithm"])
        every = algorithms.settings(settings["name"]) | settings
        rates = {name: value * factor for name, value in every.items() if name.endswith("learning_rate")}
        return algorithms.make(env=self.algorithm.env, **settings | rates)


def default_config(algorithm: str = "pods", num_epochs: int = 40, evaluate_every: int = 5) -> dict[str, Any]:
    """The settings to start from: an algorithm stops a swinging pendulum. `configs/` and `pods-train` use them."""
    return {
        "env": {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False},
        "algorithm": {"name": algorithm, **algorithms.settings(algorithm)},
        "seed": 0,
        "num_epochs": num_epochs,
        "evaluate_every": evaluate_every,  # epochs in a chunk; between chunks the policy is measured and saved
        "num_test_rollouts": 1000,
        "search_optimum": True,  # the best actions for each test state, for the optimality gap
    }


def check(config: Mapping[str, Any]) -> Configuration:
    """Returns the checked configuration; raises InputError listing every mistake in it."""
    mistakes = _misnamed("config", config, _FIELDS)
    mistakes += [f"config.{name} is missing" for name in _FIELDS if name not in config]
    if not mistakes:
        for name, checked in _CHECKS.items():
            mistakes += _attempt(f"config.{name}", config[name], partial(checked, name, config[name]))
        mistakes += _mistakes_in_sections(config["env"], config["algorithm"])
    if mistakes:
        raise InputError("\n  ".join(["the configuration is not valid; nothing was started", *mistakes]))
    return Configuration(
        fields=json.loads(json.dumps(config, default=methodcaller("item"))),
        algorithm=algorithms.make(env=envs.make(**_tuples(config["env"])), **_tuples(config["algorithm"])),
        **{name: checked(name, config[name]) for name, checked in _CHECKS.items()},
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "config") -> list[str]:
    """Lists the fields that differ between two configurations, as `config.field: old value, now new value`.

    How long to train and how to watch it is no part of what is trained: it may differ.
    """
    found: list[str] = []
    for name in sorted({*old, *new} - {*_COUNTS, "search_optimum"}):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += differences(before, now, f"{path}.{name}")
        elif before != now:
            found.append(f"{path}.{name}: {before!r}, now {now!r}")
    return found


def _mistakes_in_sections(env: Any, algorithm: Any) -> list[str]:
    mistakes = _mistakes_in_section(
        "config.env", env, envs.names(), lambda name: ("task", *envs.settings(name)), envs.make
    )
    # Without a sound environment, another one will do to try the settings of the algorithm.
    example = envs.make(envs.names()[0]) if mistakes else envs.make(**_tuples(env))
    make = partial(algorithms.make, env=example)
    return mistakes + _mistakes_in_section(
        "config.algorithm", algorithm, algorithms.names(), algorithms.settings, make
    )


def _mistakes_in_section(
    path: str,
    section: Any,
    names: Collection[str],
    fields_of: Callable[[str], Collection[str]],
    make: Callable[..., Any],
) -> list[str]:
    """Tries all fields of a section together, and if that fails each of them; `name` decides what they are."""
    if not isinstance(section, Mapping) or "name" not in section:
        return [f"{path} = {section!r}: must be a group of fields, `name` among them"]
    name = section["name"]
    mistakes = _attempt(f"{path}.name", name, partial(checks.choice, "name", name, names))
    if mistakes:
        return mistakes
    fields = ("name", *fields_of(name))
    mistakes = _misnamed(path, section, fields)
    settings = {field: section[field] for field in section.keys() & {*fields} - {"name"}}
    together = _errors(partial(make, name, **_tuples(settings)))
    if together:
        mistakes += _mistaken_settings(path, settings, partial(make, name)) or [_line(path, together[0])]
    return sorted(mistakes)


def _mistaken_settings(path: str, settings: Mapping[str, Any], make: Callable[..., Any]) -> list[str]:
    """The mistakes that single settings are: wrong beside the defaults, and beside those settings that are not."""

    def beside(others: Iterable[str], *fields: str) -> Callable[[], Any]:
        return partial(make, **_tuples({field: settings[field] for field in (*others, *fields)}))

    # The defaults themselves may not suit what the settings are for; that is the mistake of none of them.
    allowed: tuple[list[str], ...] = ([], _messages(beside([])))
    sound = [field for field in settings if _messages(beside([], field)) in allowed]
    allowed = ([], _messages(beside(sound)))
    wrong = [field for field in settings if _messages(beside(sound, field)) not in allowed]
    return [line for field in wrong for line in _attempt(f"{path}.{field}", settings[field], beside(sound, field))]


def _misnamed(path: str, section: Mapping[str, Any], fields: Collection[str]) -> list[str]:
    found = []
    for name, value in section.items():
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            found.append(f"{path}.{name} = {value!r}: {hint}the fields are {', '.join(fields)}")
    return found


def _attempt(path: str, value: Any, make: Callable[[], Any]) -> list[str]:
    """The mistake that `make` reports about one field, if any, under the path of the field."""
    return [f"{path} = {value!r}: {error.allowed}" for error in _errors(make)]


def _line(path: str, error: InputError) -> str:
    """The mistake under the path of the section, or of the section that the error names itself."""
    if not error.field:
        return f"{path}: {error}"
    names_section = error.field.partition(".")[0] in _FIELDS
    return f"config.{error}" if names_section else f"{path}.{error}"


def _messages(make: Callable[[], Any]) -> list[str]:
    return [str(error) for error in _errors(make)]


def _errors(make: Callable[[], Any]) -> list[InputError]:
    try:
        make()
    except InputError as error:
        return [error]
    return []


def _tuples(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section with tuples for the lists that JSON makes of them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in section.items()}
