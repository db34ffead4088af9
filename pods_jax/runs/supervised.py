"""Training that survives what goes wrong in a chunk: one loop, for the process that leads and for those that work.

After each chunk a recorder says what it thinks of the numbers, and all processes agree on what follows: they go on,
they go back to the last sound state with a lower learning rate, or they stop. What cannot be repaired after a few
times ends the run.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pods_jax.devices import processes
from pods_jax.devices.processes import Verdict
from pods_jax.runs.preflight import Plan
from pods_jax.runs.signals import Interrupted, Interruption
from pods_jax.training import Program, Report, chunks

MAX_ROLLBACKS = 3
"""How often a run may go back before it gives up."""

SLOWDOWN = 0.25
"""The learning rate is multiplied by this each time."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come: what a checkpoint holds."""

    epoch: int
    train_state: Any
    rollbacks: int = 0  # decide the learning rate

    def shared(self) -> "Progress":
        """That of the first process, in all processes of a training."""
        epoch, train_state, rollbacks = processes.from_first((self.epoch, self.train_state, self.rollbacks))
        return Progress(int(epoch), train_state, int(rollbacks))


class Recorder:
    """What becomes of the reports of a training: nothing, in a process that only does its share of every epoch."""

    @contextmanager
    def attempt(self, progress: Progress) -> Iterator[None]:
        """Surrounds the chunks that are trained with one learning rate, from `progress` on."""
        yield

    def announce(self, message: str) -> None:
        """Shows a message."""

    def record(self, report: Report, progress: Progress) -> list[str]:
        """What is wrong after a chunk that began at `progress`, in words; if nothing is, its state is being saved."""
        return []

    def went_on(self, report: Report) -> None:
        """Hears of a chunk once all processes have agreed to go on from it."""

    def wait_until_saved(self, epoch: int) -> str:
        """Returns when the state after `epoch` epochs is on disk, with words that say so."""
        return f"the first process saved epoch {epoch}"

    def give_up(self, progress: Progress, failures: Sequence[str]) -> str:
        """Leaves the last sound state behind, and returns the message that ends the run."""
        return "training failed; what the first process printed and left on disk is the reason"


def supervise(
    plan: Plan,
    recorder: Recorder,
    interruption: Interruption,
    progress: Progress,
    program: Future[Program] | None = None,
) -> Progress:
    """Trains from `progress` to the end, and returns what was reached.

    program: as for `train`, at the full learning rate. Raises Interrupted once a signal came to one of the processes
    and the state is saved, OSError if it cannot be saved, and FloatingPointError if going back did not help.
    """
    failures: list[str] = []
    for rollbacks in range(progress.rollbacks, MAX_ROLLBACKS + 1):
        progress = dataclasses.replace(progress, rollbacks=rollbacks).shared()
        ahead = program if rollbacks == 0 else None  # another learning rate is another program
        with recorder.attempt(progress):
            progress, failure = _attempt(plan, recorder, interruption, progress, ahead)
            if not failure:
                return progress
            failures.append(f"{failure}, with the learning rate times {SLOWDOWN**rollbacks:g}")
            if rollbacks < MAX_ROLLBACKS:
                recorder.announce(f"{failure}: back to epoch {progress.epoch} with a lower learning rate")
    raise FloatingPointError(recorder.give_up(progress, failures))


def _attempt(
    plan: Plan,
    recorder: Recorder,
    interruption: Interruption,
    progress: Progress,
    program: Future[Program] | None,
) -> tuple[Progress, str]:
    """Trains with one learning rate; returns the last sound progress, and why it is not the end, if it is not."""
    agreement = _agree(tuple, interruption)
    if agreement.signal_number:
        raise Interrupted(f"stopped before epoch {progress.epoch + 1}", agreement.signal_number)
    for report in chunks(
        plan.configuration.slower(SLOWDOWN**progress.rollbacks),
        progress.train_state,
        first_epoch=progress.epoch,
        num_epochs=plan.configuration.num_epochs,
        epochs_per_chunk=plan.configuration.evaluate_every,
        announce=recorder.announce,
        devices=plan.devices,
        program=program,
    ):
        agreement = _agree(partial(recorder.record, report, progress), interruption)
        if agreement.verdict == Verdict.GO_BACK:
            return progress, f"epochs {progress.epoch + 1} to {report.epoch}: {', '.join(agreement.problems)}"
        progress = dataclasses.replace(progress, epoch=report.epoch, train_state=report.train_state)
        if agreement.signal_number:
            raise Interrupted(recorder.wait_until_saved(report.epoch), agreement.signal_number)
        recorder.went_on(report)
    return progress, ""


@dataclass(frozen=True)
class _Agreement:
    """What all processes will do, and what this one found wrong."""

    verdict: Verdict
    signal_number: int  # of a signal that reached any of them, 0 for none
    problems: Sequence[str]


def _agree(judge: Callable[[], Sequence[str] | None], interruption: Interruption) -> _Agreement:
    """Asks for the problems that there are, and meets the other processes whatever happens meanwhile."""
    verdict = Verdict.FAILED
    try:
        problems = judge() or ()
        verdict = Verdict.GO_BACK if problems else Verdict.GO_ON
    finally:
        verdict, signal_number = processes.agree(verdict, interruption.received)
    if verdict == Verdict.FAILED:
        raise OSError("another process of this training cannot go on; what it printed is the reason")
    return _Agreement(verdict, signal_number, problems)
