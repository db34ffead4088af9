"""Checkpoints that are written while training goes on."""

import pathlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pods_jax.storage import checkpoints


class Saver:
    """Does `checkpoints.save` in a thread of its own, one checkpoint after the other, while training goes on.

    What happened to a checkpoint, a full disk for example, is raised by the next `save` or `wait`. Leaving the `with`
    statement waits too.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> "Saver":
        """Nothing is under way."""
        return self

    def __exit__(self, *error: object) -> None:
        """Waits for what is under way; its failure counts for less than one that is already raised."""
        self._executor.shutdown()
        if error[0] is None:
            self.wait()

    def save(self, epoch: int, train_state: object, score: float, notes: dict[str, Any]) -> None:
        """Begins to save; arrays do not change, so training may go on from this state at once."""
        self.wait()
        self._pending = self._executor.submit(checkpoints.save, self._directory, epoch, train_state, score, notes)

    def wait(self) -> None:
        """Returns when everything is on disk; raises what `checkpoints.save` raises."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()
