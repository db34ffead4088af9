"""Settings: what is said once about each is what is checked, shown and documented."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from pods_jax import InputError, algorithms, settings
from pods_jax.settings import group, setting


@dataclass(frozen=True)
class Inner:
    """A group."""

    rate: float = setting(0.5, "how fast", unit="1/s", above=0.0, at_most=1.0)
    kind: str = setting("auto", "which one", choices=("auto", "other"))


@dataclass(frozen=True)
class Outer:
    """Settings with one of each kind."""

    count: int = setting(3, "how many", at_least=1)
    flag: bool = setting(False, "whether")
    sizes: tuple[int, ...] = setting((4, 4), "how large")
    weights: tuple[float, float] = setting((1.0, 2.0), "how much", at_least=0.0)
    inner: Inner = group(Inner, "more")


def build(**values):
    return settings.changed(Outer(), values, "thing", {"speed": "inner.rate", "number": "count"})


def test_defaults_stay_and_values_get_the_type_of_the_default():
    assert build() == Outer()
    built = build(count=np.int64(5), inner={"rate": 1}, sizes=[2, 3], weights=[1, 0])
    assert built == Outer(count=5, inner=Inner(rate=1.0), sizes=(2, 3), weights=(1.0, 0.0))
    assert type(built.count) is int
    assert type(built.inner.rate) is float
    assert build(inner=Inner(rate=0.25)).inner.rate == 0.25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "thing.count = 0: must be a whole number, at least 1"),
        ({"flag": 1}, "thing.flag = 1: must be True or False"),
        ({"inner": {"rate": 1.5}}, "thing.inner.rate = 1.5: must be a finite number, greater than 0, at most 1"),
        ({"inner": {"rate": 0.0}}, "thing.inner.rate = 0.0: must be a finite number, greater than 0, at most 1"),
        ({"inner": {"kind": "othr"}}, "thing.inner.kind = 'othr': did you mean 'other'?"),
        ({"inner": {"rat": 1.0}}, "did you mean 'rate'?"),
        ({"inner": 3}, "thing.inner = 3: must be a group of settings, some of rate, kind"),
        ({"inner": Inner(rate=7.0)}, "thing.inner.rate = 7.0"),
        ({"weights": (1.0,)}, "thing.weights has shape (1,): must have shape (2,)"),
        ({"coutn": 3}, "did you mean 'count'?"),
        ({"speed": 0.1}, "thing.speed = 0.1: is now thing.inner.rate (in Python inner={'rate': 0.1})"),
        ({"number": 4}, "thing.number = 4: is now thing.count"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_path(values, message):
    with pytest.raises(InputError) as refused:
        build(**values)
    assert message in str(refused.value)


def test_all_mistakes_are_found_at_once():
    found = settings.mistakes(Outer(), {"count": 0, "flag": 2, "inner": {"rate": 9.0, "kind": "auto"}}, "thing")
    assert [str(error).partition(" = ")[0] for error in found] == ["thing.count", "thing.flag", "thing.inner.rate"]


def test_rows_say_everything_about_each_setting():
    rows = {row.path: row for row in settings.rows(Outer(), "thing")}
    assert list(rows) == [f"thing.{n}" for n in ("count", "flag", "sizes", "weights", "inner.rate", "inner.kind")]
    rate = rows["thing.inner.rate"]
    assert (rate.default, rate.allowed, rate.unit, rate.meaning) == ("0.5", "number > 0 <= 1", "1/s", "how fast")
    assert rows["thing.inner.kind"].allowed == "auto, other"


def test_scaling_reaches_groups_and_nothing_else():
    assert settings.scaled(Outer(), "rate", 0.5) == Outer(inner=Inner(rate=0.25))


@pytest.mark.parametrize("name", algorithms.names())
def test_every_setting_of_an_algorithm_is_described_and_its_default_is_allowed(name):
    kind = algorithms.config_of(name)
    assert settings.check(kind(), "algorithm") == kind()
    for row in settings.rows(kind(), "algorithm"):
        assert len(row.meaning) > 5, row
        assert row.allowed, row
    assert settings.changed(kind(), algorithms.settings(name), "algorithm") == kind()
    leaves = [row.path.partition(".")[2] for row in settings.rows(kind(), "algorithm")]
    moved = algorithms.moved(name)
    assert set(moved.values()) <= set(leaves)
    assert not set(moved) & {field.name for field in dataclasses.fields(kind)} - {"regression"}
