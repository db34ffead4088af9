"""What a run meets around it: caches that others wrote, clocks that jump, locales, flag files, notebooks."""

import time

import pytest

from configs import pods as pods_config
from pods_jax.commands import program_cache
from pods_jax.runs import experiment, metrics_log
from pods_jax.storage import checkpoints
from scripts import evaluate, train
from tests.faults import processes, toy

COUNTS = ("--config.num_epochs=2", "--config.evaluate_every=1", "--config.num_test_rollouts=4")


def run_toy(folder, **counts):
    config = pods_config.get_config().to_dict() | {"num_test_rollouts": 4} | counts
    return experiment.run(config, folder, evaluator=toy.EVALUATOR)


def looks(folder):
    """The epochs after which the policy was measured."""
    return [row["epoch"] for row in metrics_log.read(folder / "metrics.jsonl") if "test/return_mean" in row]


@pytest.mark.slow
def test_a_run_that_stopped_off_the_grid_of_its_evaluations_comes_back_to_it(tmp_path, undisturbed):
    whole = undisturbed(12, evaluate_every=5)
    for num_epochs in (7, 12):
        run_toy(tmp_path / "parts", num_epochs=num_epochs, evaluate_every=5)
    assert processes.final_state(tmp_path / "parts") == processes.final_state(whole)
    assert looks(whole) == [0, 5, 10, 12]
    assert looks(tmp_path / "parts") == [0, 5, 7, 10, 12]
    trained = [
        [{name: value for name, value in row.items() if name.startswith("train/")} for row in processes.history(each)]
        for each in (whole, tmp_path / "parts")
    ]
    assert trained[0] == trained[1]


@pytest.mark.slow
def test_a_kill_off_the_grid_loses_nothing_that_was_saved(tmp_path, undisturbed):
    whole, folder = undisturbed(12, evaluate_every=5), tmp_path / "run"
    run_toy(folder, num_epochs=7, evaluate_every=5)
    arguments = processes.command(folder, "--config.evaluate_every=5", seconds=30)
    with processes.start(arguments) as process:
        processes.wait_for(process, "measuring")  # epochs 8 to 10 are trained
        process.kill()
    assert checkpoints.latest_epoch(folder / "checkpoints") == 7
    processes.finish(processes.command(folder, "--config.evaluate_every=5"))
    assert processes.final_state(folder) == processes.final_state(whole)
    assert looks(folder) == [0, 5, 7, 10, 12]


@pytest.mark.exhaustive
def test_two_devices_then_one_then_three_give_the_bits_of_one(tmp_path, undisturbed):
    folder = tmp_path / "run"
    for num_devices, num_epochs in ((2, 4), (1, 8), (3, 12)):
        sizes = ("--config.algorithm.batch_size=12", "--config.algorithm.guard.size=6")
        arguments = processes.command(folder, *sizes, f"--num_devices={num_devices}", num_epochs=num_epochs)
        out, _ = processes.finish(arguments, env=processes.environment(num_devices))
        assert ("the bits may differ" in out) == (num_epochs > 4)
    processes.assert_as_if_undisturbed(folder, undisturbed(processes.NUM_EPOCHS))


@pytest.mark.exhaustive
def test_a_cache_that_is_shared_damaged_or_cannot_be_written_changes_nothing(tmp_path, undisturbed):
    whole, cache = undisturbed(2), tmp_path / "cache"
    told = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def begin(name):
        return processes.start(processes.command(tmp_path / name, num_epochs=2), env=processes.environment() | told)

    with begin("first") as first, begin("second") as second:  # both write the same programs
        assert (first.wait(timeout=200), second.wait(timeout=200)) == (0, 0)
    entries = [path for path in cache.iterdir() if path.name.endswith("-cache")]
    assert entries
    for index, path in enumerate(entries):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if index % 2 else content[:-1] + bytes([content[-1] ^ 1]))
    with begin("damaged") as process:
        assert process.wait(timeout=200) == 0
    told["JAX_COMPILATION_CACHE_DIR"] = str(entries[0] / "below a file")
    with begin("unwritable") as process:
        assert process.wait(timeout=200) == 0
    for name in ("first", "second", "damaged", "unwritable"):
        assert processes.final_state(tmp_path / name) == processes.final_state(whole)


def test_programs_are_kept_apart_for_processors_that_differ(tmp_path):
    description = tmp_path / "cpuinfo"
    seen = set()
    for flags in ("fpu avx2", "fpu avx2 avx512f"):
        description.write_text(f"processor : 0\nmodel name : A\nflags : {flags}\ncpu MHz : 2000\n")
        seen.add(program_cache.processor(description))
        description.write_text(f"processor : 0\nmodel name : A\nflags : {flags}\ncpu MHz : 2100\nprocessor : 1\n")
        seen.add(program_cache.processor(description))
    assert len(seen) == 2
    assert program_cache.processor(tmp_path / "none") == program_cache.processor(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_clock_that_jumps_back_changes_nothing(tmp_path, monkeypatch, undisturbed):
    whole, real = undisturbed(6), (time.time, time.time_ns)
    calls = []

    def jumping():
        calls.append(1)
        return real[0]() - 86_400 * (len(calls) // 7)

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * jumping()))
    for num_epochs in (3, 6):
        run_toy(tmp_path / "run", num_epochs=num_epochs, evaluate_every=1)
    assert len(calls) > 14
    monkeypatch.undo()
    assert processes.final_state(tmp_path / "run") == processes.final_state(whole)
    assert processes.history(tmp_path / "run") == processes.history(whole)
    assert all(row.get("time/seconds_per_epoch", 0) >= 0 for row in metrics_log.read(tmp_path / "run/metrics.jsonl"))
    assert checkpoints.epochs(tmp_path / "run" / "checkpoints") == checkpoints.epochs(whole / "checkpoints")


@pytest.fixture
def in_checkout(monkeypatch, request, install_toy):
    monkeypatch.chdir(request.config.rootpath)
    install_toy()


@pytest.mark.slow
@pytest.mark.usefixtures("in_checkout")
def test_a_flag_file_holds_overrides(tmp_path, capsys):
    file = tmp_path / "flags.txt"
    file.write_text("\n".join(["# of a quick run", "--config=configs/pods.py", *COUNTS, "--config.seed=7"]))
    command = ["train.py", f"--flagfile={file}", f"--workdir={tmp_path / 'run'}"]
    assert train.main(command, toy.EVALUATOR) == 0
    config = processes.read_json(tmp_path / "run" / "config.json")
    assert (config["seed"], config["num_epochs"]) == (7, 2)
    assert train.main([*command, "--config.seed=8"], toy.EVALUATOR) == 2  # what comes later counts
    assert "config.seed: 7, now 8" in capsys.readouterr().err
    (tmp_path / "eval.txt").write_text(f"--workdir={tmp_path / 'run'}\n--checkpoint=1\n")
    assert evaluate.main(["evaluate.py", f"--flagfile={tmp_path / 'eval.txt'}"], toy.EVALUATOR) == 0


def test_the_configuration_of_a_flag_file_takes_the_place_of_the_default(tmp_path):
    from pods_jax.commands.train import with_default

    file = tmp_path / "flags.txt"
    file.write_text("--config=configs/bptt.py\n")
    assert with_default(["pods-train", f"--flagfile={file}"]) == ["pods-train", f"--flagfile={file}"]
    file.write_text("--workdir=runs/a\n")
    assert with_default(["pods-train", f"--flagfile={file}"])[1] == "--config=pods"


@pytest.mark.usefixtures("in_checkout")
def test_a_flag_file_that_is_missing_or_mistaken_is_one_line(tmp_path, capsys):
    file = tmp_path / "flags.txt"
    for text, message in (
        (None, "Unable to open flagfile"),
        ("--config=configs/pods.py\n--config.sed=1\n", "unknown configuration field 'sed'"),
        ("--config=configs/pods.py\n--config.algorithm.polish_after=1\n", "polish_after is now --config.algorithm"),
        ("--config.seed=1\n--config=configs/pods.py\n", "before a value for --config"),
    ):
        if text is not None:
            file.write_text(text)
        assert train.main(["train.py", f"--flagfile={file}", f"--workdir={tmp_path / 'run'}"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_letters_that_cannot_be_passed_on_are_refused_before_anything_is_written(tmp_path, capsys):
    folder = f"{tmp_path}/l\udcc3\udca4uft"  # what Python makes of "läuft" in a locale of ASCII
    for main in (train.main, evaluate.main):
        config = ["--config=configs/pods.py"] if main is train.main else []
        assert main(["script.py", f"--workdir={folder}", *config]) == 2
        assert "has letters that this locale does not know; set LC_ALL=C.UTF-8 or" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_that_is_not_ascii_works_or_is_refused_at_once(tmp_path):
    command = processes.command(tmp_path / "läuft", num_epochs=2)
    spoken = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    _, error = processes.finish(command, status=2, env=processes.environment() | spoken)
    assert "has letters that this locale does not know" in error
    assert not list(tmp_path.iterdir())
    processes.finish(command, env=processes.environment() | {"LC_ALL": "C.UTF-8"})
    assert (tmp_path / "läuft" / "evaluation.json").is_file()


@pytest.mark.exhaustive
def test_a_notebook_that_is_interrupted_while_it_trains_goes_on(tmp_path):
    manager = pytest.importorskip("jupyter_client").manager.KernelManager()
    pytest.importorskip("ipykernel")
    begin = """
import jax, pods_jax
from pods_jax import algorithms, envs
from tests import tiny
algorithm = algorithms.make("pods", envs.make("pendulum_2d", horizon=6), **tiny.settings("pods"))
seen = []
def callback(report):
    seen.append(report.epoch)
    if len(seen) == 1: print("training", flush=True)
pods_jax.train(algorithm, jax.random.key(0), 10**7, [callback], epochs_per_chunk=1)
"""
    again = "state, _ = pods_jax.train(algorithm, jax.random.key(0), 2, epochs_per_chunk=1); print('trained again')"
    environment = processes.environment() | {"PYTHONPATH": str(processes.ROOT), "HOME": str(tmp_path)}
    manager.start_kernel(env=environment, cwd=str(processes.ROOT))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)

        def outcome(code, interrupt=False):
            """What a cell prints, and its end."""
            client.execute(code)
            printed = ""
            while True:
                message = client.get_iopub_msg(timeout=200)
                if message["msg_type"] == "stream":
                    printed += message["content"]["text"]
                    if interrupt and "training" in printed:
                        manager.interrupt_kernel()
                        interrupt = False
                if message["msg_type"] == "error":
                    printed += message["content"]["ename"]
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    return printed

        assert outcome(begin, interrupt=True).endswith("KeyboardInterrupt")
        assert "trained again" in outcome(again)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
