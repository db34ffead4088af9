"""Physical parameters of an environment by name: which numbers of `env.parameters` they are, and others in their
place.

A name is that of an array in `env.parameters`, as short as it is unique: "gravity", "rotor.mass",
"springs.stiffness". Of an array with several numbers, "mass" stands for each of them, "mass[0]" for one, and
"mass[:]" for one value that all of them share. Where a setting is called otherwise than its array, its name is one
too: "link_length" of chains and ropes. What follows from a parameter, such as where a load hangs, follows the new
value; values may be traced, and so may those of the environment. What cannot be said so is a function of named
values that returns an environment.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import registry
from pods_jax.envs.environment import Environment

ALIASES = {"link_length": "springs.rest_length"}
"""Settings that are arrays of another name."""

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
NOT_NEGATIVE = ("damping", "drag", "friction", "motor_inertia", "torque_ratio")
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
        """The environment with these values (p,) and what follows from them.

        env: the one to change, if nothing is built.
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
        parameters = jax.tree.unflatten(structure, leaves)
        derived = env.functions.derived
        return env.replace(parameters=parameters if derived is None else derived(parameters))  # type: ignore[attr-defined]

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
    checks.instance("env", env, Environment, 'envs.make("pendulum_2d")')
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError("parameters", names, f"must be a list of names, for example [{names!r}]")
    known = _arrays(env)
    places = [place for name in names for place in _places(env, name, known)]
    if not places:
        raise InputError("parameters", list(names), f"must name at least one of {', '.join(known)}")
    _refuse_twice(places)
    return Parameters(tuple(place.name for place in places), tuple(places))


def replaced(env: Environment, values: Mapping[str, Any]) -> Environment:
    """The environment with other values of named parameters, numbers or traced: `{"mass[0]": 0.6}`.

    A name of an array with several numbers takes one value for each of them. What follows from them is computed anew.
    Raises InputError as `find`, for values that are no numbers, and for known ones that physics does not allow.
    """
    checks.instance("env", env, Environment, 'envs.make("pendulum_2d")')
    if not checks.mapping("values", values):
        return env
    wanted = [_wanted(env, find(env, [name]), name, value) for name, value in values.items()]
    return find(env, list(values)).environment(env, jnp.concatenate(wanted))


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


def must_be_positive(env: Environment, name: str) -> bool:
    """Whether physics does not allow zero for a parameter."""
    return getattr(_setting(env, name), "above", None) == 0 or _last_word(name) in POSITIVE


def _wanted(env: Environment, parameters: Parameters, name: str, value: Any) -> jax.Array:
    """(p,) the new values of the parameters that one name stands for."""
    dtype = jnp.result_type(*(jax.tree.leaves(env.parameters)[place.leaf] for place in parameters.places))
    where = f"values[{name!r}]"
    found = jnp.ravel(checks.reals(where, value, None, dtype))
    if found.shape != (len(parameters.names),):
        raise InputError(where, value, f"must be {len(parameters.names)} number(s), one for each of its entries")
    if not checks.is_traced(found):
        lowest, highest = bounds_of(env, name)
        if not np.all(np.isfinite(found)) or np.any(found < lowest) or np.any(found > highest):
            raise InputError(where, value, f"must be within its bounds, {lowest:g} to {highest:g}")
    return found


def _arrays(env: Environment) -> dict[str, tuple[int, Any]]:
    """The arrays of real numbers in the parameters of an environment, traced or known, by their whole paths."""
    leaves = jax.tree_util.tree_leaves_with_path(env.parameters)
    arrays = [leaf if checks.is_traced(leaf) else np.asarray(leaf) for _, leaf in leaves]
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    named = {path: (i, array) for i, (path, array) in enumerate(zip(paths, arrays, strict=True))}
    if not named:
        raise InputError(
            f"{env.name} keeps no parameters: give a function of named values that returns an environment in place "
            'of env, for example lambda mass: envs.from_step(...), and parameters={"mass": 1.0}'
        )
    return {name: found for name, found in named.items() if found[1].dtype.kind == "f" and found[1].size}


def _full_name(env: Environment, path: str, known: Mapping[str, Any]) -> str:
    """The whole path of the one array that a name means."""
    meant = ALIASES[path] if path in ALIASES and path in _settings(env) else path
    fitting = [full for full in known if full == meant or full.endswith(f".{meant}")]
    if not fitting:
        words = {full.rsplit(".", 1)[-1]: full for full in known} | {full: full for full in known}
        close = difflib.get_close_matches(path, words, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError("parameters", path, f"{hint}the names are {', '.join(known)}")
    if len(fitting) > 1 and meant not in fitting:
        raise InputError("parameters", path, f"is not unique: write one of {', '.join(fitting)}")
    return meant if meant in fitting else fitting[0]


def _places(env: Environment, name: str, known: Mapping[str, tuple[int, Any]]) -> list[Place]:
    """The numbers that one name stands for."""
    match = re.fullmatch(r"([^\[\]]+)(?:\[([\d, :]+)\])?", str(name))
    path, index = match.groups() if match else (str(name), None)
    full = _full_name(env, path, known)
    leaf, array = known[full]
    if index is None:
        return [Place(f"{path}{_index_text(i)}", leaf, i) for i in np.ndindex(array.shape)]
    if index.strip() == ":":
        if not checks.is_traced(array) and np.ptp(array) > 0:
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


def _settings(env: Environment) -> Mapping[str, Any]:
    """The fields of the settings of an environment of the registry, by name; of others, none."""
    return type(registry.settings_of(env.name)).__dataclass_fields__ if env.name in registry.names() else {}


def _setting(env: Environment, name: str) -> Any:
    """What is known of the setting of an environment of the registry that a parameter comes from, or None."""
    fields, word = _settings(env), _last_word(name)
    numbers = re.findall(r"\d+", name.partition("[")[2])
    tried = [word, *(f"{word}_{int(number) + 1}" for number in numbers[:1]), f"{word}_1"]
    return next((fields[each].metadata.get("setting") for each in tried if each in fields), None)


def check_values(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """The values as finite numbers; raises InputError naming the one that is none."""
    return {key: checks.number(f"{name}[{key!r}]", value) for key, value in values.items()}
