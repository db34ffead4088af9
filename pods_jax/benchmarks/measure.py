"""Times of compiled programs, taken in turn, so that what disturbs the machine disturbs all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pods_jax import memory


@dataclass(frozen=True)
class Timing:
    """What a program took."""

    seconds: float  # median
    fastest: float
    slowest: float
    repeats: int
    compile_seconds: float
    memory: int  # [bytes]
    operations: float  # floating-point operations as the compiler counts them, each loop once; 0 if it does not


def measure(programs: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], budget: float) -> dict[str, Timing]:
    """Times each program (function, arguments) of a mapping; `budget` [s] is for all runs after the first together.

    Each is compiled and run once, uncounted, and then they run in turn, at least twice.
    """
    compiled, compile_seconds, expected = {}, {}, 0.0
    for name, (function, args) in programs.items():
        started = time.perf_counter()
        compiled[name] = jax.jit(function).lower(*args).compile()
        compile_seconds[name] = time.perf_counter() - started
        jax.block_until_ready(compiled[name](*args))
        expected += run(compiled[name], args)
    repeats = max(2, min(20, int(budget / expected)))
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, (_, args) in programs.items():
            seconds[name].append(run(compiled[name], args))
    return {
        name: Timing(
            seconds=statistics.median(taken),
            fastest=min(taken),
            slowest=max(taken),
            repeats=repeats,
            compile_seconds=compile_seconds[name],
            memory=memory.needed(compiled[name]),
            operations=float((compiled[name].cost_analysis() or {}).get("flops", 0.0)),
        )
        for name, taken in seconds.items()
    }


def run(program: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """[s] of one run."""
    started = time.perf_counter()
    jax.block_until_ready(program(*args))
    return time.perf_counter() - started


def limits() -> dict[str, float]:
    """What this machine can do: operations per second of multiplied and added vectors, and bytes per second."""
    small, large = jnp.ones(4096), jnp.ones(1 << 25)

    def multiply_and_add(x):
        return jax.lax.fori_loop(0, 1000, lambda _, x: _polynomial(x), x)

    def copy(x):
        return x + 1.0

    taken = measure({"compute": (multiply_and_add, (small,)), "move": (copy, (large,))}, budget=2.0)
    return {
        "operations_per_second": 1000 * 2 * DEGREE * small.size / taken["compute"].fastest,
        "bytes_per_second": 2 * large.nbytes / taken["move"].fastest,
    }


DEGREE = 64


def _polynomial(x):
    value = x
    for _ in range(DEGREE):
        value = value * x + 0.5
    return value * 1e-20 + 1.0
