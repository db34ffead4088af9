import errno
import io
import json
import math

import pytest

from pods_jax.runs.metrics_log import MetricsWriter, read, storable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def write(path, rows, last_epoch=0):
    with MetricsWriter(path, path.parent / "events", last_epoch) as writer:
        writer.write(rows)


def strict(line):
    def refuse(name):
        raise ValueError(name)

    return json.loads(line, parse_constant=refuse)


def test_each_row_is_one_line_that_a_strict_parser_reads(path):
    write(
        path,
        [{"epoch": 1, "loss": 0.5, "steps": [1.0, 2.0]}, {"epoch": 2, "loss": 0.25, "steps": [0.0, 3.0]}],
    )
    rows = [strict(line) for line in path.read_text().splitlines()]
    assert rows == [
        {"epoch": 1, "loss": 0.5, "steps": [1.0, 2.0]},
        {"epoch": 2, "loss": 0.25, "steps": [0.0, 3.0]},
    ]


def test_what_is_not_finite_becomes_null_and_is_named():
    row = {"epoch": 1, "loss": math.nan, "gap": -math.inf, "steps": [1.0, math.inf], "fine": 2.0}
    assert storable(row) == {
        "epoch": 1,
        "loss": None,
        "gap": None,
        "steps": [1.0, None],
        "fine": 2.0,
        "nonfinite": ["loss", "gap", "steps"],
    }


def test_a_null_is_read_as_nan(path):
    write(path, [{"epoch": 1, "loss": math.nan}])
    strict(path.read_text())
    assert math.isnan(read(path)[0]["loss"])


def test_rows_are_on_disk_before_the_writer_is_closed(path):
    with MetricsWriter(path, path.parent / "events") as writer:
        writer.write([{"epoch": 1, "loss": 0.5}])
        assert read(path) == [{"epoch": 1, "loss": 0.5}]


def test_a_full_disk_while_writing_metrics_names_the_file(path):
    class FullDisk(io.StringIO):
        name = str(path)

        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    with MetricsWriter(path, path.parent / "events") as writer:
        writer._file.close()
        writer._file = FullDisk()
        with pytest.raises(OSError, match=r"metrics.jsonl could not be written: .*No space left on device"):
            writer.write([{"epoch": 1, "loss": 0.5}])


def test_resuming_removes_the_rows_after_the_restored_epoch(path):
    write(path, [{"epoch": epoch, "loss": 1.0} for epoch in range(6)])
    write(path, [{"epoch": 4, "loss": 2.0}], last_epoch=3)
    assert [(row["epoch"], row["loss"]) for row in read(path)] == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2)]


def test_half_a_line_of_a_killed_process_is_dropped(path):
    write(path, [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 1.0}])
    path.write_text(path.read_text() + '{"epoch": 3, "lo')
    assert [row["epoch"] for row in read(path)] == [1, 2]
    write(path, [{"epoch": 3, "loss": 1.0}], last_epoch=2)
    assert [strict(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_scalars_become_tensorboard_events(path):
    write(path, [{"epoch": 1, "train/loss": 0.5, "train/steps": [1.0, 2.0]}])
    (events,) = (path.parent / "events").iterdir()
    content = events.read_bytes()
    assert b"train/loss" in content
    assert b"train/steps" not in content


def test_another_attempt_within_the_same_second_keeps_the_events_of_the_first(path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1e9)
    for epoch in (1, 2):
        write(path, [{"epoch": epoch, f"train/loss_{epoch}": 0.5}], last_epoch=epoch - 1)
    kept = b"".join(file.read_bytes() for file in (path.parent / "events").iterdir())
    assert b"train/loss_1" in kept
    assert b"train/loss_2" in kept
