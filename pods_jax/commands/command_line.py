"""From an exception to one clear message and an exit status, for every script alike.

0 done, 2 bad input, 3 bad or missing checkpoint, 4 numerical failure, 5 input or output, 130 Ctrl-C, 143 SIGTERM.
Any other exception is a mistake of this package and keeps its traceback. Whether anybody reads what a command writes
to its standard output changes neither what it does nor its status.
"""

import contextlib
import os
import pathlib
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from absl import flags, logging

from pods_jax import algorithms
from pods_jax.checks import InputError
from pods_jax.commands import output, program_cache
from pods_jax.devices import gpu
from pods_jax.runs.signals import Interrupted
from pods_jax.storage.checkpoints import CheckpointError

BAD_INPUT, BAD_CHECKPOINT, NUMERICAL_FAILURE, INPUT_OUTPUT, INTERRUPTED = 2, 3, 4, 5, 130

MOVED_FILES = {
    "space.py": "--config=configs/pods.py --config.env.name=pendulum_3d: its settings are the default in space"
}
"""Configuration files of former versions, and what to write for them."""

_STATUS = (
    (InputError, BAD_INPUT),
    (CheckpointError, BAD_CHECKPOINT),
    (FloatingPointError, NUMERICAL_FAILURE),
    (OSError, INPUT_OUTPUT),
)


def run(
    command: Callable[[], Any],
    flag_values: flags.FlagValues,
    argv: Sequence[str],
    about: str,
    connect: Callable[[], None] = lambda: None,
    more: Callable[[], str] = lambda: "",
    prepare: Callable[[Sequence[str]], Sequence[str]] = list,
) -> int:
    """Parses `argv` into `flag_values`, calls the command and returns the exit status.

    about: what `--help` says above the list of flags. more: what it says below, made when it is asked for.
    connect: what has to happen before jax looks for devices. prepare: the command line that is to be parsed in the
    place of `argv`. Errors go to standard error, one message, no traceback. Modules in the current folder can be
    imported meanwhile, as with `python -m`.
    """
    with output.lasting(), _modules_here():
        return _run(command, flag_values, argv, about, connect, more, prepare)


def _run(
    command: Callable[[], Any],
    flag_values: flags.FlagValues,
    argv: Sequence[str],
    about: str,
    connect: Callable[[], None],
    more: Callable[[], str],
    prepare: Callable[[Sequence[str]], Sequence[str]],
) -> int:
    """`run`, once the streams are in place."""
    verbosity = logging.get_verbosity()
    try:
        if any(argument in ("--help", "-h") for argument in argv[1:]):
            print(about, *map(_help, (flag_values[name] for name in flag_values)), more(), sep="\n")
            return 0
        gpu.keep_loops_on_device()
        parse(flag_values, prepare(argv))
        logging.set_verbosity(logging.FATAL)  # Orbax logs a hundred lines about errors that it raises as well.
        connect()
        _check_devices()
        with program_cache.kept_programs():
            command()
    except tuple(kind for kind, _ in _STATUS) as error:
        print(f"error: {error}", file=sys.stderr)
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if status == NUMERICAL_FAILURE:
            print(f"to see it again: {_command(argv)}", file=sys.stderr)
        return status
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"error: {_out_of_memory(error)}", file=sys.stderr)
        return NUMERICAL_FAILURE
    except Interrupted as error:
        print(f"{error}; to continue: {_command(argv)}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(f"interrupted; to continue: {_command(argv)}", file=sys.stderr)
        return INTERRUPTED
    finally:
        logging.set_verbosity(verbosity)
    return 0


def _help(flag: Any) -> str:
    """The line about a flag, with its default unless that is empty."""
    default = "" if flag.default in ("", None, [], False) else f"={flag.default}"
    return f"  --{flag.name}{default}: {flag.help}"


def parse(flag_values: flags.FlagValues, argv: Sequence[str], known_only: bool = False) -> None:
    """Parses a command line, its program name first; raises InputError with one line for any mistake.

    known_only: leave out, for now, what are no flags of these.
    """
    try:
        _, *rest = flag_values(argv, known_only)
    except Exception as error:  # absl's own errors, and whatever a configuration file raises when it is run.
        raise InputError(_mistake(error) + _moved(with_flag_files(argv))) from error
    if rest and not known_only:
        raise InputError(f"unexpected argument {rest[0]!r}: every setting is a flag, --name=value")


def define_env(values: flags.FlagValues) -> flags.FlagHolder[Any]:
    """The flag --env of the commands that read a run."""
    about = "Where the environment is one of your own: what makes it, my_package:make_crane."
    return flags.DEFINE_string("env", None, about, flag_values=values)


def with_flag_files(argv: Sequence[str]) -> list[str]:
    """A command line with what the files named by --flagfile hold in their places; without them where one is missing.

    absl does so too when it parses, and refuses what is missing; `ml_collections` looks for what to override before.
    """
    program, *rest = argv
    try:
        return [program, *flags.FlagValues().read_flags_from_files(rest, force_gnu=False)]
    except flags.Error:
        return [argument for argument in argv if not argument.lstrip("-").startswith("flagfile")]


def config_dict(flag: flags.FlagHolder) -> dict[str, Any]:
    """Returns the configuration that a flag of `ml_collections.config_flags` holds, as a dictionary.

    Such a flag reports a file that cannot be read when its value is used, not when it is parsed.
    """
    if flag.value is None:
        raise InputError(f"--{flag.name} is missing: name a file, for example --{flag.name}=configs/pods.py")
    try:
        return flag.value.to_dict()
    except OSError as error:
        raise InputError(_mistake(error)) from error
    except AttributeError as error:
        raise InputError(f"--{flag.name}: get_config() must return an ml_collections.ConfigDict") from error


def _check_devices() -> None:
    """Raises InputError where jax has no device of the kind that was asked for."""
    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:  # the first has no text: a plug-in is not installed
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX_PLATFORMS = {platforms!r}: {str(error) or 'this jax has no such device'}; install pods_jax[cuda12] "
            "(or cuda13, tpu) for other devices than the CPU, or unset JAX_PLATFORMS"
        ) from error


@contextlib.contextmanager
def _modules_here() -> Iterator[None]:
    """Modules in the current folder can be imported: environments that the command line names."""
    here = str(pathlib.Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _command(argv: Sequence[str]) -> str:
    """What to type to run the same again, going on from what is saved: this Python by its path below the folder."""
    path = pathlib.Path(sys.executable)
    below = path.is_relative_to(pathlib.Path.cwd())
    interpreter = str(path.relative_to(pathlib.Path.cwd())) if below else "python"
    return f"{interpreter} {shlex.join(argument for argument in argv if not argument.startswith('--resume'))}"


def _out_of_memory(error: Exception) -> str:
    return (
        f"the memory of the device does not suffice: {str(error).splitlines()[0]}; improve fewer rollouts at a time "
        "with --config.algorithm.improvement.chunk_size=50, or take fewer with --config.algorithm.batch_size"
    )


def _mistake(error: Exception) -> str:
    """One line about a command line that could not be parsed."""
    root = _root_cause(error)
    lines = str(root).strip().splitlines() or [""]
    place = traceback.extract_tb(root.__traceback__)[-1]
    if isinstance(error, OSError):
        moved = "".join(f"; it is now {place}" for name, place in MOVED_FILES.items() if f"/{name}" in lines[-1])
        return f"the configuration file cannot be read: {lines[-1].strip()}{moved}"
    if isinstance(error, (AttributeError, KeyError)) and "ml_collections" in place.filename:
        return f"unknown configuration field {': '.join(_innermost_text(error).splitlines())}"
    if isinstance(error, flags.Error) and "\n" not in str(error):
        return str(error)
    where = "" if isinstance(root, SyntaxError) else f" ({place.filename}:{place.lineno})"
    return f"the configuration file fails: {type(root).__name__}: {lines[0]}{where}"


def _moved(argv: Sequence[str]) -> str:
    """Where the settings of former versions are now that a command line names."""
    found = []
    for argument in argv:
        name = argument.lstrip("-").partition("=")[0].removeprefix("config.algorithm.")
        places = {algorithms.moved(algorithm).get(name) for algorithm in algorithms.names()} - {None}
        if places:
            found.append(f"{name} is now {' or '.join(sorted(f'--config.algorithm.{place}' for place in places))}")
    return "".join(f"; {place}" for place in found)


def _root_cause(error: BaseException) -> BaseException:
    inner = error.__cause__ or error.__context__
    return _root_cause(inner) if inner is not None else error


def _innermost_text(error: BaseException) -> str:
    """The message of an error that may, as in ml_collections, have another error for its argument."""
    text = error.args[0] if error.args else ""
    return _innermost_text(text) if isinstance(text, BaseException) else str(text)
