"""The environments by name: those of the package, those that are registered, and those of installed packages.

    envs.register("my_crane", make_crane)              # a function that returns an Environment
    envs.load("my_package:make_crane")                 # the same, by its place: known as "my_package:make_crane"

An installed package makes its own known by an entry point of the group `pods_jax.environments`. The parameters of
such a function are the settings of the environment, with their defaults.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import (
    acrobot,
    cartpole,
    cloth_3d,
    double_pendulum,
    double_pendulum_3d,
    factory,
    hopper_slip,
    payload_2d,
    pendubot,
    pendulum_2d,
    pendulum_3d,
    quadrotor,
    quadrotor_payload,
    rope_3d,
)
from pods_jax.envs.environment import Environment
from pods_jax.settings import changed

_MODULES = {
    "pendulum_2d": pendulum_2d,
    "pendulum_3d": pendulum_3d,
    "double_pendulum_3d": double_pendulum_3d,
    "payload_2d": payload_2d,
    "rope_3d": rope_3d,
    "cloth_3d": cloth_3d,
    "cartpole": cartpole,
    "acrobot": acrobot,
    "pendubot": pendubot,
    "double_pendulum": double_pendulum,
    "quadrotor": quadrotor,
    "quadrotor_payload": quadrotor_payload,
    "hopper_slip": hopper_slip,
}

_OWN: dict[str, Callable[..., Environment]] = {}  # of users: they come before ours


def register(name: str, make: Callable[..., Environment], *, replace: bool = False) -> None:
    """Adds an environment of your own, which `make`, configurations and commands then know like ours.

    make: a function that returns an Environment, such as one of `from_step`. Each of its parameters is a setting: it
    has a name and a default, a number, a text, True or False, or a tuple of them. replace: whether it may take the
    place of one that has this name. Raises InputError where one of these is something else.
    """
    replace = checks.boolean("replace", replace)
    if not isinstance(name, str) or not name:
        raise InputError("name", name, "must be a text, as it will stand in configurations")
    if name in names() and not replace:
        raise InputError("name", name, "there is such an environment; choose another name, or replace=True")
    factory.settings_of(checks.function("make", make), name)  # refuses
    _OWN[name] = make


def unregister(name: str) -> None:
    """Takes an environment of your own away again; one of ours that it replaced comes back."""
    del _OWN[checks.choice("name", name, _OWN)]


def load(name: str) -> None:
    """Imports the function that "module:function" names and registers it by this name, once.

    This executes the module, so it is done for names from a command line or from Python, and never for one that only
    stands in a file. Other names are left alone. Raises InputError, with the cure, for a module or a function that
    there is not, and for one that fails.
    """
    if factory.is_place(checks.text("name", name)) and name not in _OWN:
        register(name, factory.find(name))


def names() -> tuple[str, ...]:
    """The names that `make` accepts."""
    return tuple({**_MODULES, **factory.installed(), **_OWN})


def is_own(name: str) -> bool:
    """Whether the environment `name` is not one of the package, so that its sources are not those of the package."""
    return name in _OWN or name not in _MODULES


def ready() -> tuple[str, ...]:
    """The names of those of which nothing has to be imported: all but those of installed packages."""
    return tuple({**_MODULES, **_OWN})


def about(name: str) -> str:
    """The first line of what is written about an environment; of an installed package, where it is."""
    if check_name(name) not in ready():
        return factory.installed()[name].value
    text = (_OWN[name] if name in _OWN else _MODULES[name]).__doc__ or ""
    return text.strip().partition("\n")[0]


def tasks(name: str) -> tuple[str, ...]:
    """The tasks that the environment `name` offers; of one that is not ours the default, if it has tasks."""
    own = _own(check_name(name))
    if own is None:
        return _MODULES[name].TASKS
    default = getattr(factory.settings_of(own, name), "task", "")
    return (default,) if default else ()


def settings(name: str) -> dict[str, Any]:
    """The settings of the environment `name` that `make` can override, with their defaults."""
    return {"terminal_only": False, **dataclasses.asdict(settings_of(name))}


def settings_of(name: str) -> Any:
    """The settings of the environment `name` as the dataclass that describes them; see `pods_jax.settings`."""
    own = _own(check_name(name))
    return _MODULES[name].SETTINGS if own is None else factory.settings_of(own, name)


def make(name: str, task: str | None = None, *, terminal_only: bool = False, **changes: Any) -> Environment:
    """`envs.make` without what it says of observations and random parameters."""
    own = _own(check_name(name))
    only = checks.boolean("env.terminal_only", terminal_only)
    if own is not None:
        env = factory.call(name, own, changes if task is None else {"task": task, **changes})
        only = only or env.terminal_only
    else:
        task = tasks(name)[0] if task is None else checks.choice("env.task", task, tasks(name))
        env = _MODULES[name].make(task, changed(_MODULES[name].SETTINGS, changes, "env", traced=True))
    return env.replace(terminal_only=only)  # type: ignore[attr-defined]


def check_name(name: Any) -> str:
    """Returns the name of an environment, or raises InputError, with the closest one or with how to load it."""
    if factory.is_place(name) and name not in _OWN:
        raise InputError(
            "env.name",
            name,
            "is a function of your own, and nothing is imported because a file names it; say it yourself, "
            f"--env={name}, or in Python envs.load({name!r})",
        )
    if isinstance(name, str) and name in _MODULES:
        return name
    return checks.choice("env.name", name, names())


def _own(name: str) -> Callable[..., Environment] | None:
    """The function that makes an environment which is not one of ours; None for ours."""
    if name in _OWN or name in _MODULES:
        return _OWN.get(name)
    return factory.entry(name)
