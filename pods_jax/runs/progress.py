"""What a person sees while a policy is trained: a bar on a terminal, plain lines everywhere else."""

import datetime
import math
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn


class ProgressDisplay:
    """Announces phases and reports epochs; use it in a `with` statement.

    A terminal gets one line that is redrawn. A log file or a pipe gets one short line per report, since
    nothing can be redrawn there.
    """

    def __init__(self, console: Console, num_epochs: int, first_epoch: int = 0) -> None:
        self._console = console
        self._num_epochs = num_epochs
        columns = (SpinnerColumn(), TextColumn("epoch {task.completed}/{task.total}"), BarColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.description}"), console=self._console, disable=not self.is_live
        )
        self._task = self._bar.add_task("", total=num_epochs, completed=first_epoch)

    @property
    def is_live(self) -> bool:
        """Whether the output is a terminal, on which a line can be redrawn."""
        return self._console.is_terminal

    def __enter__(self) -> "ProgressDisplay":
        """Starts drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops drawing and leaves the last state of the bar standing."""
        self._bar.stop()

    def announce(self, message: str) -> None:
        """Shows a message on a line of its own, such as the end of the compilation; in a log with the time."""
        now = "" if self.is_live else f"{datetime.datetime.now():%H:%M:%S} "
        self._console.print(now + message, markup=False)

    def report(self, epoch: int, numbers: Mapping[str, float], seconds_per_epoch: float) -> None:
        """Shows how far the training is, the policy's return and gap, and how long it still takes."""
        time_left = seconds_per_epoch * (self._num_epochs - epoch)
        gap = numbers["optimality_gap"]
        known = f"gap >= {100 * gap:.2f} %   " if math.isfinite(gap) else ""
        description = (
            f"return {numbers['return_mean']:.4f}   {known}{seconds_per_epoch:.2f} s/epoch   {clock(time_left)} left"
        )
        self._bar.update(self._task, completed=epoch, description=description)
        if not self.is_live:
            self.announce(f"epoch {epoch:{len(str(self._num_epochs))}d}/{self._num_epochs}   {description}")


def clock(seconds: float) -> str:
    """Returns a duration as minutes and seconds, 1:05, with hours in front where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def make_console() -> Console:
    """Returns a console on standard output that neither breaks lines nor colours numbers by guessing."""
    return Console(soft_wrap=True, highlight=False)


def warn(console: Console, message: str) -> None:
    """Prints a warning on a line of its own."""
    console.print(f"warning: {message}", markup=False)
