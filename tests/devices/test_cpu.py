"""How many devices jax finds is decided once in a process, so that each of these tests needs one of its own."""

import os
import subprocess
import sys

import jax
import pytest

from pods_jax import InputError
from pods_jax.devices import cpu
from tests.faults import processes

LOOK = """
import sys, jax
from pods_jax.devices import cpu
cpu.as_devices(int(sys.argv[1]))
print(len(jax.devices()))
"""
UNDECIDED = {
    name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
} | {"JAX_PLATFORMS": "cpu"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "chosen", "expected"),
    [
        (0, {}, cpu.available()),
        (1, {}, 1),
        (1000, {}, cpu.available()),
        (0, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
        (0, {"JAX_NUM_CPU_DEVICES": "5"}, 5),
    ],
)
def test_jax_finds_as_many_devices_as_there_are_cores_unless_something_is_chosen(count, chosen, expected):
    command = [sys.executable, "-c", LOOK, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=UNDECIDED | chosen)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == expected


def test_what_jax_has_found_already_stays():
    before = jax.devices()
    cpu.as_devices(0)
    assert jax.devices() == before


def test_a_negative_count_is_refused():
    with pytest.raises(InputError, match="num_devices"):
        cpu.as_devices(-1)


@pytest.mark.slow
def test_training_uses_the_cores_of_a_processor(tmp_path):
    processes.finish(processes.command(tmp_path / "run", "--num_devices=0"), env=UNDECIDED)
    assert processes.read_json(tmp_path / "run" / "manifest.json")["num_devices"] == cpu.available()
