"""Numbers as TensorBoard events, written at once.

tensorboardX's own writer hands them to a thread, which ends when the clock jumps back by some weeks; training then
waits for it for ever.
"""

import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any


class EventWriter:
    """A file of events in a folder; what is there already of epochs after `last_epoch` no longer counts."""

    def __init__(self, folder: pathlib.Path, last_epoch: int) -> None:
        # Imported here, since it sets an environment variable.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar

        self._event, self._scalar = event_pb2.Event, scalar
        folder.mkdir(parents=True, exist_ok=True)
        # Its name has the second, in which another file may have begun, or which the clock has seen before.
        self._file = EventsWriter(str(folder / "events"), filename_suffix=f".{len(list(folder.iterdir()))}")
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.write_event(self._event(wall_time=time.time(), step=last_epoch + 1, session_log=session))

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds the finite numbers of a row, each with its name, at its "epoch"."""
        for name, value in row.items():
            if name != "epoch" and isinstance(value, (int, float)) and math.isfinite(value):
                summary = self._scalar(name, value)
                self._file.write_event(self._event(wall_time=time.time(), step=row["epoch"], summary=summary))

    def flush(self) -> None:
        """Sends what was added on its way to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
