"""Learning curves of several settings of an algorithm, side by side on one test bed.

A record holds one training in plain Python, ready for JSON: the return after each chunk of epochs, what the ledger
says of the promises that PODS makes (no improved trajectory is worse, actions within the limits, the return on the
guard states never falls), the times, and the final evaluation.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from pods_jax.algorithms import Algorithm
from pods_jax.evaluation import TestBed, evaluate, monitor
from pods_jax.training import Report, train

Record = Mapping[str, Any]


def record_training(
    algorithm: Algorithm, seed: int, num_epochs: int, test_bed: TestBed, epochs_per_chunk: int = 1
) -> Record:
    """Trains once and returns the record; `monitor` looks at the policy after each chunk."""
    epochs, returns = [], []
    times = {"compile": 0.0, "train": 0.0}

    def look(report: Report) -> None:
        policy = algorithm.policy(report.train_state)
        epochs.append(report.epoch)
        returns.append(monitor(algorithm.env, policy, test_bed)["return_mean"])
        times["compile"] += report.compile_seconds
        times["train"] += report.seconds

    state, history = train(algorithm, jax.random.key(seed), num_epochs, [look], epochs_per_chunk=epochs_per_chunk)
    started = time.perf_counter()
    final = evaluate(algorithm.env, algorithm.policy(state), test_bed=test_bed)
    guard_values = [row["guard_value"] for row in history]
    return {
        "environment": algorithm.env.name,
        "task": algorithm.env.task,
        "seed": seed,
        "epoch": epochs,
        "return": returns,
        "guard_acted": [index + 1 for index, row in enumerate(history) if row["guard_acted"]],
        "guard_value_fell": int(np.sum(np.diff(guard_values) < 0)),
        "worse_rollouts": sum(row["worse_rollouts"] for row in history),
        "unhealthy_rollouts": sum(row["unhealthy_rollouts"] for row in history),
        "largest_action_ratio": max(row["largest_action_ratio"] for row in history),
        "compile_seconds": times["compile"],
        "train_seconds": times["train"],
        "evaluate_seconds": time.perf_counter() - started,
        "final": final,
    }


def common_optimum(records: Sequence[Record]) -> float:
    """The best mean return that any evaluation of the same task found, the J* of all their gaps."""
    return max(record["final"]["optimum_mean"] for record in records)


def gaps(record: Record, optimum: float) -> np.ndarray:
    """(K,) the optimality gap after each chunk."""
    return (optimum - np.asarray(record["return"])) / abs(optimum)


def epochs_until(record: Record, optimum: float, target: float) -> int | None:
    """The first epoch with a gap of at most `target`, or None if there was none."""
    reached = np.flatnonzero(gaps(record, optimum) <= target)
    return record["epoch"][reached[0]] if reached.size else None


def largest_fall(record: Record) -> float:
    """The largest fall of the return on the test bed from one chunk to the next, relative to its magnitude."""
    returns = np.asarray(record["return"])
    return float(np.max((returns[:-1] - returns[1:]) / np.abs(returns[:-1]), initial=0.0))


def sooner(ours: Record, theirs: Record) -> float | None:
    """How many times sooner `ours` reaches the best return of `theirs` than `theirs` does; None if it never does."""
    best = int(np.argmax(theirs["return"]))
    reached = np.flatnonzero(np.asarray(ours["return"]) >= theirs["return"][best])
    if not reached.size:
        return None
    # Before the first chunk no time has passed: then the first chunk is what it took.
    own = ours["seconds"][max(int(reached[0]), 1)]
    return float(theirs["seconds"][max(best, 1)] / own)


def markdown_table(records: Sequence[Record]) -> str:
    """A table with one line for each environment, task and variant: worst case and median over its seeds."""
    lines = [
        "| environment / task | setting | seeds | final gap, median (worst) | epochs to 2 % | largest fall "
        "| guard acted after epoch 10 | training, of it compiling [s] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["environment"], record["task"], record["variant"]), []).append(record)
    for (environment, task, variant), group in sorted(groups.items()):
        same_task = [record for record in records if (record["environment"], record["task"]) == (environment, task)]
        cells = (f"{environment} / {task}", variant, str(len(group)), *_cells(group, common_optimum(same_task)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(group: Sequence[Record], optimum: float) -> tuple[str, ...]:
    final = [100 * record["final"]["optimality_gap"] for record in group]
    reached = [epochs_until(record, optimum, 0.02) for record in group]
    late = sum(epoch > 10 for record in group for epoch in record["guard_acted"])
    possible = sum(record["epoch"][-1] - 10 for record in group)
    compiling = float(np.median([record["compile_seconds"] for record in group]))
    training = float(np.median([record["train_seconds"] for record in group])) + compiling
    return (
        f"{np.median(final):.2f} % ({max(final):.2f} %)",
        ", ".join("-" if epoch is None else str(epoch) for epoch in reached),
        f"{100 * max(map(largest_fall, group)):.2f} %",
        f"{late} of {possible}",
        f"{training:.0f}, {compiling:.0f}",
    )
