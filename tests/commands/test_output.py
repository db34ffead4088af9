"""Nobody reads what a command writes any more: it goes on, and its status is that of its work."""

import contextlib
import errno
import os
import sys

import pytest
from absl import flags

from pods_jax.commands import command_line, output
from tests.faults import processes


@pytest.fixture
def unread():
    """A stream whose reader has gone away."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield stream


class Failing:
    """A stream that fails with a number of an error."""

    def __init__(self, number, stream):
        self.number, self.fileno = number, stream.fileno

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


def test_what_nobody_reads_is_dropped(unread):
    stream = output.Lasting(unread)
    for _ in range(3):
        assert stream.write("lost\n") == 5
        stream.flush()
    assert stream.encoding == "utf-8"


def test_a_closed_terminal_is_as_good_as_a_closed_pipe_and_a_full_disk_is_not(unread):
    assert output.Lasting(Failing(errno.EIO, unread)).write("lost") == 4
    with pytest.raises(OSError, match="No space left"):
        output.Lasting(Failing(errno.ENOSPC, unread)).write("lost")


@pytest.mark.parametrize(("error", "status"), [(None, 0), (OSError("no space"), 5), (FloatingPointError("nan"), 4)])
def test_a_command_has_the_status_of_its_work_whoever_reads(unread, error, status):
    done = []

    def command():
        print("first", flush=True)
        print("second", flush=True)
        done.append("all of it")
        if error:
            raise error

    with contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
        assert command_line.run(command, flags.FlagValues(), ["script.py"], about="") == status
        assert command_line.run(command, flags.FlagValues(), ["script.py", "--help"], about="") == 0
    assert done == ["all of it"]


def test_streams_are_those_from_before_afterwards():
    before = sys.stdout, sys.stderr
    with output.lasting():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.slow
def test_a_training_goes_on_when_its_reader_goes_away(tmp_path, undisturbed):
    folder = tmp_path / "run"
    with processes.start(processes.command(folder)) as process:
        processes.wait_for(process, "measuring", count=3)
        process.stdout.close()
        assert process.wait(timeout=120) == 0
        assert process.stderr.read() == ""
    processes.assert_as_if_undisturbed(folder, undisturbed(processes.NUM_EPOCHS))
