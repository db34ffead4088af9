"""Compiled programs that are kept for the next run of a script, and what XLA says of them."""

import contextlib
import hashlib
import os
import pathlib
import platform
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def kept_programs() -> Iterator[None]:
    """Keeps compiled programs for the next run of a script, in a folder of the user's own.

    That is ~/.cache/pods_jax/HOST-PROCESSOR (a home may be shared by machines whose processors differ, and a machine
    that is called as before may have another), unless jax was told of
    another folder (JAX_COMPILATION_CACHE_DIR) or to keep nothing (JAX_ENABLE_COMPILATION_CACHE=false).
    """
    before = jax.config.values["jax_compilation_cache_dir"]
    if before is None:
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "pods_jax" / f"{platform.node()}-{processor()}"))
    try:
        with _without_false_alarms():
            yield
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def processor(description: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> str:
    """A few letters for what this processor can do, the same for all of its kind."""
    lines = description.read_text(encoding="utf-8").splitlines() if description.is_file() else []
    told = {line for line in lines if line.startswith(("flags", "Features", "model name"))} or {platform.processor()}
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:8]


@contextlib.contextmanager
def _without_false_alarms() -> Iterator[None]:
    """Keeps XLA from writing pages of errors about each program for a CPU that was kept and is fit to run.

    It takes preferences of the compiler such as prefer-no-gather for abilities that the processor lacks
    (https://github.com/jax-ml/jax/issues/38445); programs are kept by host, so the processor is the same. Whoever has
    chosen a level of logging keeps it.
    """
    levels = jax.config.values["jax_logging_level"], os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    if levels != ("NOTSET", "1") or jax.default_backend() != "cpu":
        yield
        return
    _log_from("CRITICAL")
    try:
        yield
    finally:
        _log_from("WARNING")


def _log_from(level: str) -> None:
    """Sets the lowest level that XLA logs; that of jax itself stays."""
    jax.config.update("jax_logging_level", level)
    jax.config.update("jax_logging_level", "NOTSET")  # which leaves XLA as it is
