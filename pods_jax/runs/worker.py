"""What all processes of a training but the first do: their share of every epoch, and nothing on disk."""

from collections.abc import Sequence
from functools import partial

import jax
from rich.console import Console

from pods_jax.devices import processes
from pods_jax.runs.configuration import Configuration
from pods_jax.runs.signals import Interruption
from pods_jax.runs.supervised import MAX_ROLLBACKS, SLOWDOWN, Progress, meet
from pods_jax.training import Report, compile_meanwhile, train


class _GoBack(Exception):
    """The first process takes a chunk back."""


def follow(configuration: Configuration, devices: Sequence[jax.Device], console: Console) -> None:
    """Does what `experiment.run` of the first process needs of the others, until that has finished.

    Raises Interrupted with the others, FloatingPointError when the first gives up, OSError when it cannot go on, and
    InputError when its evaluation fails.
    """
    console.print(f"process {jax.process_index()} of {jax.process_count()}: the first one reports")
    with Interruption(partial(console.print, markup=False)) as interruption:
        fresh = Progress(0, jax.jit(configuration.algorithm.init)(jax.random.key(configuration.seed)))
        if int(processes.from_first(0)) < configuration.num_epochs:
            _train(configuration, devices, interruption, fresh)
    with processes.together():
        pass  # the first evaluates


def _train(
    configuration: Configuration, devices: Sequence[jax.Device], interruption: Interruption, progress: Progress
) -> None:
    """The mirror of `supervision.train_safely`."""
    program = compile_meanwhile(configuration.algorithm, configuration.evaluate_every, devices)

    def listen(report: Report) -> None:
        verdict = meet(interruption)
        if verdict == processes.GO_BACK:
            raise _GoBack
        if verdict == processes.FAILED:
            raise OSError("the first process of this training cannot go on; what it printed is the reason")
        interruption.stop_if_requested(f"the first process saved epoch {report.epoch}")

    while True:
        progress = progress.shared()
        meet(interruption)
        interruption.stop_if_requested(f"stopped before epoch {progress.epoch + 1}")
        try:
            train(
                configuration.slower(SLOWDOWN**progress.rollbacks),
                jax.random.key(configuration.seed),
                configuration.num_epochs,
                [listen],
                epochs_per_chunk=configuration.evaluate_every,
                train_state=progress.train_state,
                first_epoch=progress.epoch,
                devices=devices,
                program=program if progress.rollbacks == 0 else None,
            )
        except _GoBack:
            if progress.rollbacks == MAX_ROLLBACKS:
                message = "training failed; what the first process printed and left on disk is the reason"
                raise FloatingPointError(message) from None
        else:
            return
