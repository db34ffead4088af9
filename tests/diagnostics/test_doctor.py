"""The doctor finds what is sick, and says of healthy things that they are."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from pods_jax import envs
from pods_jax.diagnostics import doctor, probes
from scripts import doctor as doctor_script


@pytest.mark.slow
def test_a_healthy_machine_and_folder_are_good_and_left_as_they_were(tmp_path, capsys):
    assert doctor_script.main(["doctor.py", f"--workdir={tmp_path / 'run'}"]) == 0
    text = capsys.readouterr().out
    for name in ("versions", "devices", "sums of squares", "float32 products", "folder"):
        assert name in text
    assert "BAD" not in text
    assert list(tmp_path.iterdir()) == []


def test_wrong_sums_are_found(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_squares", lambda matrix, vectors: jnp.zeros(vectors.shape[0]))
    assert doctor_script.main(["doctor.py"]) == 4
    written = capsys.readouterr()
    assert "60001 rows wrong; see jax#39103" in written.out
    assert "not as it should be: sums of squares" in written.err


def test_bad_numbers_of_an_environment_are_found(monkeypatch, capsys):
    monkeypatch.setattr(probes, "derivative_error", lambda env: float("nan"))
    monkeypatch.setattr(probes, "order_of_convergence", lambda name, task: 1.06)
    monkeypatch.setattr(probes, "energy_drift", lambda env: (0.0, 0.2))
    monkeypatch.setattr(probes, "conditioning", lambda env: (-2e-3, -1e4))
    assert [finding.good for finding in doctor.environment("pendulum_2d", None)] == [False] * 4


@pytest.mark.slow
def test_a_free_pendulum_is_healthy():
    env = envs.make("pendulum_2d")
    growth, change = probes.energy_drift(env)
    finer, _ = probes.energy_drift(envs.make("pendulum_2d", time_step=env.time_step / 4, horizon=4 * env.horizon))
    assert probes.derivative_error(env) < 1e-7
    assert -0.2 < change < 0  # BDF2 damps; how much depends on the random motion
    assert 0 <= growth < 0.05
    assert finer < growth / 4  # an error of the method, which goes with the time step


def test_an_environment_without_energy_leaves_that_finding_out():
    env = envs.make("pendulum_2d")
    silent = env.replace(functions=dataclasses.replace(env.functions, energy=None))
    assert doctor.energy(silent) == doctor.Finding("energy", True, "left out: pendulum_2d gives none")
    assert doctor.energy(env).good
    assert "of the free motion changes" in doctor.energy(env).seen


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_energy_of_the_wrong_sign_is_found_whichever_way_it_goes(sign):
    """The height counted downwards: such an energy rises and falls by twice the potential in each swing."""
    env = envs.make("pendulum_2d", initial_speed=3.0)

    def wrong(parameters, state):
        right = env.functions.energy(parameters, state)
        return dataclasses.replace(right, kinetic=sign * right.kinetic, potential=-sign * right.potential)

    assert not doctor.energy(env.replace(functions=dataclasses.replace(env.functions, energy=wrong))).good


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", envs.names())
def test_every_environment_is_healthy(name):
    with jax.enable_x64(False):  # as the script is called
        assert all(finding.good for finding in doctor.environment(name, None)), name
