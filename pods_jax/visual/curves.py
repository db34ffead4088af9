"""Learning curves of trainings side by side: gaps to the best optimum known, when they close, how far returns fall.

A record holds one training in plain Python, ready for JSON (`pods_jax.reproduction.records`): the return at each look
at the policy, the epochs, steps and seconds until then, and the final evaluation. Where they were measured, `best`
holds the same quantities of the best actions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Record = Mapping[str, Any]


def best_known(records: Sequence[Record], quantity: str = "return") -> float:
    """What the best actions for one task do, NaN if it was not measured.

    The return is the best mean that any evaluation found, or a search without a policy: the J* of all their gaps.
    """
    measured = [record["best"] for record in records if "best" in record]
    if quantity != "return":
        return float(measured[0][quantity]) if measured else math.nan
    return max([record["final"]["optimum_mean"] for record in records] + [best["return_mean"] for best in measured])


def gaps(record: Record, optimum: float) -> np.ndarray:
    """(K,) the optimality gap at each look."""
    return (optimum - np.asarray(record["return"])) / abs(optimum)


def epochs_until(record: Record, optimum: float, target: float) -> int | None:
    """The first epoch with a gap of at most `target`, or None if there was none."""
    reached = np.flatnonzero(gaps(record, optimum) <= target)
    return record["epoch"][reached[0]] if reached.size else None


def largest_fall(record: Record) -> float:
    """The largest fall of the return on held-out states from one look to the next, relative to its magnitude."""
    returns = np.asarray(record["return"])
    return float(np.max((returns[:-1] - returns[1:]) / np.abs(returns[:-1]), initial=0.0))


def sooner(ours: Record, theirs: Record) -> float | None:
    """How many times sooner `ours` reaches the best return of `theirs` than `theirs` does; None if it never does."""
    best = int(np.argmax(theirs["return"]))
    reached = np.flatnonzero(np.asarray(ours["return"]) >= theirs["return"][best])
    if not reached.size:
        return None
    # Before the first epochs no time has passed: then those are what it took.
    own = ours["seconds"][max(int(reached[0]), 1)]
    return float(theirs["seconds"][max(best, 1)] / own)
