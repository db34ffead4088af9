"""Training that is measured, recorded and saved between chunks, and that survives what goes wrong in one.

After each chunk the policy is measured. If the numbers are sound, the state is saved; if not, the run goes back to
the last sound state and lowers the learning rate. What it cannot repair after a few times, it reports and leaves on
disk.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from pods_jax.storage import checkpoints, manifest
from pods_jax.runs import metrics_log
from pods_jax.devices import processes
from pods_jax.algorithms import Algorithm
from pods_jax.runs.configuration import Configuration
from pods_jax.runs.signals import Interruption
from pods_jax.runs.progress import ProgressDisplay
from pods_jax.storage.background_saver import Saver
from pods_jax.training import Callback, Program, Report, train
from pods_jax.types import Policy
from pods_jax.runs.workdir import Workdir, write_json

MAX_ROLLBACKS = 3
"""How often a run may go back before it gives up."""

SLOWDOWN = 0.25
"""The learning rate is multiplied by this each time."""

LOWEST = -sys.float_info.max
"""The score of a state that was never measured; JSON has no infinity."""

Measure = Callable[[Policy], dict[str, float]]


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


def meet(interruption: Interruption, report: int = processes.GO_ON) -> int:
    """What the processes of a training report, see `processes.agree`; a signal to one of them is one to all."""
    verdict = processes.agree(max(report, interruption.received))
    if verdict < processes.GO_BACK:
        interruption.received = verdict
    return verdict


class _Failed(Exception):
    """The numbers of a chunk are not sound; the message says which."""


def train_safely(
    configuration: Configuration,
    folder: Workdir,
    console: Console,
    measure: Measure,
    interruption: Interruption,
    progress: Progress,
    devices: Sequence[jax.Device] = (),
    program: Future[Program] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Any:
    """Trains from `progress` to the end and returns the train state.

    measure: policy -> numbers, `return_mean` among them. program: as for `train`, at the full learning rate.
    callbacks: hear of each sound chunk once everything else is done. Raises Interrupted once a signal came and the
    state is saved, OSError if it cannot be saved, and FloatingPointError if going back did not help.
    """
    failures = []
    for rollbacks in range(progress.rollbacks, MAX_ROLLBACKS + 1):
        progress = dataclasses.replace(progress, rollbacks=rollbacks).shared()
        fresh = progress.epoch == 0  # keeps no rows at all, not even the one of epoch 0 of an aborted attempt
        with (
            ProgressDisplay(console, configuration.num_epochs, progress.epoch) as display,
            metrics_log.MetricsWriter(folder.metrics, folder.events, -1 if fresh else progress.epoch) as writer,
            Saver(folder.checkpoints) as saver,
        ):
            ahead = program if rollbacks == 0 else None  # another learning rate is another program
            train_on = partial(train, devices=devices, program=ahead)
            observer = _Observer(
                configuration, folder, measure, interruption, writer, saver, display, progress, train_on, callbacks
            )
            try:
                return observer.train()
            except _Failed as failure:
                progress = observer.progress
                failures.append(f"{failure}, with the learning rate times {SLOWDOWN**rollbacks:g}")
                if rollbacks < MAX_ROLLBACKS:
                    display.announce(f"{failure}: back to epoch {progress.epoch} with a lower learning rate")
    raise FloatingPointError(_give_up(folder, configuration, progress, failures))


@dataclass
class _Observer:
    """One attempt: trains, and between chunks measures the policy, records, saves and shows."""

    configuration: Configuration
    folder: Workdir
    measure: Measure
    interruption: Interruption
    writer: metrics_log.MetricsWriter
    saver: Saver
    display: ProgressDisplay
    progress: Progress  # the last sound one
    train_on: Callable[..., tuple[Any, Any]]  # `train`, told where
    callbacks: Sequence[Callback]

    def train(self) -> Any:
        """Trains to the end and returns the train state; raises _Failed, `progress` being what to go back to."""
        algorithm, state = self.algorithm, self.progress.train_state
        if self.progress.epoch == 0:
            self.writer.write([_test_row(0, self.measure(algorithm.policy(state)))])
        meet(self.interruption)
        self.interruption.stop_if_requested(f"stopped before epoch {self.progress.epoch + 1}")
        return self.train_on(
            algorithm,
            jax.random.key(self.configuration.seed),
            self.configuration.num_epochs,
            [self, *self.callbacks],
            epochs_per_chunk=self.configuration.evaluate_every,
            train_state=state,
            first_epoch=self.progress.epoch,
            announce=self.display.announce,
        )[0]

    @property
    def algorithm(self) -> Algorithm:
        """With the learning rate of this attempt."""
        return self.configuration.slower(SLOWDOWN**self.progress.rollbacks)

    def __call__(self, report: Report) -> None:
        verdict = processes.FAILED
        try:
            self.record(report)
            verdict = processes.GO_ON
        except _Failed:
            verdict = processes.GO_BACK
            raise
        finally:
            meet(self.interruption, verdict)
        self.interruption.stop_if_requested(f"saved epoch {report.epoch}", self.saver.wait)

    def record(self, report: Report) -> None:
        """Measures, writes and saves; raises _Failed if the numbers are not sound."""
        numbers = self.measure(self.configuration.algorithm.policy(report.train_state))
        seconds = report.seconds / len(report.metrics)
        self.writer.write(_rows(report, numbers, seconds))
        problems = self.problems(report, numbers)
        if problems:
            raise _Failed(f"epochs {self.progress.epoch + 1} to {report.epoch}: {', '.join(problems)}")
        notes = {"rollbacks": self.progress.rollbacks, "machine": manifest.machine()}
        score = numbers["return_mean"]
        self.saver.save(report.epoch, report.train_state, score, notes)
        self.progress = dataclasses.replace(self.progress, epoch=report.epoch, train_state=report.train_state)
        self.display.report(report.epoch, numbers, seconds)

    def problems(self, report: Report, numbers: Mapping[str, float]) -> list[str]:
        """What is wrong after a chunk, in words; a state with such numbers must not replace a good one."""
        found = []
        if not math.isfinite(numbers["return_mean"]):
            found.append(f"the return on the test bed is {numbers['return_mean']}")
        before, now = _nonfinite(self.progress.train_state), _nonfinite(report.train_state)
        found += [f"{path} of the train state is not finite" for path in sorted(now - before)]
        for name in report.metrics[0]:
            if "loss" in name and not all(np.all(np.isfinite(row[name])) for row in report.metrics):
                found.append(f"{name} is not finite")
        size = getattr(self.configuration.algorithm.config, "batch_size", math.inf)
        if any(row.get("unhealthy_rollouts", 0) >= size for row in report.metrics):
            found.append(f"all {size} rollouts of an epoch have an unsolved or non-finite step")
        return found


def _rows(report: Report, numbers: Mapping[str, float], seconds: float) -> list[dict[str, Any]]:
    first = report.epoch - len(report.metrics) + 1
    rows: list[dict[str, Any]] = [
        {"epoch": first + index, **{f"train/{name}": value for name, value in row.items()}}
        for index, row in enumerate(report.metrics)
    ]
    times = {"time/seconds_per_epoch": seconds, "time/compile_seconds": report.compile_seconds}
    rows[-1] |= _test_row(report.epoch, numbers) | times
    return rows


def _test_row(epoch: int, numbers: Mapping[str, float]) -> dict[str, float]:
    return {"epoch": epoch, **{f"test/{name}": value for name, value in numbers.items()}}


def _nonfinite(tree: Any) -> set[str]:
    """The paths of the leaves with a number that is not finite."""
    return {
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.all(np.isfinite(leaf))
    }


def _give_up(folder: Workdir, configuration: Configuration, progress: Progress, failures: list[str]) -> str:
    """Leaves the last sound state and a diagnosis on disk, and returns the message about them."""
    if checkpoints.latest_epoch(folder.checkpoints) is None:
        checkpoints.save(folder.checkpoints, progress.epoch, progress.train_state, LOWEST, {"rollbacks": 0})
    diagnosis = {"epoch": progress.epoch, "failures": failures, "config": configuration.fields}
    write_json(folder.failure, diagnosis)
    return "\n  ".join(
        [
            f"training failed {len(failures)} times after epoch {progress.epoch}, whose state is saved; "
            f"{folder.metrics} shows how the last attempt went, {folder.failure} has what is said here",
            *failures,
        ]
    )
