"""Files that are written completely or not at all: everything that this package writes for others comes from here.

What is written lies in a hidden folder beside its place until it is complete, checked and on the disk. Then it takes
its name, and what had the name before is gone. Until then what was there is untouched, whatever happens.
"""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

SUFFIX = ".partial"
"""Of the folders that hold what is not complete; only a process that was killed leaves one behind."""


@contextlib.contextmanager
def replacing(*paths: pathlib.Path) -> Iterator[tuple[pathlib.Path, ...]]:
    """Where to write files that take the places of `paths`, all together, once the `with` block is over.

    paths: all in one folder, which is made. An error in the block, such as that of a check of what was written,
    leaves the old files as they were. Raises OSError, naming the first of the files, for what cannot be written.
    """
    places = [pathlib.Path(os.path.realpath(path)) for path in paths]  # a link stays, and leads to the new file
    try:
        places[0].parent.mkdir(parents=True, exist_ok=True)
        for place in places:
            if place.is_dir():
                raise IsADirectoryError("it is a folder")
        folder = pathlib.Path(tempfile.mkdtemp(prefix=".", suffix=SUFFIX, dir=places[0].parent))
    except OSError as error:
        raise OSError(f"{paths[0]} could not be written: {error}") from error
    try:
        written = tuple(folder / path.name for path in paths)
        yield written
        for one in written:
            with one.open("rb") as file:
                os.fsync(file.fileno())  # a full disk may say so only now
        for one, place in zip(written, places, strict=True):
            os.replace(one, place)
    except OSError as error:
        raise OSError(f"{paths[0]} could not be written: {error}; what was there is as it was") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file, completely or not at all. Raises OSError as `replacing`."""
    with replacing(path) as (place,):
        place.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file, completely or not at all.

    Raises OSError as `replacing`, and ValueError for a number that is not finite, which JSON cannot hold.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def remove_partial(folder: pathlib.Path) -> None:
    """Removes what killed processes left incomplete in a folder; nothing may be written there meanwhile."""
    for left in folder.glob(f".*{SUFFIX}"):
        shutil.rmtree(left, ignore_errors=True)
