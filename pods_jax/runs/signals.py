"""SIGTERM and Ctrl-C: the first asks a run to finish what it is doing, the second ends the process at once.

Python calls its signal handlers between two of its own instructions, but a compiled chunk of epochs runs for seconds
or minutes inside one. The signals therefore wake a thread, which answers at once.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A signal ended the run, and its state is saved; `status` is the exit status, 128 and the signal's number.

    The message says which signal it was, and what became of the run.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(f"{signal.Signals(signal_number).name}: {message}")
        self.status = 128 + signal_number


class Interruption:
    """Watches for signals inside a `with` statement; in the main thread only, Python allows it nowhere else."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self.received = 0  # the number of the signal, 0 for none
        self._active = False

    def __enter__(self) -> "Interruption":
        """Takes over the signals."""
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            self._reading, self._writing = socket.socketpair()
            self._writing.setblocking(False)
            self._old_descriptor = signal.set_wakeup_fd(self._writing.fileno())
            self._old_handlers = {number: signal.signal(number, _nothing) for number in SIGNALS}
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back."""
        if self._active:
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
            signal.set_wakeup_fd(self._old_descriptor)
            self._writing.close()  # ends the thread

    def _watch(self) -> None:
        with self._reading:
            while received := self._reading.recv(1):
                if received[0] not in SIGNALS:
                    continue
                if self.received:
                    os._exit(128 + received[0])  # Saves are atomic: nothing is damaged.
                self.received = received[0]
                name = signal.Signals(self.received).name
                self._announce(f"{name}: stopping after these epochs; once more stops at once")


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler that Python has to know, so that the signal does not end the process."""
