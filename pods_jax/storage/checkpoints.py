"""The state of a training run on disk: Orbax, one complete folder per saved epoch.

Orbax writes into a temporary folder and renames it at the end, so that a folder named by a number is always
complete, whatever happened to the process. It does not notice bytes that changed since: `checksums` does, and a
damaged checkpoint gives way to the one before. This is the only module that knows Orbax.
"""

import pathlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from pods_jax.devices.host import restore_like, to_host
from pods_jax.storage import checksums

FORMAT_VERSION = 4
"""Raised when what is stored changes, so that an older program can say so instead of misreading it."""

KEPT = 3
"""The latest checkpoints that are kept, beside the best one."""

State = TypeVar("State")


class CheckpointError(Exception):
    """A checkpoint is missing, damaged or not of this run; the message names it and says what to do."""


@dataclass(frozen=True)
class Restored(Generic[State]):
    """What a checkpoint holds."""

    epoch: int
    state: State
    record: dict[str, Any]  # `score`, `best_epoch`, `best_score`, and what `save` was given as `notes`


def epochs(directory: pathlib.Path) -> list[int]:
    """Returns the epochs that were saved completely, in ascending order."""
    if not directory.is_dir():
        return []
    return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())


def latest_epoch(directory: pathlib.Path) -> int | None:
    """Returns the last epoch that was saved completely, or None."""
    return max(epochs(directory), default=None)


def check_format(directory: pathlib.Path) -> None:
    """Raises CheckpointError if the latest intact checkpoint was written by a version with another format."""
    _latest_record(directory)


def save(
    directory: pathlib.Path, epoch: int, train_state: object, score: float = 0.0, notes: dict[str, Any] | None = None
) -> None:
    """Saves the state after `epoch` epochs; the latest three checkpoints and that of the highest score stay.

    It is on disk when this returns. Raises OSError if it cannot be written; the checkpoints from before are then as
    they were. notes: goes into the record, as JSON.
    """
    before = latest_epoch(directory)
    if before is not None and before >= epoch:  # Orbax would refuse without a word.
        raise CheckpointError(f"{directory} already holds a checkpoint of epoch {epoch} or later")
    best = (epoch, score)
    previous = _latest_record(directory)
    if previous is not None and previous["best_score"] > score:
        best = (previous["best_epoch"], previous["best_score"])
    record = {"format_version": FORMAT_VERSION, "epoch": epoch, "score": score, "notes": notes or {}}
    record |= {"best_epoch": best[0], "best_score": best[1], "leaves": checksums.of_leaves(train_state)}
    contents = ocp.args.Composite(
        state=ocp.args.StandardSave(_without_empty(to_host(train_state))),
        record=ocp.args.JsonSave(checksums.seal(record)),
    )
    try:
        with _manager(directory, best_epoch=best[0]) as manager:
            manager.save(epoch, args=contents)
    except Exception as error:  # Orbax and TensorStore report a full disk in several ways.
        _remove_unfinished(directory)
        raise OSError(f"the checkpoint of epoch {epoch} could not be written: {_first_line(error)}") from error


def restore(
    directory: pathlib.Path, like: State, which: str = "latest", warn: Callable[[str], None] = lambda message: None
) -> Restored[State]:
    """Returns a checkpoint exactly as it was saved, every bit verified; changes nothing on disk.

    like: a state of the same structure, shapes and types, such as a fresh one; its devices are used. which: "latest",
    "best" or the number of an epoch. Where the latest is damaged, `warn` is told and the one before is taken. Raises
    CheckpointError, with the reason for each of them, if there is none to take.
    """
    saved = epochs(directory)
    if not saved:
        raise CheckpointError(f"{directory} holds no checkpoint")
    if which == "latest":
        return _restore_latest(directory, saved, like, warn)
    wanted = which
    if which == "best":
        wanted = str((_latest_record(directory) or {"best_epoch": saved[-1]})["best_epoch"])
    if wanted not in map(str, saved):
        raise CheckpointError(
            f"{directory} holds no checkpoint of epoch {wanted}; there are {', '.join(map(str, saved))}"
        )
    try:
        return _restore(directory, int(wanted), like)
    except _Damaged as error:
        raise CheckpointError(f"the checkpoint {directory / wanted} cannot be used: {error}") from error


def set_aside(directory: pathlib.Path, after: int, into: pathlib.Path) -> None:
    """Moves the checkpoints of epochs after `after` out of the way, so that saving can go on from there."""
    for epoch in epochs(directory):
        if epoch > after:
            into.mkdir(parents=True, exist_ok=True)
            count = sum(1 for entry in into.iterdir() if entry.name.split("-")[0] == str(epoch))
            (directory / str(epoch)).rename(into / f"{epoch}-{count}")


class _Damaged(Exception):
    """A checkpoint is not as it was saved; the message is the reason."""


def _restore_latest(
    directory: pathlib.Path, saved: list[int], like: State, warn: Callable[[str], None]
) -> Restored[State]:
    reasons = []
    for epoch in reversed(saved):
        try:
            restored = _restore(directory, epoch, like)
        except _Damaged as error:
            reasons.append(f"{directory / str(epoch)}: {error}")
        else:
            for reason in reasons:
                warn(f"damaged checkpoint {reason}; using that of epoch {epoch}")
            return restored
    raise CheckpointError(
        "\n  ".join(["no checkpoint can be used, and nothing was changed; train again in a new workdir", *reasons])
    )


def _restore(directory: pathlib.Path, epoch: int, like: State) -> Restored[State]:
    record = _read_record(directory, epoch)
    different = checksums.mismatches(record["leaves"], like)
    if different:
        raise CheckpointError(
            f"the checkpoint {directory / str(epoch)} cannot be used, it is of another run; name a new workdir"
            f"\n  {different[0]}" + (f", and {len(different) - 1} more" if len(different) > 1 else "")
        )
    try:
        with _manager(directory) as manager:
            host = to_host(like)
            args = ocp.args.Composite(state=ocp.args.StandardRestore(_without_empty(host)))
            stored = manager.restore(epoch, args=args).state
            state = restore_like(like, jax.tree.map(lambda own, kept: kept if np.size(own) else own, host, stored))
    except Exception as error:  # Orbax, TensorStore and json each have their own ways to fail.
        raise _Damaged(_first_line(error)) from error
    changed = checksums.damaged(record["leaves"], state)
    if changed:
        raise _Damaged(f"the content of {', '.join(changed)} does not match its recorded sha256")
    return Restored(epoch, state, record)


def _without_empty(host: Any) -> Any:
    """A tree with a zero in place of each array without numbers, such as no past readings: Orbax saves none."""
    return jax.tree.map(lambda leaf: leaf if np.size(leaf) else np.zeros(1, leaf.dtype), host)


def _read_record(directory: pathlib.Path, epoch: int) -> dict[str, Any]:
    """Returns the record of an intact checkpoint; raises _Damaged, or CheckpointError for another format."""
    try:
        with _manager(directory) as manager:
            items = manager.restore(epoch, args=ocp.args.Composite(record=ocp.args.JsonRestore()))
        record = checksums.unseal(items.record)
    except Exception as error:
        raise _Damaged(_first_line(error)) from error
    version = record.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"the checkpoint {directory / str(epoch)} cannot be used: it has format {version}, and this version of "
            f"pods_jax reads {FORMAT_VERSION}; install the version that wrote it, or train again in a new workdir"
        )
    if record["epoch"] != epoch:
        raise _Damaged(f"it was saved as that of epoch {record['epoch']}")
    return record


def _latest_record(directory: pathlib.Path) -> dict[str, Any] | None:
    """The record of the latest checkpoint whose record is intact."""
    for epoch in reversed(epochs(directory)):
        try:
            return _read_record(directory, epoch)
        except _Damaged:
            continue  # `restore` gives the reason to whoever asks for this one.
    return None


def _manager(directory: pathlib.Path, best_epoch: int | None = None) -> ocp.CheckpointManager:
    """The Orbax manager of a folder: a reader, which leaves everything as it is, or with a best epoch a writer."""
    writes = best_epoch is not None
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
    policies = [checkpoint_managers.LatestN(KEPT), checkpoint_managers.CustomSteps([best_epoch] if writes else [])]
    options = ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        create=False,
        cleanup_tmp_directories=writes,  # what an interrupted save left behind
        enable_async_checkpointing=False,
        # Of several processes only the first comes here, and waits for no other.
        multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="0"),
    )
    # Orbax accepts a relative folder and fails at the first save.
    return ocp.CheckpointManager(directory.absolute(), options=options)


def _remove_unfinished(directory: pathlib.Path) -> None:
    """Frees the disk of a save that failed: removes the temporary folders of Orbax, whose threads may still write."""
    for _ in range(20):
        if not (unfinished := list(directory.glob("*.orbax-checkpoint-tmp*"))):
            return
        for entry in unfinished:
            shutil.rmtree(entry, ignore_errors=True)
        time.sleep(0.1)  # what is left after the last time, the next save removes


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
