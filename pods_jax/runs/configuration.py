"""The configuration of an experiment, checked as a whole before anything is compiled or written.

    env        name, task and any setting of the environment, such as horizon
    algorithm  name and any setting of the algorithm
    seed       of everything that is random in the training
    num_epochs, evaluate_every (epochs per compiled chunk), num_test_rollouts
    search_optimum  whether the best actions for each held-out state are searched, for the optimality gap

What values are allowed is known to the settings of environments and algorithms (`pods_jax.settings`). All mistakes
are reported at once.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any

from pods_jax import algorithms, checks, envs, settings
from pods_jax.algorithms import Algorithm
from pods_jax.checks import InputError
from pods_jax.envs import Environment, registry
from pods_jax.settings import setting


@dataclass(frozen=True)
class RunSettings:
    """What a configuration has beside `env` and `algorithm`, with the values to start from."""

    seed: int = setting(0, "of everything that is random in the training", at_least=0)
    num_epochs: int = setting(40, "epochs in all; a larger number goes on", at_least=1)
    evaluate_every: int = setting(5, "epochs in a chunk, after which the policy is measured and saved", at_least=1)
    num_test_rollouts: int = setting(1000, "held-out initial states, on which it is measured", at_least=1)
    search_optimum: bool = setting(True, "whether the best actions for each are searched, for the optimality gap")


_COUNTS = ("num_epochs", "evaluate_every", "num_test_rollouts")
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "seed": checks.seed,
    "search_optimum": checks.boolean,
    **{name: partial(checks.integer, at_least=1) for name in _COUNTS},
}
WRAPPED = ("task", "terminal_only", "randomized", "observed")
"""Fields of every environment, beside its settings."""

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

    @property
    def own_environment(self) -> bool:
        """Whether the environment is one of the user's, so that settings and package do not say all about it."""
        return "value" in self.fields["env"] or registry.is_own(self.fields["env"]["name"])

    def slower(self, factor: float) -> Algorithm:
        """The algorithm with its learning rates times `factor`: all settings whose names end so."""
        if factor == 1:
            return self.algorithm
        slower = settings.scaled(self.algorithm.config, "learning_rate", factor)
        return algorithms.from_config(self.fields["algorithm"]["name"], self.algorithm.env, slower)


def default_config(
    algorithm: str = "pods",
    *,
    env: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    **counts: Any,
) -> dict[str, Any]:
    """The settings to start from, all written out: an algorithm stops a swinging pendulum.

    env, settings: what is different of the environment and of the algorithm, groups as dictionaries; counts:
    `num_epochs` and the other fields beside them. `configs/` and `pods-train` use it.
    """
    pendulum = {"name": "pendulum_2d", "task": "stop", "horizon": 50, "terminal_only": False}
    start = {
        "env": {} if env and registry.is_own(env.get("name", "pendulum_2d")) else pendulum,  # it has other settings
        "algorithm": {"name": algorithm, **algorithms.settings(algorithm)},
        **dataclasses.asdict(RunSettings()),
    }
    return merged(start, {"env": env or {}, "algorithm": settings or {}, **counts})


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The old fields with the new ones in their place, group by group."""
    both = {name: merged(old[name], new[name]) for name in old.keys() & new.keys() if isinstance(new[name], Mapping)}
    return {**old, **new, **both}


def check(config: Mapping[str, Any], env: Environment | None = None) -> Configuration:
    """Returns the checked configuration; raises InputError listing every mistake in it.

    env: the environment itself, where `config["env"]` only describes it (`describe`).
    """
    mistakes = _misplaced(config)
    if not mistakes:
        checked, mistakes = _checked_fields(config)
        mistakes += _mistakes_in_sections(config["env"], config["algorithm"], env)
    if mistakes:
        raise InputError("\n  ".join(["the configuration is not valid; nothing was started", *mistakes]))
    return Configuration(
        fields=json.loads(json.dumps(config, default=methodcaller("item"), allow_nan=False)),
        algorithm=algorithms.make(env=env or envs.make(**config["env"]), **config["algorithm"]),
        **checked,
    )


def check_form(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a configuration in which every field is there, its values unchecked; raises InputError otherwise."""
    mistakes = _misplaced(config)
    for section in ("env", "algorithm") if not mistakes else ():
        mistakes += _mistakes_in_section(section, config[section], lambda name: name, lambda name, fields: [])
    if mistakes:
        raise InputError("\n  ".join(["the configuration is not valid", *mistakes]))
    return config


def describe(env: Environment) -> dict[str, Any]:
    """The section `env` for an environment that was given as a value: enough to know it again, not to make it."""
    return {
        "name": env.name,
        "value": {
            "task": env.task,
            "horizon": env.horizon,
            "time_step": env.time_step,
            "action_limit": [float(f"{limit:.6g}") for limit in env.action_limit],
            "observation_size": env.observation_size,
            "terminal_only": env.terminal_only,
        },
    }


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


def _checked_fields(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields beside the sections as they are to be used, and the mistakes in them."""
    checked: dict[str, Any] = {}
    tests: dict[str, Callable[[str, Any], Any]] = {"seed": checks.seed, "search_optimum": checks.boolean}
    tests |= {name: partial(checks.integer, at_least=1) for name in _COUNTS}
    mistakes = []
    for name, test in tests.items():
        try:
            checked[name] = test(f"config.{name}", config[name])
        except InputError as error:
            mistakes.append(str(error))
    return checked, mistakes


def _misplaced(config: Mapping[str, Any]) -> list[str]:
    """Fields that there are not, and fields that are missing."""
    mistakes = _misnamed("config", config, _FIELDS)
    return mistakes + [f"config.{name} is missing" for name in _FIELDS if name not in config]


def _mistakes_in_sections(env: Any, algorithm: Any, given: Environment | None) -> list[str]:
    """Every mistake in the settings of both sections, and what does not go together of the others.

    given: the environment itself, if the first section only describes it.
    """

    def in_env(name, fields):
        own = {field: fields.pop(field) for field in WRAPPED if field in fields}
        found = settings.mistakes(envs.settings_of(name), fields, "env")
        return found + _errors(partial(envs.make, name, **own, **_without(fields, found)))

    def in_algorithm(name, fields):
        found = settings.mistakes(algorithms.config_of(name)(), fields, "algorithm", algorithms.moved(name))
        return found + _errors(partial(algorithms.make, name, example, **_without(fields, found)))

    mistakes = [] if given else _mistakes_in_section("env", env, registry.check_name, in_env)
    # Without a sound environment, another one will do to try the settings of the algorithm.
    example = given or (envs.make(envs.names()[0]) if mistakes else envs.make(**env))
    known = partial(checks.choice, "algorithm.name", valid=algorithms.names())
    return mistakes + _mistakes_in_section("algorithm", algorithm, known, in_algorithm)


def _mistakes_in_section(
    path: str,
    section: Any,
    check_name: Callable[[Any], str],
    find: Callable[[str, dict[str, Any]], list[InputError]],
) -> list[str]:
    """The mistakes in a section, whose `name` decides what its other fields are."""
    if not isinstance(section, Mapping) or "name" not in section:
        return [f"config.{path} = {section!r}: must be a group of fields, `name` among them"]
    found = _errors(partial(check_name, section["name"]))
    found = found or find(section["name"], {name: value for name, value in section.items() if name != "name"})
    return sorted(f"config.{error}" for error in found)


def _without(fields: Mapping[str, Any], mistakes: Collection[InputError]) -> dict[str, Any]:
    """The settings of a section beside those that are wrong by themselves."""
    wrong = {re.split(r"[.\[]", str(error.field))[1] for error in mistakes}
    return {name: value for name, value in fields.items() if name not in wrong}


def _misnamed(path: str, section: Mapping[str, Any], fields: Collection[str]) -> list[str]:
    found = []
    for name, value in section.items():
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            found.append(f"{path}.{name} = {value!r}: {hint}the fields are {', '.join(fields)}")
    return found


def _errors(make: Callable[[], Any]) -> list[InputError]:
    try:
        make()
    except InputError as error:
        return [error]
    return []
