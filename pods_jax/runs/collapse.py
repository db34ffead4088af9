"""Whether a training has made its policy worse than it was: no failure of the program, but nothing to go on with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def describe(rows: Sequence[Mapping[str, Any]], numbers: Mapping[str, float]) -> str:
    """What to say of a policy whose return is far below that before training; nothing of any other.

    rows: the metrics of the run, from epoch 0 on. numbers: its evaluation. Far below: by more than the magnitude of
    the return before training, and by more than its standard deviation over the held-out states.
    """
    first = next((row for row in rows if row["epoch"] == 0 and "test/return_mean" in row), None)
    if first is None:
        return ""
    before, now = first["test/return_mean"], numbers["return_mean"]
    spread = first.get("test/return_std", 0.0)
    if not before - now > max(abs(before), spread if math.isfinite(spread) else 0.0):
        return ""
    return (
        f"the training has collapsed: the return is {now:.5g}, before the first epoch it was {before:.5g}; lower the "
        "learning rate, or take the checkpoint `best`"
    )
