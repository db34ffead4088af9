"""What the leading process does with every report: it measures the policy, writes, saves and shows.

If the numbers of a chunk are sound, its state is saved; if not, they are written all the same, and named.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from pods_jax.runs import metrics_log
from pods_jax.runs.preflight import Plan
from pods_jax.runs.progress import ProgressDisplay
from pods_jax.runs.supervised import Progress, Recorder
from pods_jax.storage import checkpoints, manifest
from pods_jax.storage.background_saver import Saver
from pods_jax.storage.files import write_json
from pods_jax.training import Callback, Report
from pods_jax.types import Policy

LOWEST = -sys.float_info.max
"""The score of a state that was never measured; JSON has no infinity."""

Measure = Callable[[Policy, Any], dict[str, float]]
"""(policy, what was prepared) -> named numbers."""


class RunRecorder(Recorder):
    """Keeps a run in its folder.

    measure: numbers of a policy, `return_mean` among them. prepared: what it needs, awaited when it first does; until
    then training says how it goes by its own rollouts. profile: hears of each sound chunk once everything else is
    done.
    """

    def __init__(
        self,
        plan: Plan,
        console: Console,
        measure: Measure,
        prepared: Future[Any],
        profile: Callback = lambda report: None,
    ) -> None:
        self._plan = plan
        self._console = console
        self._measure = measure
        self._prepared = prepared
        self._profile = profile
        self.latest: dict[str, float] = {}  # numbers of the policy, once it was measured

    @contextmanager
    def attempt(self, progress: Progress) -> Iterator[None]:
        """Opens the files; rows of epochs that will be done once more are removed from them."""
        folder = self._plan.folder
        fresh = progress.epoch == 0  # keeps no rows at all, not even the one of epoch 0 of an aborted attempt
        with (
            ProgressDisplay(self._console, self._plan.configuration.num_epochs, progress.epoch) as self._display,
            metrics_log.MetricsWriter(folder.metrics, folder.events, -1 if fresh else progress.epoch) as self._writer,
            Saver(folder.checkpoints) as self._saver,
        ):
            yield

    def announce(self, message: str) -> None:
        """Shows a message on a line of its own."""
        self._display.announce(message)

    def record(self, report: Report, progress: Progress) -> list[str]:
        """Measures and writes; returns what is wrong, or saves and shows if nothing is.

        Rows of epochs that are not measured are written before it waits for what measures the others, among them the
        row of the policy before the first epoch.
        """
        seconds = report.seconds / len(report.metrics)
        *unmeasured, last = _rows(report, seconds)
        self._writer.write(unmeasured)
        if not self._prepared.done():
            self._display.announce(_first_news(report, seconds))
        if progress.epoch == 0:
            self._writer.write([_test_row(0, self._numbers(progress.train_state))])
        numbers = self._numbers(report.train_state)
        self._writer.write([last | _test_row(report.epoch, numbers)])
        batch_size = getattr(self._plan.configuration.algorithm.config, "batch_size", math.inf)
        problems = find_problems(report, numbers, progress.train_state, batch_size)
        if not problems:
            notes = {"rollbacks": progress.rollbacks, "machine": manifest.machine()}
            self._saver.save(report.epoch, report.train_state, numbers["return_mean"], notes)
            self._display.report(report.epoch, numbers, seconds)
        return problems

    def went_on(self, report: Report) -> None:
        """Tells the profile."""
        self._profile(report)

    def wait_until_saved(self, epoch: int) -> str:
        """Returns when everything is on disk."""
        self._saver.wait()
        return f"saved epoch {epoch}"

    def give_up(self, progress: Progress, failures: Sequence[str]) -> str:
        """Leaves the last sound state and a diagnosis on disk, and returns the message about them."""
        folder = self._plan.folder
        if progress.epoch == 0 and not self._plan.saved:
            checkpoints.save(folder.checkpoints, progress.epoch, progress.train_state, LOWEST, {"rollbacks": 0})
        fields = self._plan.configuration.fields
        write_json(folder.failure, {"epoch": progress.epoch, "failures": list(failures), "config": fields})
        summary = (
            f"training failed {len(failures)} times after epoch {progress.epoch}, whose state is saved; "
            f"{folder.metrics} shows how the last attempt went, {folder.failure} has what is said here"
        )
        return "\n  ".join([summary, *failures])

    def _numbers(self, train_state: Any) -> dict[str, float]:
        self.latest = self._measure(self._plan.configuration.algorithm.policy(train_state), self._prepared.result())
        return self.latest


def find_problems(report: Report, numbers: Mapping[str, float], before: Any, batch_size: float) -> list[str]:
    """What is wrong after a chunk, in words; a state with such numbers must not replace a good one.

    numbers: how good its policy is. before: the train state at its beginning. batch_size: rollouts in an epoch.
    """
    found = []
    if not math.isfinite(numbers["return_mean"]):
        found.append(f"the return on the held-out states is {numbers['return_mean']}")
    broken = _nonfinite(report.train_state) - _nonfinite(before)
    found += [f"{path} of the train state is not finite" for path in sorted(broken)]
    for name in report.metrics[0]:
        if "loss" in name and not all(np.all(np.isfinite(row[name])) for row in report.metrics):
            found.append(f"{name} is not finite")
    if any(row.get("unhealthy_rollouts", 0) >= batch_size for row in report.metrics):
        found.append(f"all {batch_size} rollouts of an epoch have an unsolved or non-finite step")
    return found


def _first_news(report: Report, seconds: float) -> str:
    """How training goes by its own rollouts, where the algorithm says so."""
    value = report.metrics[-1].get("value")
    known = "" if value is None else f"return {value:.4f} from the initial states of the epoch, "
    return f"epoch {report.epoch}: {known}{seconds:.2f} s/epoch"


def _rows(report: Report, seconds: float) -> list[dict[str, Any]]:
    first = report.epoch - len(report.metrics) + 1
    rows: list[dict[str, Any]] = [
        {"epoch": first + index, **{f"train/{name}": value for name, value in row.items()}}
        for index, row in enumerate(report.metrics)
    ]
    rows[-1] |= {"time/seconds_per_epoch": seconds, "time/compile_seconds": report.compile_seconds}
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
