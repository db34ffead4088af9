"""Wrong command lines: one clear line, the right exit status, no traceback, nothing written."""

import os
import re
import sys
import types

import jax
import pytest
from absl import flags

from pods_jax.checks import InputError
from pods_jax.commands import command_line
from pods_jax.runs.signals import Interrupted
from pods_jax.storage.checkpoints import CheckpointError
from scripts import evaluate, train

CONFIG = "--config=configs/pods.py"


@pytest.fixture
def run_train(tmp_path, monkeypatch, capsys, request):
    """Calls scripts/train.py; returns its exit status and what it wrote to standard error."""
    monkeypatch.chdir(request.config.rootpath)

    def run(*arguments, workdir=tmp_path / "run"):
        status = train.main(["scripts/train.py", f"--workdir={workdir}", *arguments])
        return status, capsys.readouterr().err

    yield run
    assert not (tmp_path / "run").exists(), "a refused run must leave nothing behind"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (CONFIG, "--config.sed=1"),
            """unknown configuration field 'sed': Did you mean "seed" instead of "sed"?""",
        ),
        ((CONFIG, "--config.env.nam=x"), """field 'nam': Did you mean "name" instead of "nam"?"""),
        ((CONFIG, "--config.algorithm.batchsize=1"), """Did you mean "batch_size" instead of "batchsize"?"""),
        ((CONFIG, "--config.zzz=1"), "unknown configuration field 'zzz'"),
        (
            (CONFIG, "--config.seed=1.5"),
            "flag --config.seed=1.5: invalid literal for int() with base 10: '1.5'",
        ),
        ((CONFIG, "--config.seed=1e3"), "flag --config.seed=1e3"),
        ((CONFIG, "--config.algorithm.optimizer.learning_rate=abc"), "could not convert string to float: 'abc'"),
        ((CONFIG, "--config.env=3"), "flag --config.env=3"),
        ((CONFIG, "--confg.seed=1"), "Unknown command line flag 'confg.seed'"),
        ((CONFIG, "--wrkdir=x"), "Unknown command line flag 'wrkdir'. Did you mean: workdir ?"),
        ((CONFIG, "extra"), "unexpected argument 'extra': every setting is a flag, --name=value"),
        (("--config.seed=1", CONFIG), "Found --config.seed=1 in argv before a value for --config"),
        ((), "--config is missing: name a file, for example --config=configs/pods.py"),
        (
            (CONFIG, "--config.algorithm.guard_size=1"),
            "unknown configuration field 'guard_size'; guard_size is now --config.algorithm.guard.size",
        ),
        ((CONFIG, "--config.algorithm.polish_after=1"), "polish_after is now --config.algorithm.fine_tune_after"),
        (
            (CONFIG, "--config.algorithm.regression=visited_states"),
            "regression is now --config.algorithm.regression.states",
        ),
        (("--config=configs/space.py",), "it is now --config=configs/pods.py --config.env.name=pendulum_3d"),
        (("--config=missing.py",), "the configuration file cannot be read: [Errno 2] No such file"),
        (("--config=missing.py", "--config.seed=1"), "the configuration file cannot be read: [Errno 2]"),
        (("--config=configs",), "the configuration file cannot be read: [Errno 21] Is a directory"),
    ],
)
def test_a_wrong_command_line_is_one_line(run_train, arguments, message):
    status, error = run_train(*arguments)
    assert status == command_line.BAD_INPUT
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def get_config():\n    return nothing",
            r"NameError: name 'nothing' is not defined \(.*config.py:2\)",
        ),
        ("def get_config():\n    return int('x')", r"ValueError: invalid literal .*\(.*config.py:2\)"),
        ("def get_config(:\n    return 1", r"SyntaxError: invalid syntax \(config.py, line 1\)"),
        (
            "def get_config():\n    return {'seed': 1}",
            r"get_config\(\) must return an ml_collections.ConfigDict",
        ),
        ("def get_config():\n    pass", r"--config"),
    ],
)
def test_a_failing_configuration_file_is_one_line(run_train, tmp_path, code, message):
    path = tmp_path / "config.py"
    path.write_text(code)
    status, error = run_train(f"--config={path}")
    assert status == command_line.BAD_INPUT
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--config.env.name=pendulum2d"], ["config.env.name = 'pendulum2d': did you mean 'pendulum_2d'?"]),
        (
            ["--config.env.task=stop_at_orign"],
            ["config.env.task = 'stop_at_orign': did you mean 'stop_at_origin'?"],
        ),
        (["--config.algorithm.name=pod"], ["config.algorithm.name = 'pod': did you mean 'pods'?"]),
        (
            ["--config.algorithm.improvement.method=riccatti"],
            ["config.algorithm.improvement.method = 'riccatti': did you mean 'riccati'?"],
        ),
        (["--config.env.horizon=0"], ["config.env.horizon = 0: must be a whole number, at least 1"]),
        (["--config.env.horizon=-5"], ["config.env.horizon = -5: must be a whole number, at least 1"]),
        (["--config.algorithm.batch_size=-1"], ["config.algorithm.batch_size = -1: must be a whole number"]),
        (
            ["--config.algorithm.optimizer.learning_rate=nan"],
            ["config.algorithm.optimizer.learning_rate = nan: must be a finite number"],
        ),
        (
            ["--config.algorithm.optimizer.learning_rate=-1e-3"],
            ["config.algorithm.optimizer.learning_rate = -0.001: must be a finite"],
        ),
        (
            ["--config.algorithm.hidden_sizes=(64,'a')"],
            ["config.algorithm.hidden_sizes[1] = 'a': must be"],
        ),
        (
            ["--config.seed=-1"],
            ["config.seed = -1: must be a whole number, at least 0 and at most 4294967295"],
        ),
        (
            ["--config.seed=4294967296"],
            ["config.seed = 4294967296: must be a whole number, at least 0 and at most"],
        ),
        (["--config.num_epochs=0"], ["config.num_epochs = 0: must be a whole number, at least 1"]),
        (["--config.evaluate_every=0"], ["config.evaluate_every = 0: must be a whole number, at least 1"]),
        (
            ["--config.num_test_rollouts=-3"],
            ["config.num_test_rollouts = -3: must be a whole number, at least 1"],
        ),
        (
            [
                "--config.env.horizon=0",
                "--config.algorithm.improvement.damping=inf",
                "--config.seed=-1",
                "--config.num_epochs=0",
            ],
            [
                "config.env.horizon = 0",
                "config.algorithm.improvement.damping = inf",
                "config.seed = -1",
                "config.num_epochs = 0",
            ],
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_field(run_train, arguments, messages):
    status, error = run_train(CONFIG, *arguments)
    assert status == command_line.BAD_INPUT
    for message in messages:
        assert message in error
    assert error.count("\n") == 1 + len(messages)  # a heading, and one line for each mistake
    assert "Traceback" not in error


def test_a_workdir_that_is_a_file_is_refused(run_train, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    for workdir in (file, file / "below"):
        status, error = run_train(CONFIG, workdir=workdir)
        assert (status, error.count("\n")) == (command_line.BAD_INPUT, 1)
        assert f"workdir = '{workdir}': {file} is a file" in error
    assert file.read_text() == "mine"


def test_a_workdir_that_is_not_writable_is_refused(run_train, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    status, error = run_train(CONFIG)
    assert (status, error.count("\n")) == (command_line.BAD_INPUT, 1)
    assert f"workdir = '{tmp_path / 'run'}': {tmp_path} is not writable" in error


def test_a_workdir_on_a_read_only_disk_is_refused(run_train, tmp_path, monkeypatch):
    monkeypatch.setattr("os.statvfs", lambda path: types.SimpleNamespace(f_flag=os.ST_RDONLY))
    status, error = run_train(CONFIG)
    assert (status, error.count("\n")) == (command_line.INPUT_OUTPUT, 1)
    assert f"workdir = '{tmp_path / 'run'}': {tmp_path} lies on a read-only disk" in error


def test_a_workdir_has_to_be_named(run_train):
    assert run_train(CONFIG, workdir="")[0] == command_line.BAD_INPUT


def test_evaluating_nothing_is_a_missing_checkpoint(tmp_path, capsys):
    for workdir in (tmp_path, tmp_path / "missing"):
        assert evaluate.main(["scripts/evaluate.py", f"--workdir={workdir}"]) == command_line.BAD_CHECKPOINT
        assert capsys.readouterr().err == f"error: {workdir} holds no run: there is no config.json in it\n"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_config_json_is_a_bad_checkpoint(tmp_path, capsys):
    for content in (b"", b"{", b"\xff\xfe\x00", b"[1]"):
        (tmp_path / "config.json").write_bytes(content)
        assert evaluate.main(["scripts/evaluate.py", f"--workdir={tmp_path}"]) == command_line.BAD_CHECKPOINT
        error = capsys.readouterr().err
        assert f"{tmp_path / 'config.json'}" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 0),
        (InputError("seed = -1: ..."), 2),
        (CheckpointError("no checkpoint"), 3),
        (FloatingPointError("the return is nan"), 4),
        (OSError("no space left on device"), 5),
        (Interrupted("saved epoch 3", 2), 130),
        (Interrupted("saved epoch 3", 15), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_failure_has_its_exit_status(error, status, capsys):
    def command():
        if error is not None:
            raise error

    assert command_line.run(command, flags.FlagValues(), ["scripts/train.py"], about="") == status
    written = capsys.readouterr()
    assert written.out == ""
    if status not in (0, 130, 143):
        assert written.err.startswith(f"error: {error}\n")
    assert ("to see it again: " in written.err) == (status == 4)
    assert ("to continue: " in written.err) == (status > 128)


def test_too_little_memory_names_the_settings(capsys):
    def command():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 23 bytes.\nmore")

    assert command_line.run(command, flags.FlagValues(), ["scripts/train.py"], about="") == 4
    error = capsys.readouterr().err
    assert "Out of memory allocating 23 bytes.; improve fewer rollouts at a time with --config.algorithm" in error
    assert error.count("\n") == 1


def test_an_interruption_says_how_to_continue(capsys, tmp_path, monkeypatch):
    def command():
        raise KeyboardInterrupt

    values = flags.FlagValues()
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_string("resume", "", "", flag_values=values)
    command_line.run(command, values, ["scripts/train.py", "--workdir=my runs/a", "--resume=never"], about="")
    assert capsys.readouterr().err.endswith("scripts/train.py '--workdir=my runs/a'\n")

    def hint(executable):
        monkeypatch.setattr(sys, "executable", str(executable))
        command_line.run(command, flags.FlagValues(), ["scripts/train.py"], about="")
        return capsys.readouterr().err.strip()

    monkeypatch.chdir(tmp_path)
    assert hint("/usr/bin/python3").endswith("to continue: python scripts/train.py")
    assert hint(tmp_path / ".venv" / "bin" / "python").endswith(": .venv/bin/python scripts/train.py")


def test_a_mistake_of_the_package_keeps_its_traceback():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(command, flags.FlagValues(), ["scripts/train.py"], about="")


def test_help_explains_the_flags(capsys):
    assert train.main(["scripts/train.py", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--config=configs/pods.py" in text
    assert "--workdir: Folder of the run" in text
    assert "--config.algorithm.guard.size=200: initial states" in text
