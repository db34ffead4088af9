"""Settings of algorithms and environments: meaning, unit, default and range of each, said once.

    @dataclass(frozen=True)
    class Config:
        batch_size: int = setting(400, "rollouts per epoch", at_least=1)
        guard: Guard = group(Guard, "when a new policy is taken")

Checks (`check`, `changed`), help and documents (`rows`) are made from it. The type of the default says what is
allowed: a bool, a whole number, a finite number, one of some words, or a tuple of whole numbers.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from pods_jax import checks
from pods_jax.checks import InputError


class Config(Protocol):
    """A frozen dataclass whose fields are made by `setting` and `group`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True)
class Setting:
    """What is known of one setting besides its default."""

    meaning: str
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, path: str, value: Any, default: Any, traced: bool = False) -> Any:
        """The value in the type of the default; raises InputError naming the path if it is not allowed.

        traced: whether numbers may be traced, of which only the shape is checked.
        """
        if self.choices:
            return checks.choice(path, value, self.choices)
        if isinstance(default, bool):
            return checks.boolean(path, value)
        if isinstance(default, int):
            at_least = -(2**63) if self.at_least is None else int(self.at_least)
            return checks.integer(path, value, at_least=at_least, at_most=_whole(self.at_most))
        if isinstance(default, float):
            allow = checks.scalar if traced else checks.number
            return allow(path, value, above=self.above, at_least=self.at_least, at_most=self.at_most)
        if isinstance(default, tuple) and default and all(isinstance(entry, int) for entry in default):
            return checks.sizes(path, value)
        if isinstance(default, tuple) and default and all(isinstance(entry, float) for entry in default):
            if traced and checks.is_traced(value):
                return tuple(checks.scalars(path, value, (len(default),)))
            return tuple(checks.array(path, value, (len(default),), at_least=self.at_least).tolist())
        return value  # checked by whoever uses it

    def allowed(self, default: Any) -> str:
        """The allowed values in words, for help and documents."""
        if self.choices:
            return ", ".join(self.choices)
        if isinstance(default, bool):
            return "True, False"
        if isinstance(default, str):
            return "text"
        if isinstance(default, tuple):
            return (
                f"{len(default)} numbers" if any(isinstance(entry, float) for entry in default) else "whole numbers"
            )
        bounds = ((">", self.above), (">=", self.at_least), ("<=", self.at_most))
        kind = "whole number" if isinstance(default, int) else "number"
        return " ".join([kind, *(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)])


@dataclass(frozen=True)
class Row:
    """One line of help or of a table: everything about one setting as text."""

    path: str
    default: str
    allowed: str
    unit: str
    meaning: str


def setting(default: Any, meaning: str, **known: Any) -> Any:
    """A field of a settings dataclass; known: `unit`, `above`, `at_least`, `at_most`, `choices` of a Setting."""
    return dataclasses.field(default=default, metadata={"setting": Setting(meaning, **known)})


def group(kind: Any, meaning: str) -> Any:
    """A field that holds settings of its own, an instance of the dataclass `kind`."""
    return dataclasses.field(default_factory=kind, metadata={"group": kind, "meaning": meaning})


def mistakes(
    base: Config,
    values: Mapping[str, Any],
    path: str,
    moved: Mapping[str, str] | None = None,
    *,
    traced: bool = False,
) -> list[InputError]:
    """What is wrong with new values for some settings, groups as mappings: one error for each mistake.

    path: how the settings are called in messages, "algorithm" for example. moved: former names of settings, and where
    they are now. traced: whether numbers may be traced.
    """
    fields = {field.name: field for field in dataclasses.fields(base)}
    found: list[InputError] = []
    for name, value in values.items():
        where = f"{path}.{name}"
        try:
            if moved and name in moved and not (name in fields and isinstance(value, Mapping)):
                raise InputError(where, value, f"is now {path}.{moved[name]}{_in_python(moved[name], value)}")
            if name not in fields:
                raise InputError(where, value, _closest(name, fields))
            field = fields[name]
            if kind := field.metadata.get("group"):
                inner = dataclasses.asdict(value) if isinstance(value, kind) else _as_mapping(where, value, kind)
                found += mistakes(getattr(base, name), inner, where, traced=traced)
            else:
                _known(field).check(where, value, getattr(base, name), traced)
        except InputError as error:
            found.append(error)
    return found


def changed(
    base: ConfigT,
    values: Mapping[str, Any],
    path: str,
    moved: Mapping[str, str] | None = None,
    *,
    traced: bool = False,
) -> ConfigT:
    """The settings with new values for some, as for `mistakes`: `{"batch_size": 8, "guard": {"size": 4}}`.

    Raises InputError for the first mistake: a name that does not exist (with the new or the closest one), or a value
    that is not allowed.
    """
    if found := mistakes(base, values, path, moved, traced=traced):
        raise found[0]
    groups = {field.name for field in dataclasses.fields(base) if "group" in field.metadata}
    new = dict(values)
    for name in groups & new.keys():
        if isinstance(new[name], Mapping):
            new[name] = changed(getattr(base, name), new[name], f"{path}.{name}", traced=traced)
    return check(dataclasses.replace(base, **new), path, traced=traced)


def check(config: ConfigT, path: str, *, traced: bool = False) -> ConfigT:
    """The settings with each value in the type of its default; raises InputError for one that is not allowed."""
    found = {}
    for field in dataclasses.fields(config):
        value, where = getattr(config, field.name), f"{path}.{field.name}"
        if kind := field.metadata.get("group"):
            if not isinstance(value, kind):
                raise InputError(where, value, f"must be an instance of {kind.__name__}")
            found[field.name] = check(value, where, traced=traced)
        else:
            default = value if field.default is MISSING else field.default
            found[field.name] = _known(field).check(where, value, default, traced)
    return dataclasses.replace(config, **found)


def rows(config: Config, path: str) -> Iterator[Row]:
    """One row for each setting with its value as the default, groups after the settings beside them."""
    fields = dataclasses.fields(config)
    for field in fields:
        if "group" not in field.metadata:
            known, value = _known(field), getattr(config, field.name)
            yield Row(f"{path}.{field.name}", repr(value), known.allowed(value), known.unit, known.meaning)
    for field in fields:
        if "group" in field.metadata:
            yield from rows(getattr(config, field.name), f"{path}.{field.name}")


def scaled(config: ConfigT, ending: str, factor: float) -> ConfigT:
    """The settings with those whose names end so, in groups as well, multiplied by a factor."""
    changed = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "group" in field.metadata:
            changed[field.name] = scaled(value, ending, factor)
        elif field.name.endswith(ending):
            changed[field.name] = value * factor
    return dataclasses.replace(config, **changed)


def places(config: Config) -> dict[str, str]:
    """Where the settings inside groups are, by their names alone: `{"learning_rate": "optimizer.learning_rate"}`.

    Of those that are called alike the one of the first group is meant; settings beside the groups are left out.
    """
    fields = dataclasses.fields(config)
    found: dict[str, str] = {}
    for outer in (field for field in fields if "group" in field.metadata):
        for inner in dataclasses.fields(getattr(config, outer.name)):
            found.setdefault(inner.name, f"{outer.name}.{inner.name}")
    return {name: place for name, place in found.items() if name not in {field.name for field in fields}}


def _known(field: Any) -> Setting:
    """What is known of a setting; of a field of a plain dataclass, nothing but its default."""
    known: Setting = field.metadata.get("setting", Setting(""))
    return known


def _as_mapping(path: str, value: Any, kind: type[Config]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        names = ", ".join(field.name for field in dataclasses.fields(kind))
        raise InputError(path, value, f"must be a group of settings, some of {names}")
    return value


def _closest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}the settings are {', '.join(names)}"


def _in_python(name: str, value: Any) -> str:
    """How a setting in a group is written in Python, as a hint."""
    outer, _, inner = name.partition(".")
    return f" (in Python {outer}={{{inner!r}: {value!r}}})" if inner else ""


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)
