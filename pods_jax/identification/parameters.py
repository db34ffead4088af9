"""Physical parameters of an environment by name: which numbers of `env.parameters` they are, and others in their
place.

A name is that of an array in `env.parameters`, as short as it is unique: "gravity", "rotor.mass",
"springs.stiffness". Of an array with several numbers, "mass" stands for each of them, "mass[0]" for one, and
"mass[:]" for one value that all of them share. What cannot be said so is a function of named values that returns an
environment.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks, envs
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment

UNITS = {
    "rest_length": "m",
    "mass": "kg",
    "stiffness": "N/m",
    "drag": "N s/m",
    "gravity": "m/s^2",
    "damping": "N s/m",
}
"""Of the arrays of spring networks, whose settings are called otherwise."""

POSITIVE = ("mass", "length", "rest_length", "stiffness", "inertia", "arm", "centre")
NOT_NEGATIVE = ("damping", "drag", "friction", "motor_inertia", "gravity", "torque_ratio")
"""Last words of names whose values physics bounds, where no setting of that name says so."""

Build = Callable[..., Environment]


@dataclass(frozen=True)
class Place:
    """Where one parameter stands: in which array of `env.parameters`, counted in the order of jax.tree, and where."""

    name: str
    leaf: int
    index: tuple[int, ...] | None  # None for all entries


@dataclass(frozen=True)
class Parameters:
    """Named numbers, in the order of vectors of values (p,), and how an environment is made from such values."""

    names: tuple[str, ...]
    places: tuple[Place, ...] = ()
    build: Build | None = None

    def environment(self, env: Environment | None, values: jax.Array) -> Environment:
        """The environment with these values (p,), traced ones as well; env: the one to change, if nothing is
        built.
        """
        if self.build is not None:
            return self.build(**dict(zip(self.names, values, strict=True)))
        assert env is not None
        leaves, structure = jax.tree.flatten(env.parameters)
        for place, value in zip(self.places, values, strict=True):
            leaf = jnp.asarray(leaves[place.leaf])
            value = jnp.asarray(value, leaf.dtype)
            leaves[place.leaf] = (
                jnp.broadcast_to(value, leaf.shape) if place.index is None else leaf.at[place.index].set(value)
            )
        return env.replace(parameters=jax.tree.unflatten(structure, leaves))  # type: ignore[attr-defined]

    def values(self, env: Environment) -> np.ndarray:
        """(p,) what an environment has for them; not known of one that a function builds."""
        leaves = jax.tree.leaves(env.parameters)
        found = [np.asarray(leaves[place.leaf], float) for place in self.places]
        return np.asarray(
            [
                leaf.flat[0] if place.index is None else leaf[place.index]
                for place, leaf in zip(self.places, found, strict=True)
            ]
        )


def find(env: Environment, names: Sequence[str]) -> Parameters:
    """The parameters of these names. Raises InputError for none, an unknown, an ambiguous or a repeated one."""
    if isinstance(names, str):
        raise InputError("parameters", names, f"must be a list of names, for example [{names!r}]")
    known = _arrays(env)
    places = [place for name in names for place in _places(name, known)]
    found = tuple(place.name for place in places)
    if not found:
        raise InputError("parameters", list(names), f"must name at least one of {', '.join(known)}")
    _refuse_twice(places)
    return Parameters(found, tuple(places))


def replaced(env: Environment, values: Mapping[str, Any]) -> Environment:
    """The environment with other values of named parameters, numbers or traced: `{"mass[0]": 0.6}`.

    A name of an array with several numbers takes one value for each of them. Raises InputError as `find`.
    """
    for name, value in values.items():
        parameters = find(env, [name])
        wanted = jnp.ravel(jnp.asarray(value))
        if wanted.shape != (len(parameters.names),):
            raise InputError(name, value, f"must be {len(parameters.names)} number(s), one for each of its entries")
        env = parameters.environment(env, wanted)
    return env


def values(env: Environment, names: Sequence[str]) -> dict[str, float]:
    """What an environment has for named parameters, each number by its own name. Raises InputError as `find`."""
    found = find(env, names)
    return dict(zip(found.names, found.values(env).tolist(), strict=True))


def unit_of(env: Environment, name: str) -> str:
    """The unit of a parameter, from the setting of that name; "" where nobody said."""
    setting = _setting(env, name)
    return setting.unit if setting is not None else UNITS.get(_last_word(name), "")


def bounds_of(env: Environment, name: str) -> tuple[float, float]:
    """What physics allows for a parameter: the range of the setting of that name, or what its last word says."""
    setting, word = _setting(env, name), _last_word(name)
    lowest = next(
        (b for b in (getattr(setting, "above", None), getattr(setting, "at_least", None)) if b is not None), None
    )
    highest = getattr(setting, "at_most", None)
    if lowest is None and word in (*POSITIVE, *NOT_NEGATIVE):
        lowest = 0.0
    return (-np.inf if lowest is None else lowest, np.inf if highest is None else highest)


def _arrays(env: Environment) -> dict[str, tuple[int, np.ndarray]]:
    """The arrays of real numbers in the parameters of an environment, by their whole paths."""
    leaves = jax.tree_util.tree_leaves_with_path(env.parameters)
    named = {
        jax.tree_util.keystr(path, simple=True, separator="."): (i, np.asarray(leaf))
        for i, (path, leaf) in enumerate(leaves)
    }
    if not named:
        raise InputError(
            f"{env.name} keeps no parameters: give a function of named values that returns an environment in place "
            'of env, for example lambda mass: envs.from_step(...), and parameters={"mass": 1.0}'
        )
    return {name: found for name, found in named.items() if found[1].dtype.kind == "f" and found[1].size}


def _places(name: str, known: Mapping[str, tuple[int, np.ndarray]]) -> list[Place]:
    """The numbers that one name stands for."""
    match = re.fullmatch(r"([^\[\]]+)(?:\[([\d, :]+)\])?", str(name))
    path, index = match.groups() if match else (str(name), None)
    fitting = [full for full in known if full == path or full.endswith(f".{path}")]
    if not fitting:
        words = {full.rsplit(".", 1)[-1]: full for full in known} | {full: full for full in known}
        close = difflib.get_close_matches(path, words, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError("parameters", name, f"{hint}there are {', '.join(known)}")
    if len(fitting) > 1 and path not in fitting:
        raise InputError("parameters", name, f"is not unique: write one of {', '.join(fitting)}")
    full = path if path in fitting else fitting[0]
    leaf, array = known[full]
    if index is None:
        return [Place(f"{path}{_index_text(i)}", leaf, i) for i in np.ndindex(array.shape)]
    if index.strip() == ":":
        if np.ptp(array) > 0:
            raise InputError(
                "parameters", name, f"must be equal numbers to share one value, they are {array.tolist()}"
            )
        return [Place(name, leaf, None)]
    numbers = tuple(int(number) for number in index.split(",")) if ":" not in index else ()
    if len(numbers) != array.ndim or any(not 0 <= n < size for n, size in zip(numbers, array.shape, strict=False)):
        raise InputError("parameters", name, f"must be an entry of {full}, which has shape {array.shape}")
    return [Place(name, leaf, numbers)]


def _index_text(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def _refuse_twice(places: Sequence[Place]) -> None:
    """Raises InputError where two names mean the same number."""
    for i, place in enumerate(places):
        for other in places[:i]:
            if place.leaf == other.leaf and (place.index == other.index or None in (place.index, other.index)):
                raise InputError("parameters", place.name, f"must stand for another number than {other.name}")


def _last_word(name: str) -> str:
    return name.partition("[")[0].rsplit(".", 1)[-1]


def _setting(env: Environment, name: str) -> Any:
    """What is known of the setting of an environment of the registry that a parameter comes from, or None."""
    if env.name not in envs.names():
        return None
    fields = type(envs.settings_of(env.name)).__dataclass_fields__
    word = _last_word(name)
    numbers = re.findall(r"\d+", name.partition("[")[2])
    tried = [word, *(f"{word}_{int(number) + 1}" for number in numbers[:1]), f"{word}_1"]
    return next((fields[each].metadata.get("setting") for each in tried if each in fields), None)


def check_values(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """The values as finite numbers; raises InputError naming the one that is none."""
    return {key: checks.number(f"{name}[{key!r}]", value) for key, value in values.items()}
