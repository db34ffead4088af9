"""Environments of users in runs: how the one of a run is made again, from its folder and what the user says.

`config.json` holds the name and the settings of an environment that a function makes. Nothing is imported because a
file names it, so whoever reads the folder of such a run says the name once more, `--env=my_package:make_crane`. Of an
environment that was given as a value, `config.json` holds a description, which the one that is given again must fit.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from pods_jax import checks, envs
from pods_jax.checks import InputError
from pods_jax.envs import Environment, registry
from pods_jax.runs.configuration import Configuration, check, describe, differences
from pods_jax.runs.workdir import Workdir

Own: TypeAlias = Environment | str | None
"""An environment, or "module:function", or nothing."""


def load(config: Mapping[str, Any]) -> None:
    """Imports the function that a configuration of the user names, if it does; see `envs.load`."""
    section = config.get("env")
    if isinstance(section, Mapping) and isinstance(section.get("name"), str):
        envs.load(section["name"])


def read_configuration(folder: Workdir, env: Own = None) -> Configuration:
    """The configuration of the run in a folder, checked.

    env: what the user says of its environment, needed where that is not one of the package; see the module. Raises
    CheckpointError if the folder holds no run, and InputError, with the cure, for another environment.
    """
    fields = folder.read_config()
    section = fields.get("env")
    if not isinstance(section, Mapping) or "name" not in section:
        return check(fields)  # refuses
    if "value" in section:
        return check(fields, _value(folder, section, env))
    if env is None:
        return check(fields)
    name = section["name"]
    if not isinstance(env, str):
        raise InputError("env", env, f"{folder.path} holds a run in {name!r}; give this name", found="is a value")
    if not registry.is_own(name) and env != name:
        raise InputError("env", env, f"{folder.path} holds a run in {name!r}, an environment of ours; leave it out")
    envs.load(env)
    return check({**fields, "env": {**section, "name": env}})


def _value(folder: Workdir, section: Mapping[str, Any], env: Own) -> Environment:
    """The environment of a run that was given as a value. Raises InputError without one, and for another one."""
    if env is None:
        raise InputError(
            f"{folder.path} holds a run in {section['name']!r}, an environment that was given in Python: name a "
            "function that makes it, such as --env=my_package:make_it, or in Python give it, env=it"
        )
    if isinstance(env, str):
        envs.load(env)
        env = envs.make(env)
    env = checks.instance("env", env, Environment, "envs.from_step(...)")
    changed = differences(section, describe(env), "env")
    if changed:
        raise InputError("\n  ".join([f"{folder.path} holds a run in another environment", *changed]))
    return env
