"""The registry of algorithms."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from pods_jax import checks
from pods_jax.algorithms import bptt, gps, pods, shac
from pods_jax.algorithms.algorithm import Algorithm
from pods_jax.algorithms.model_free import ppo, sac
from pods_jax.envs.environment import Environment
from pods_jax.envs.trial import check_reports
from pods_jax.rollouts import check_environment
from pods_jax.settings import changed, places

_MODULES = {"pods": pods, "bptt": bptt, "ppo": ppo, "sac": sac, "gps": gps, "shac": shac}


_OWN: dict[str, tuple[type, Callable[[Environment, Any], Algorithm]]] = {}  # of users: they come before ours


def register(
    name: str, Config: type, make: Callable[[Environment, Any], Algorithm], *, replace: bool = False
) -> None:
    """Adds an algorithm of your own, which `make`, configurations and commands then know like ours.

    Config: its settings, a frozen dataclass with a default for each field, described by `pods_jax.settings.setting`.
    make: (environment, Config) -> Algorithm, which raises InputError naming a setting that is not allowed, where
    ranges do not say it all. replace: whether it may take the place of one that
    has this name. Raises InputError where one of these is something else.
    """
    replace = checks.boolean("replace", replace)
    if not isinstance(name, str) or not name:
        raise checks.InputError("name", name, "must be a text, as it will stand in configurations")
    if name in names() and not replace:
        raise checks.InputError("name", name, "there is such an algorithm; choose another name, or replace=True")
    if not _are_settings(Config):
        raise checks.InputError("Config", Config, "must be a frozen dataclass with a default for each field")
    if not callable(make):
        raise checks.InputError("make", make, "must be a function (environment, Config) -> Algorithm")
    _OWN[name] = (Config, make)


def unregister(name: str) -> None:
    """Takes an algorithm of your own away again; one of ours that it replaced comes back."""
    del _OWN[checks.choice("name", name, _OWN)]


def names() -> tuple[str, ...]:
    """The names that `make` accepts."""
    return tuple(_MODULES | _OWN)


def settings(name: str) -> dict[str, Any]:
    """The settings of the algorithm `name` with their defaults."""
    return dataclasses.asdict(config_of(name)())


def about(name: str) -> str:
    """The first line of what is written about the algorithm `name`."""
    make = _find(name)[1]
    text = make.__doc__ if name in _OWN else _MODULES[name].__doc__
    return (text or "").strip().partition("\n")[0]


def config_of(name: str) -> Any:
    """The dataclass of the settings of the algorithm `name`; see `pods_jax.settings`."""
    return _find(name)[0]


def moved(name: str) -> Mapping[str, str]:
    """Where settings of the algorithm `name` are, by former names and by their names without the group."""
    kind = config_of(name)
    return places(kind()) | getattr(kind, "MOVED", {})


def make(name: str, env: Environment, **overrides: Any) -> Algorithm:
    """The algorithm `name` for an environment, e.g. `make("pods", env, batch_size=500, guard={"size": 100})`.

    Raises InputError for an unknown name or setting (with the closest valid one) or a value that is not allowed.
    """
    check_environment(env)
    return from_config(name, env, changed(config_of(name)(), overrides, "algorithm", moved(name)))


def from_config(name: str, env: Environment, config: Any) -> Algorithm:
    """The algorithm `name` with settings that are an instance of its dataclass. Raises InputError as `make`."""
    kind, make = _find(name)
    check_environment(env)
    check_reports(env)
    algorithm = make(env, checks.instance("config", config, kind, f"algorithms.config_of({name!r})()"))
    if not isinstance(algorithm, Algorithm):
        raise checks.InputError(f"algorithm {name!r}", algorithm, "its make function must return an Algorithm")
    return dataclasses.replace(algorithm, init=jax.jit(algorithm.init))  # it rolls out, too


def _are_settings(Config: Any) -> bool:
    """Whether it is a frozen dataclass that can be made without arguments."""
    if not (isinstance(Config, type) and dataclasses.is_dataclass(Config)):
        return False
    missing, fields = dataclasses.MISSING, dataclasses.fields(Config)
    given = [field.default is not missing or field.default_factory is not missing for field in fields]
    return all(given) and getattr(Config, "__dataclass_params__").frozen  # noqa: B009


def _find(name: str) -> tuple[Any, Callable[[Environment, Any], Algorithm]]:
    checks.choice("algorithm.name", name, names())
    if name in _OWN:
        return _OWN[name]
    return _MODULES[name].Config, _MODULES[name].make


__all__ = [
    "Algorithm",
    "config_of",
    "from_config",
    "make",
    "moved",
    "names",
    "register",
    "settings",
    "unregister",
]
