"""Several processes that train together, each on devices of its own; the first alone measures, writes and decides.

All of them run the same compiled epochs (`sharding`), and meet between chunks: `agree` tells everyone the most
serious of what the processes report, `from_first` what the first has.
"""

import contextlib
import enum
import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.devices.host import restore_like, to_host


class Verdict(enum.IntEnum):
    """What a process says of what it just did; of several, the most serious one counts."""

    GO_ON = 0
    GO_BACK = 1  # the numbers of a chunk are not sound
    FAILED = 2  # the process cannot go on; what it says itself is the reason


def connect(coordinator_address: str, num_processes: int, process_id: int) -> None:
    """Joins the processes of a training, before anything else is done with jax; one process has nothing to join.

    coordinator_address: HOST:PORT on which the first process listens. Raises InputError on values that do not go
    together. Where the others do not appear within five minutes, jax ends the process.
    """
    num_processes = checks.integer("num_processes", num_processes, at_least=1)
    process_id = checks.integer("process_id", process_id, at_least=0, at_most=num_processes - 1)
    if num_processes == 1:
        if coordinator_address:
            raise InputError("num_processes", 1, f"must be at least 2 to join others at {coordinator_address}")
        return
    if not re.fullmatch(r"[^:\s]+:\d+", coordinator_address):
        raise InputError(
            f"coordinator_address = {coordinator_address!r}: must be HOST:PORT of the first process, "
            "for example 10.0.0.1:8476"
        )
    jax.distributed.initialize(coordinator_address, num_processes, process_id)


def is_first() -> bool:
    """Whether this process is the one that writes; a process alone is."""
    return jax.process_index() == 0


def agree(verdict: Verdict, signal_number: int = 0) -> tuple[Verdict, int]:
    """The most serious verdict and the largest number of a signal of all processes; each waits here for the last."""
    if jax.process_count() == 1:
        return verdict, signal_number
    reported = multihost_utils.process_allgather(np.array([verdict, signal_number], np.int32))
    most = np.max(reported.reshape(-1, 2), axis=0)
    return Verdict(int(most[0])), int(most[1])


def from_first(tree: Any) -> Any:
    """What the first process has; in the others, a tree of the same shapes is given for it."""
    if jax.process_count() == 1:
        return tree
    return restore_like(tree, multihost_utils.broadcast_one_to_all(to_host(tree)))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What is inside succeeds in all processes, or fails in all: raises InputError where only others have failed."""
    try:
        yield
    except BaseException:
        agree(Verdict.FAILED)
        raise
    if agree(Verdict.GO_ON)[0] == Verdict.FAILED:
        raise InputError("another process of this training failed; what it printed is the reason")
