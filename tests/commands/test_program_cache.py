"""Compiled programs are kept for the next run, where they belong, and loading them says nothing."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from pods_jax.commands.program_cache import kept_programs


@pytest.fixture
def untold():
    """As a script finds jax, which this suite has told of a folder."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_a_script_keeps_them_below_the_cache_of_the_user(untold, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with kept_programs():
        assert pathlib.Path(jax.config.values["jax_compilation_cache_dir"]).parent == tmp_path / "pods_jax"
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_a_folder_that_jax_was_told_of_stays(tmp_path):
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with kept_programs():
            assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_loading_them_says_nothing(capfd):
    before = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    try:
        with kept_programs():
            for _ in range(2):  # the second is another function to jax, and the same program to the cache
                assert jax.jit(lambda x: jnp.linalg.inv(x) @ x + 7)(jnp.eye(3))[0, 0] == 8
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before)
    assert "cpu_aot_loader" not in capfd.readouterr().err
