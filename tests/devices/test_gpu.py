import importlib.metadata
import os
import subprocess
import sys
import types

import pytest

from pods_jax.commands import command_line
from pods_jax.devices import gpu


@pytest.fixture
def nvidia(monkeypatch):
    """A jax that has a plug-in for NVIDIA GPUs."""
    monkeypatch.setattr(gpu, "_can_use_gpus", lambda: True)


def flags_after(monkeypatch, before):
    monkeypatch.setenv("XLA_FLAGS", before)
    gpu.keep_loops_on_device()
    return os.environ["XLA_FLAGS"]


@pytest.mark.parametrize(("package", "expected"), [("jax", "--one=1"), (gpu.PLUGINS[0], f"--one=1 {gpu.LOOPS}")])
def test_the_flag_is_for_those_who_have_the_plugin(monkeypatch, package, expected):
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [types.SimpleNamespace(name=package)])
    assert flags_after(monkeypatch, "--one=1") == expected


def test_with_one_the_flag_joins_those_that_are_there(monkeypatch, nvidia):
    assert flags_after(monkeypatch, "--one=1") == f"--one=1 {gpu.LOOPS}"
    assert flags_after(monkeypatch, "") == gpu.LOOPS


def test_it_is_added_once_and_what_the_user_chose_stays(monkeypatch, nvidia):
    for chosen in (gpu.LOOPS, f"{gpu.COMMAND_BUFFERS}="):
        assert flags_after(monkeypatch, chosen) == chosen


def test_a_script_adds_it_before_jax_looks_for_devices(monkeypatch, nvidia):
    seen = []
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(command_line, "_check_devices", lambda: seen.append(os.environ["XLA_FLAGS"]))
    monkeypatch.setattr(command_line, "parse", lambda *_: None)
    assert command_line.run(lambda: None, {}, ["script.py"], about="") == 0
    assert seen == [gpu.LOOPS]


@pytest.mark.slow
def test_xla_knows_the_flag():
    code = "import jax; jax.jit(lambda x: x + 1)(1.0)"
    environment = os.environ | {"XLA_FLAGS": gpu.LOOPS, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
