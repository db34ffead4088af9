"""How trainings end, in figures 8 to 10: kinetic energy, distance to the target, magnitude of actions."""

from collections.abc import Callable, Sequence

import numpy as np

from pods_jax.reproduction.report import Claim, Group, close, final, groups, spread, title
from pods_jax.reproduction.scales import OURS
from pods_jax.visual.curves import Record, best_known

NOT_ASKED_FOR = "the best actions do not either: it is not what the task rewards"


def less(quantity: str, statement: str, factor: float) -> Callable[[Sequence[Record]], list[Claim]]:
    """A claim that PODS ends with less of a quantity than SAC and PPO: at most a share `factor` of theirs.

    Beside it stands what the best actions end with, where that was measured. If they miss such a share themselves,
    a better policy does so too.
    """

    def claim(records: Sequence[Record]) -> list[Claim]:
        return [
            _compare(title(row), group, baseline, quantity, statement, factor)
            for baseline in ("SAC", "PPO")
            for row, group in groups(records).items()
            if OURS in group and baseline in group
        ]

    return claim


def _compare(row: str, group: Group, baseline: str, quantity: str, statement: str, factor: float) -> Claim:
    ours, theirs = (final(group[name], quantity) for name in (OURS, baseline))
    limit, best = factor * np.mean(theirs), best_known(group[OURS], quantity)
    beside = f", the best actions {best:.5g}" if np.isfinite(best) else ""
    reason = NOT_ASKED_FOR if best > limit else close(ours, theirs) or "not known"
    return Claim(
        f"{row}: {statement.format(OURS, baseline)}",
        "yes",
        f"{spread(ours)} against {spread(theirs)}{beside}",
        bool(np.mean(ours) <= limit),
        reason,
    )
