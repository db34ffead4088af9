"""What the next run finds again, and what it must not find."""

import io
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from pods_jax import evaluation
from pods_jax.runs.configuration import check
from pods_jax.runs.evaluator import prepare_heldout_set
from pods_jax.storage import optimum_cache
from tests import tiny

ENV = {"name": "pendulum_2d", "task": "stop", "horizon": 50}


@pytest.fixture
def folder(tmp_path):
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def test_they_are_found_by_all_that_they_depend_on(folder, monkeypatch):
    path = optimum_cache.path_of(ENV, 10)
    assert path.is_relative_to(folder)
    assert path == optimum_cache.path_of(dict(reversed(ENV.items())), 10)
    others = [optimum_cache.path_of(ENV | {"horizon": 51}, 10), optimum_cache.path_of(ENV, 11)]
    for name, value in (
        ("sources", lambda: "changed"),
        ("manifest", types.SimpleNamespace(versions=dict, machine=dict)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(optimum_cache, name, value)
            others.append(optimum_cache.path_of(ENV, 10))
    assert len({path, *others}) == 5


def test_the_sources_are_those_of_the_package(tmp_path, monkeypatch):
    (tmp_path / "part").mkdir()
    monkeypatch.setattr(optimum_cache, "HERE", tmp_path)
    seen = set()
    for name, text in (("one.py", "a = 1"), ("part/two.py", ""), ("one.py", "a = 2"), ("notes.txt", "b")):
        (tmp_path / name).write_text(text)
        seen.add(optimum_cache.sources())
    assert len(seen) == 3


def test_nothing_is_kept_where_no_programs_are_kept(folder):
    assert optimum_cache.path_of(ENV, 10)
    jax.config.update("jax_compilation_cache_dir", None)
    assert optimum_cache.path_of(ENV, 10) is None


def test_they_come_back_as_they_were_and_damage_is_as_good_as_nothing(folder):
    path, optimum = optimum_cache.path_of(ENV, 3), jnp.asarray([-1.0, np.nan, -0.5])
    assert optimum_cache.read(path, 3) is None
    optimum_cache.write(path, optimum)
    np.testing.assert_array_equal(optimum_cache.read(path, 3), optimum)
    assert optimum_cache.read(path, 4) is None
    content = path.read_bytes()
    place = content.index(np.asarray(optimum).tobytes())
    flipped = bytearray(content)
    flipped[place] ^= 1
    objects = io.BytesIO()
    np.savez(objects, optimum=np.array([None, 1, 2], dtype=object))
    for damaged in (bytes(flipped), content[: len(content) // 2], b"", b"no zip at all", objects.getvalue()):
        path.write_bytes(damaged)
        assert optimum_cache.read(path, 3) is None
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def counted_search(values):
    """How often a search was made, and a search that finds these values."""
    calls = []

    def make(env, count, search):
        calls.append(search)
        return evaluation.HeldOutSet(None, jnp.asarray(values), searched=search)

    return calls, make


@pytest.mark.usefixtures("folder")
def test_a_second_run_does_not_search_again_and_one_without_search_never():
    (calls, make), output = counted_search([-3.0, -4.0]), io.StringIO()
    config = tiny.config("pods") | {"num_test_rollouts": 2, "search_optimum": True}
    sets = [prepare_heldout_set(check(config), Console(file=output, width=200), make) for _ in range(2)]
    assert calls == [True]
    np.testing.assert_array_equal(sets[0].optimum, sets[1].optimum)
    assert sets[1].searched
    assert jax.tree.leaves(sets[1].states)[0].shape[0] == 2
    assert [line.split()[0] for line in output.getvalue().splitlines()] == ["searching", "the"]
    prepare_heldout_set(check(config | {"search_optimum": False}), Console(file=output), make)
    assert calls == [True, False]


def test_a_full_disk_is_said_and_harms_nothing(folder):
    (calls, make), output = counted_search([-3.0]), io.StringIO()
    (folder / "optima").write_text("a file where a folder should be")
    config = tiny.config("pods") | {"num_test_rollouts": 1, "search_optimum": True}
    found = prepare_heldout_set(check(config), Console(file=output, width=200), make)
    assert calls == [True]
    assert found.optimum[0] == -3.0
    assert "could not be kept" in output.getvalue()
