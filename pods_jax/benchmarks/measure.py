"""Times of compiled programs, taken in turn, so that what disturbs the machine disturbs all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pods_jax.benchmarks import count
from pods_jax.devices import memory, sharding


class Program(NamedTuple):
    """What is measured: a function, its arguments, and the devices that share its rollouts, if there are several."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    devices: Sequence[jax.Device] = ()


@dataclass(frozen=True)
class Timing:
    """What a program took."""

    seconds: float  # median
    fastest: float
    slowest: float
    repeats: int
    compile_seconds: float
    memory: int  # [bytes]


def measure(programs: Mapping[str, Program], budget: float) -> dict[str, Timing]:
    """Times each program of a mapping; `budget` [s] is for all runs after the first together.

    Each is compiled and run once, uncounted, and then they run in turn, at least twice.
    """
    compiled, compile_seconds, expected = {}, {}, 0.0
    for name, program in programs.items():
        started = time.perf_counter()
        with sharding.on(program.devices):
            compiled[name] = jax.jit(program.function).lower(*program.args).compile()
        compile_seconds[name] = time.perf_counter() - started
        jax.block_until_ready(compiled[name](*program.args))
        expected += run(compiled[name], program.args)
    repeats = max(2, min(20, int(budget / expected)))
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            seconds[name].append(run(compiled[name], program.args))
    return {
        name: Timing(
            seconds=statistics.median(taken),
            fastest=min(taken),
            slowest=max(taken),
            repeats=repeats,
            compile_seconds=compile_seconds[name],
            memory=memory.needed(compiled[name]),
        )
        for name, taken in seconds.items()
    }


def run(program: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """[s] of one run."""
    started = time.perf_counter()
    jax.block_until_ready(program(*args))
    return time.perf_counter() - started


def least_seconds(program: Program, limits: Mapping[str, float]) -> float:
    """[s] below which a machine with such `limits` cannot do the same operations, nor read and write what it must."""
    function, args, _ = program
    moved = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((args, jax.eval_shape(function, *args))))
    computing = count.operations(function, *args) / limits["operations_per_second"]
    return max(computing, moved / limits["bytes_per_second"])


def limits() -> dict[str, float]:
    """What this machine can do: operations per second, of vectors or of matrices, and bytes per second."""
    on_cpu = jax.default_backend() == "cpu"  # whose caches the first has to fit into; others need a lot to be busy
    few, many, side = (1 << 12, 1 << 25, 1 << 10) if on_cpu else (1 << 22, 1 << 29, 1 << 13)
    small, large, square = jnp.ones(few), jnp.ones(many), jnp.ones((side, side))

    def multiply_and_add(x):
        return jax.lax.fori_loop(0, 1000, lambda _, x: _polynomial(x), x)

    programs = {
        "vectors": Program(multiply_and_add, (small,)),
        "matrices": Program(lambda x: jnp.matmul(x, x, precision="highest"), (square,)),
        "move": Program(lambda x: x + 1.0, (large,)),
    }
    taken = {name: timing.fastest for name, timing in measure(programs, budget=2.0).items()}
    vectors = 1000 * 2 * DEGREE * small.size / taken["vectors"]
    return {
        "operations_per_second": max(vectors, 2 * side**3 / taken["matrices"]),
        "vector_operations_per_second": vectors,
        "bytes_per_second": 2 * large.nbytes / taken["move"],
    }


DEGREE = 64


def _polynomial(x):
    value = x
    for _ in range(DEGREE):
        value = value * x + 0.5
    return value * 1e-20 + 1.0
