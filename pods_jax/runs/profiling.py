"""A trace of some epochs: what the devices did, operation by operation."""

from collections.abc import Collection, Sequence
from typing import Any

import jax

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.training import Report


class Profile:
    """A callback of `train` that records `num_epochs` epochs or more, whole chunks, once the first chunk is over.

    The first chunk warms the machine up; 0 epochs record nothing. phase_starts: epochs after which another program is
    compiled; recording does not begin there, but after the first chunk of that program. jax writes the trace below
    `directory` in TensorBoard's format, a `perfetto_trace.json.gz` beside it, which https://ui.perfetto.dev shows
    without anything installed. Use it in a `with` statement, which ends a recording that is under way.
    """

    def __init__(self, directory: Any, num_epochs: int, phase_starts: Collection[int] = ()) -> None:
        self._directory = directory
        self._phase_starts = phase_starts
        self._num_epochs = checks.integer("profile_epochs", num_epochs, at_least=0)
        self._first: int | None = None  # epochs done when the recording began
        self._recording = False

    def __enter__(self) -> "Profile":
        """Nothing is recorded yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Writes what is recorded."""
        if self._recording:
            self._recording = False
            jax.profiler.stop_trace()

    def __call__(self, report: Report) -> None:
        """Begins after the first chunk, and ends after the last one that is wanted."""
        if self._num_epochs == 0:
            return
        if self._first is None:
            if report.epoch in self._phase_starts:
                return
            self._first = report.epoch
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # the host does next to nothing between two chunks
            jax.profiler.start_trace(self._directory, create_perfetto_trace=True, profiler_options=options)
            self._recording = True
        elif report.epoch - self._first >= self._num_epochs:
            self.__exit__()


def check(num_epochs: int, phase_lengths: Sequence[int], epochs_per_chunk: int) -> int:
    """Returns `num_epochs`; raises InputError where a run is over before there is something to record.

    phase_lengths: the epochs that are left in each phase.
    """
    num_epochs = checks.integer("profile_epochs", num_epochs, at_least=0)
    if num_epochs and max(phase_lengths, default=0) <= epochs_per_chunk:
        left = " and ".join(map(str, phase_lengths)) or "none"
        raise InputError(
            "profile_epochs",
            num_epochs,
            f"recording begins after the first {epochs_per_chunk} epochs of a phase, and there are {left} left; "
            "raise num_epochs or lower evaluate_every",
        )
    return num_epochs
