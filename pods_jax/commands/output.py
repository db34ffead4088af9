"""Standard output and error whose reader may go away: `| head`, a pager that is left, a terminal that is closed."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.EIO)
"""What writing to a pipe or a terminal without a reader gives."""


class Lasting:
    """A stream that drops what nobody can read any more, and is otherwise the stream that it stands for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, or drops, a text; returns its length."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Hands on what is written, or drops it."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, call: Callable[..., Any], *arguments: str) -> None:
        try:
            call(*arguments)
        except OSError as error:
            if error.errno not in GONE:
                raise
            # What is still buffered, and what compiled code writes by itself, goes nowhere either.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Work goes on where the reader of standard output or error goes away; what it would have read is dropped."""
    with contextlib.ExitStack() as stack:
        for redirect, stream in (
            (contextlib.redirect_stdout, sys.stdout),
            (contextlib.redirect_stderr, sys.stderr),
        ):
            if stream is not None:  # a process may be started without
                kept: Any = Lasting(stream)
                stack.enter_context(redirect(kept))
                stack.callback(kept.flush)
        yield
