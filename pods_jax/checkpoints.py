"""The state of a training run on disk: Orbax, one complete folder per saved epoch.

Orbax writes into a temporary folder and renames it at the end, so that a folder named by a number is always
complete, whatever happened to the process. This is the only module that knows Orbax.
"""

import pathlib
from typing import TypeVar

import jax
import orbax.checkpoint as ocp

FORMAT_VERSION = 1
"""Raised when what is stored changes, so that an older program can say so instead of misreading it."""

State = TypeVar("State")


class CheckpointError(Exception):
    """A checkpoint is missing, damaged or not of this run; the message names it and says what to do."""


def latest_epoch(directory: pathlib.Path) -> int | None:
    """Returns the last epoch that was saved completely, or None."""
    if not directory.is_dir():
        return None
    return max((int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal()), default=None)


def save(directory: pathlib.Path, epoch: int, train_state: object) -> None:
    """Saves the state after `epoch` epochs and removes older ones; it is on disk when this returns."""
    contents = ocp.args.Composite(
        state=ocp.args.StandardSave(train_state),
        meta=ocp.args.JsonSave({"format_version": FORMAT_VERSION, "jax_version": jax.__version__}),
    )
    try:
        with _manager(directory, create=True) as manager:
            saved = manager.save(epoch, args=contents)
    except Exception as error:  # Orbax and TensorStore report a full disk in several ways.
        raise OSError(f"the checkpoint of epoch {epoch} could not be written: {_first_line(error)}") from error
    if not saved:  # Orbax refuses silently when this epoch or a later one is there already.
        raise CheckpointError(f"{directory} already holds a checkpoint of epoch {epoch} or later")


def restore(directory: pathlib.Path, like: State) -> tuple[int, State]:
    """Returns the last saved epoch and its state, exactly as it was saved.

    like: a state of the same structure, shapes and types, such as a fresh one; its devices are used.
    """
    epoch = latest_epoch(directory)
    if epoch is None:
        raise CheckpointError(f"{directory} holds no checkpoint")
    try:
        with _manager(directory, create=False) as manager:
            return epoch, _restore(manager, epoch, like)
    except Exception as error:  # Orbax, TensorStore and json each have their own ways to fail.
        raise CheckpointError(
            f"the checkpoint {directory / str(epoch)} cannot be used ({_first_line(error)}); move it away to "
            "continue from an earlier one, or train again in a new workdir"
        ) from error


def _restore(manager: ocp.CheckpointManager, epoch: int, like: State) -> State:
    meta = manager.restore(epoch, args=ocp.args.Composite(meta=ocp.args.JsonRestore())).meta
    if meta["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"it has format {meta['format_version']}, and this version of pods_jax reads {FORMAT_VERSION}"
        )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    return manager.restore(epoch, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))).state


def _manager(directory: pathlib.Path, *, create: bool) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2,  # the latest, and one to fall back on by hand
        create=create,
        # What an interrupted save left behind; a reader leaves everything as it is.
        cleanup_tmp_directories=create,
        # A save takes about 0.1 s: not worth a thread that reports its errors to the next call.
        enable_async_checkpointing=False,
    )
    # Orbax accepts a relative folder and fails at the first save.
    return ocp.CheckpointManager(directory.absolute(), options=options)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":")
