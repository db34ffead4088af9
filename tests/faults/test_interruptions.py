"""Runs that are killed, interrupted, disturbed by a second process, or out of disk: nothing saved is lost.

The child process trains the toy; the undisturbed run that it is compared with is done here.
"""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from configs import pods as pods_config
from pods_jax.checks import InputError
from pods_jax.runs import experiment
from pods_jax.storage import checkpoints
from scripts import train
from tests.faults import processes, toy


@pytest.mark.slow
def test_a_run_survives_kill_and_signals_and_keeps_others_out(tmp_path, undisturbed):
    whole, folder = undisturbed(processes.NUM_EPOCHS), tmp_path / "run"
    with processes.start(processes.command(folder)) as process:
        processes.wait_for(process, "measuring", count=4)  # epoch 3 is trained while epoch 2 is saved
        with pytest.raises(InputError, match=f"it is in use by process {process.pid} on .* since 20"):
            experiment.run(pods_config.get_config().to_dict(), folder)
        process.kill()
    epoch = checkpoints.latest_epoch(folder / "checkpoints")
    assert epoch >= 1
    with processes.start(processes.command(folder)) as process:
        processes.wait_for(process, f"continuing after epoch {epoch}")
        processes.wait_for(process, "measuring")
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    saved = checkpoints.latest_epoch(folder / "checkpoints")
    assert f"SIGTERM: saved epoch {saved}; to continue: " in error
    assert "SIGTERM: stopping after these epochs" in out
    with processes.start(processes.command(folder, seconds=60)) as process:
        processes.wait_for(process, "measuring")
        process.send_signal(signal.SIGINT)
        processes.wait_for(process, "SIGINT: stopping after these epochs; once more stops at once")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    assert checkpoints.latest_epoch(folder / "checkpoints") == saved
    processes.finish(processes.command(folder, "--resume=must"))
    processes.assert_as_if_undisturbed(folder, whole)


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_twenty_kills_at_random_moments_change_nothing(tmp_path, undisturbed):
    num_epochs, folder, draw = 60, tmp_path / "run", random.Random(0)
    whole = undisturbed(num_epochs)
    kills_while_saving = 0
    for _ in range(20):
        with processes.start(processes.command(folder, num_epochs=num_epochs)) as process:
            processes.wait_for(process, "s/epoch")  # the first epoch of this process is saved
            time.sleep(draw.uniform(0.0, 0.15))
            process.kill()
        names = [path.name for path in (folder / "checkpoints").glob("*")]
        kills_while_saving += any("tmp" in name for name in names)
        assert sum("tmp" in name for name in names) <= 1
    assert kills_while_saving > 0
    processes.finish(processes.command(folder, num_epochs=num_epochs))
    processes.assert_as_if_undisturbed(folder, whole)
    print(f"{kills_while_saving} of 20 kills hit a save")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights that this user has not")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_named_and_harms_nothing(small_disk, install_toy, capsys):
    install_toy()
    arguments = ["--config=configs/pods.py", "--config.evaluate_every=1", "--config.num_test_rollouts=4"]
    command = ["train.py", f"--workdir={small_disk / 'run'}", *arguments, "--config.num_epochs=3"]
    assert train.main(command, toy.EVALUATOR) == 0
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8 * 4096))
    capsys.readouterr()
    for _ in range(2):  # the second time, nothing of the first is in the way
        assert train.main([*command, "--config.num_epochs=30"], toy.EVALUATOR) == 5
        error = capsys.readouterr().err
        assert "could not be written" in error
        assert "No space left on device" in error or "RESOURCE_EXHAUSTED" in error
        assert "Traceback" not in error
        assert not list((small_disk / "run" / "checkpoints").glob("*tmp*"))
        assert processes.final_state(small_disk / "run")[0] == 3
    (small_disk / "filler").unlink()
    assert train.main([*command, "--config.num_epochs=6"], toy.EVALUATOR) == 0


@pytest.mark.exhaustive
def test_any_number_of_devices_gives_the_same_bits_and_goes_on_with_those_of_another(tmp_path, install_toy):
    def finish(folder, num_devices, num_epochs):
        command = processes.command(tmp_path / folder, num_epochs=num_epochs)
        return processes.finish(command, env=processes.environment(num_devices))[0]

    finish("four", 4, 6)
    finish("one", 1, 6)
    assert "the bits may differ" in finish("four", 1, 12)
    finish("one", 1, 12)
    install_toy()
    assert processes.final_state(tmp_path / "four") == processes.final_state(tmp_path / "one")


@pytest.mark.exhaustive
def test_a_signal_while_compiling_stops_after_a_chunk(tmp_path):
    tiny = ("batch_size=4", "hidden_sizes=(4,)", "regression.gradient_steps=2", "guard.size=2")
    arguments = [
        *(sys.executable, "scripts/train.py", "--config=configs/pods.py", f"--workdir={tmp_path / 'run'}"),
        *("--config.env.horizon=3", "--config.num_test_rollouts=2", "--config.search_optimum=False"),
        *(f"--config.algorithm.{setting}" for setting in tiny),
    ]
    with processes.start(arguments) as process:
        processes.wait_for(process, "compiling the training program")
        process.send_signal(signal.SIGTERM)
        processes.wait_for(process, "SIGTERM: stopping after these epochs")  # at once, although jax compiles
        out, error = process.communicate(timeout=120)
    assert process.returncode == 143, error
    assert "SIGTERM: saved epoch 5; to continue: " in error
    assert "compiled in" in out
