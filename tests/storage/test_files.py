"""Files take their names when they are complete; until then what was there stays."""

import errno
import math

import pytest

from pods_jax.storage import files


@pytest.fixture
def pair(tmp_path):
    """Two files that belong together, as an earlier version of them."""
    paths = tmp_path / "policy.onnx", tmp_path / "policy.onnx.json"
    for path in paths:
        path.write_text("old")
    return paths


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_that_belong_together_are_replaced_together(pair, tmp_path):
    with files.replacing(*pair) as places:
        assert [place.name for place in places] == [path.name for path in pair]
        assert places[0].parent == places[1].parent
        for place in places:
            place.write_text("new")
        assert {path.read_text() for path in pair} == {"old"}
    assert contents(tmp_path) == {"policy.onnx": "new", "policy.onnx.json": "new"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FloatingPointError("it computes something else"), FloatingPointError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
    ],
)
def test_whatever_happens_meanwhile_leaves_all_of_them_as_they_were(pair, tmp_path, error, kind):
    def write():
        with files.replacing(*pair) as places:
            places[0].write_text("half")
            raise error

    with pytest.raises(kind):
        write()
    assert contents(tmp_path) == {"policy.onnx": "old", "policy.onnx.json": "old"}


def test_one_that_cannot_be_replaced_or_was_not_written_leaves_the_others(pair, tmp_path):
    message = r"policy\.onnx could not be written: .*; what was there is as it was"
    with pytest.raises(OSError, match=message), files.replacing(*pair) as places:
        places[0].write_text("new")  # and not the other
    pair[1].unlink()
    pair[1].mkdir()
    with pytest.raises(OSError, match=r"policy\.onnx could not be written: it is a folder"), files.replacing(*pair):
        pytest.fail("it begins")
    assert pair[0].read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.onnx", "policy.onnx.json"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OSError, match=r"taken/page\.html could not be written"):
        files.write_text(tmp_path / "taken" / "page.html", "page")
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_link_stays_and_leads_to_the_new_file(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("old")
    (tmp_path / "b.txt").symlink_to(tmp_path / "far" / "a.txt")
    files.write_text(tmp_path / "b.txt", "neu für")
    assert (tmp_path / "b.txt").is_symlink()
    assert (tmp_path / "far" / "a.txt").read_text(encoding="utf-8") == "neu für"
    assert len(list((tmp_path / "far").iterdir())) == 1


def test_what_json_cannot_hold_replaces_nothing(tmp_path):
    path = tmp_path / "below" / "numbers.json"
    files.write_json(path, {"value": 1.5})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"value": math.nan})
    assert path.read_text() == '{\n  "value": 1.5\n}\n'


def test_what_killed_processes_left_can_be_removed(tmp_path):
    left = tmp_path / f".of_a_killed_one{files.SUFFIX}"
    left.mkdir()
    (left / "a.txt").write_text("half")
    (tmp_path / "kept.txt").write_text("mine")
    assert len(list(tmp_path.iterdir())) == 2
    files.remove_partial(tmp_path)
    assert contents(tmp_path) == {"kept.txt": "mine"}
