"""The training loop: epochs scanned in compiled chunks, the host called between chunks only."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.algorithms.algorithm import Algorithm, Phase, Update
from pods_jax.algorithms.several import several
from pods_jax.checks import InputError
from pods_jax.devices import memory, sharding
from pods_jax.types import Key


@dataclass(frozen=True)
class Report:
    """What the host learns between two chunks."""

    epoch: int  # epochs done so far
    num_epochs: int  # epochs to do in all
    train_state: Any
    metrics: list[dict[str, Any]]  # of each epoch of this chunk: floats and lists of floats
    seconds: float  # run time of the chunk, compilation excluded
    compile_seconds: float  # not zero in the first report of each phase only


Callback = Callable[[Report], None]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Program:
    """Some epochs of a phase, compiled: `run` is (train state, count) -> (train state, metrics of each epoch)."""

    phase: Phase
    run: jax.stages.Compiled
    compile_seconds: float
    key_kind: str = ""  # the implementation of the random keys in the train state


def train(
    algorithm: Algorithm,
    key: Key,
    num_epochs: int = 40,
    callbacks: Sequence[Callback] = (),
    *,
    epochs_per_chunk: int = 5,
    train_state: Any = None,
    first_epoch: int = 0,
    announce: Callable[[str], None] = lambda message: None,
    devices: Sequence[jax.Device] = (),
    program: Future[Program] | None = None,
) -> tuple[Any, list[dict[str, Any]]]:
    """Trains for `num_epochs` epochs; returns the train state and the metrics of each epoch.

    key: of any kind, for `algorithm.init`, unused if a train state is given. Several keys (S,) train so many seeds in
    one program: train state and metrics have a leading axis (S, ...), and devices share the seeds. callbacks: called
    with a Report after each chunk of `epochs_per_chunk` epochs. train_state, first_epoch: where to go on, e.g. from a
    checkpoint. announce: told when compilation starts and ends. devices: rollouts are divided among them, if more
    than one.
    program: of the first epoch, from `compile_meanwhile`, to do something else meanwhile; one of another phase or of
    another algorithm is compiled anew. The epoch of each phase is traced and compiled once, when training enters it,
    whatever the number of epochs. Raises InputError on arguments that are not what they should be, and where an epoch
    does not fit into memory.
    """
    algorithm = checks.instance("algorithm", algorithm, Algorithm, 'pods_jax.algorithms.make("pods", env)')
    num_epochs, first_epoch, epochs_per_chunk = _checked(num_epochs, first_epoch, epochs_per_chunk)
    callbacks = checks.functions("callbacks", callbacks)
    announce = checks.function("announce", announce)
    devices = _devices(devices)
    one, algorithm = algorithm, _for_all_seeds(algorithm, key, devices)
    if program is not None:
        checks.instance("program", program, Future, "what `compile_meanwhile` returns")
    if train_state is None:
        with sharding.on(devices):
            train_state = algorithm.init(checks.key("key", key) if algorithm is one else key)
    else:
        train_state = _restored(algorithm, train_state)
    history: list[dict[str, Any]] = []
    for report in chunks(
        algorithm,
        train_state,
        first_epoch=first_epoch,
        num_epochs=num_epochs,
        epochs_per_chunk=epochs_per_chunk,
        announce=announce,
        devices=devices,
        program=program,
    ):
        train_state = report.train_state
        history += report.metrics
        for callback in callbacks:
            callback(report)
    return train_state, history


def chunks(
    algorithm: Algorithm,
    train_state: Any,
    *,
    first_epoch: int,
    num_epochs: int,
    epochs_per_chunk: int,
    announce: Callable[[str], None] = lambda message: None,
    devices: Sequence[jax.Device] = (),
    program: Future[Program] | None = None,
) -> Iterator[Report]:
    """The training loop itself: yields a Report after each chunk; whoever iterates decides whether to go on.

    The arguments are those of `train`, which is this loop with callbacks. A chunk ends where a phase of the algorithm
    does. Raises InputError as `train` does.
    """
    num_epochs, first_epoch, epochs_per_chunk = _checked(num_epochs, first_epoch, epochs_per_chunk)
    key = _key_like(train_state)
    state = sharding.put_replicated(train_state, devices)
    for phase, epochs in phases_ahead(algorithm, first_epoch, num_epochs):
        whole = "the training program" if phase.first_epoch == 0 else phase.name
        announce(f"compiling {whole} ...")
        compiled = program.result() if program else None
        if compiled is None or compiled.phase != phase or compiled.key_kind not in ("", _key_kind(key)):
            compiled = compile_chunk(algorithm, epochs_per_chunk, devices, phase.first_epoch, key)
        program = None
        size = memory.check(compiled.run, jax.local_devices()[0])
        announce(f"compiled in {compiled.compile_seconds:.1f} s; an epoch needs {size / 1e9:.2f} GB of memory")
        for epoch, count in _stretches(phase.first_epoch, epochs, epochs_per_chunk):
            started = time.perf_counter()
            with jax.disable_jit(False):
                state, stacked = jax.block_until_ready(compiled.run(state, count))
            seconds = time.perf_counter() - started
            compile_seconds = compiled.compile_seconds if epoch == epochs.start else 0.0
            rows = unstack(stacked, count)
            yield Report(epoch + count, num_epochs, sharding.local(state), rows, seconds, compile_seconds)


def _stretches(start: int, epochs: range, length: int) -> list[tuple[int, int]]:
    """First epoch and number of epochs of each chunk; they end where they would if the phase began at its `start`.

    So a training that goes on in the middle of a chunk is looked at after the same epochs as one that never stopped.
    """
    ends = [end for end in range(start + length, epochs.stop, length) if end > epochs.start]
    begins = [epochs.start, *ends]
    return [(begin, end - begin) for begin, end in zip(begins, [*ends, epochs.stop], strict=True)]


def _checked(num_epochs: Any, first_epoch: Any, epochs_per_chunk: Any) -> tuple[int, int, int]:
    return (
        checks.integer("num_epochs", num_epochs, at_least=1),
        checks.integer("first_epoch", first_epoch, at_least=0),
        checks.integer("epochs_per_chunk", epochs_per_chunk, at_least=1),
    )


def _restored(algorithm: Algorithm, train_state: Any) -> Any:
    """A train state that was given; raises InputError unless it looks like one of the algorithm."""
    checks.leaves("train_state", train_state)
    expected = jax.eval_shape(algorithm.init, _key_like(train_state))
    return checks.like("train_state", train_state, expected, made_by="algorithm.init")


def _key_like(train_state: Any) -> Key:
    """A random key of the implementation that the keys of a train state have; of jax's own choice without any."""
    keys = [leaf for leaf in jax.tree.leaves(train_state) if hasattr(leaf, "dtype") and checks.is_key(leaf)]
    return jax.random.key(0, impl=jax.random.key_impl(keys[0])) if keys else jax.random.key(0)


def _key_kind(key: Key) -> str:
    return str(jax.random.key_impl(key))


def _for_all_seeds(algorithm: Algorithm, key: Any, devices: Sequence[jax.Device]) -> Algorithm:
    """The algorithm itself, or for several keys (S,) that of so many seeds. Raises InputError for odd shares."""
    if not (isinstance(key, jax.Array) and checks.is_key(key) and key.ndim == 1 and key.size):
        return algorithm
    with sharding.on(devices):
        sharding.check("number of keys", key.shape[0])
    return several(algorithm, key.shape[0])


def _devices(devices: Any) -> tuple[jax.Device, ...]:
    if isinstance(devices, Sequence) and all(isinstance(device, jax.Device) for device in devices):
        return tuple(devices)
    raise InputError("devices", devices, "must be a list of devices, for example jax.devices()")


def phases_ahead(algorithm: Algorithm, first_epoch: int, num_epochs: int) -> list[tuple[Phase, range]]:
    """The phases that train epochs `first_epoch` to `num_epochs` - 1, counted from 0, each with its epochs.

    Raises InputError where the phases of the algorithm are not in order.
    """
    starts = [phase.first_epoch for phase in algorithm.phases]
    if starts[0] != 0 or starts != sorted(starts):
        raise InputError("algorithm.phases", starts, "must begin in ascending order, the first of them at epoch 0")
    ends = [*starts[1:], num_epochs]
    stretches = [
        range(max(start, first_epoch), min(end, num_epochs)) for start, end in zip(starts, ends, strict=True)
    ]
    return [(phase, epochs) for phase, epochs in zip(algorithm.phases, stretches, strict=True) if epochs]


def compile_chunk(
    algorithm: Algorithm,
    length: int,
    devices: Sequence[jax.Device] = (),
    first_epoch: int = 0,
    key: Key | None = None,
) -> Program:
    """The program of up to `length` epochs of the phase that epoch `first_epoch`, counted from 0, belongs to.

    How many is an argument of it, so that a shorter last chunk compiles nothing anew. Only shapes go in: where arrays
    happen to lie, which differs between a fresh and a restored state, would make another program of it. key: any of
    the implementation that the keys of the train state have; of jax's own choice, if not given.
    """
    key = jax.random.key(0) if key is None else key
    started = time.perf_counter()
    ((phase, _),) = phases_ahead(algorithm, first_epoch, first_epoch + 1)
    with sharding.on(devices):
        state = sharding.shapes(jax.eval_shape(algorithm.init, key), devices)
        with jax.disable_jit(False):  # whoever wants to look inside calls `algorithm.update`
            run = _lower_chunk(phase.update, state, length).compile()
    return Program(phase, run, time.perf_counter() - started, _key_kind(key))


def compile_meanwhile(
    algorithm: Algorithm, length: int, devices: Sequence[jax.Device] = (), first_epoch: int = 0
) -> Future[Program]:
    """`compile_chunk` in a thread of its own."""
    return meanwhile(compile_chunk, algorithm, length, devices, first_epoch)


def meanwhile(function: Callable[..., Result], *arguments: Any) -> Future[Result]:
    """Calls a function in a thread of its own, with the precision of this one."""
    double = jnp.zeros(()).dtype == jnp.float64  # `with jax.enable_x64()` holds in its own thread only

    def call_as_here() -> Result:
        with jax.enable_x64(double):
            return function(*arguments)

    executor = ThreadPoolExecutor(max_workers=1)
    result = executor.submit(call_as_here)
    executor.shutdown(wait=False)
    return result


def _lower_chunk(update: Update, state: Any, length: int) -> jax.stages.Lowered:
    update = jax.jit(update)  # traced here, and not again inside the loop
    shapes = jax.eval_shape(update, state)[1]
    empty = jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), shapes)

    def epoch(index, carry):
        state, stacked = carry
        state, metrics = update(state)
        return state, jax.tree.map(lambda rows, row: rows.at[index].set(row), stacked, metrics)

    def chunk(state, count):
        return sharding.replicate(jax.lax.fori_loop(0, count, epoch, (state, empty)))

    return jax.jit(chunk).lower(state, jnp.asarray(0))


def unstack(stacked: Any, count: int) -> list[dict[str, Any]]:
    """The first `count` rows of stacked metrics as plain Python dictionaries."""
    rows = {name: np.asarray(values) for name, values in stacked.items()}
    return [{name: values[index].tolist() for name, values in rows.items()} for index in range(count)]
