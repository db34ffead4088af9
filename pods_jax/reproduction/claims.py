"""What the paper claims, beside what our trainings say: each claim is a function of records.

A record is one training (`records.of_run`). Constants of the paper's environments are unknown, so
orderings and ratios are compared, never rewards. A claim that does not hold is reported as such.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pods_jax.reproduction.endings import less
from pods_jax.reproduction.paper import TABLE_1
from pods_jax.reproduction.report import Claim, close, final, groups, ratio, spread, title
from pods_jax.reproduction.scales import FINE_TUNED, OURS
from pods_jax.reproduction.tuning import tuned
from pods_jax.visual.curves import Record, best_known, largest_fall, sooner

BASELINES = ("SAC", "PPO", "GPS", "BPTT", "SHAC")

SAMPLING_IS_CHEAP = "here a step of the simulator takes well under a microsecond in a batch, so sampling is cheap"
GRADIENTS_ARE_TAME = "gradients stay bounded here: implicit steps, a tanh output, a clipped norm, a decaying rate"
CONTROL_IS_EXACT = "its control phase is solved to convergence with exact derivatives, and its covariance has a floor"
MIN_GAIN = 0.85
"""Of the gain from the untrained policy to the optimum, for a baseline that counts as one."""

REASONS = {
    **dict.fromkeys(("SAC", "PPO"), SAMPLING_IS_CHEAP),
    **dict.fromkeys(("BPTT", "SHAC"), GRADIENTS_ARE_TAME),
    "GPS": CONTROL_IS_EXACT,
}
"""Why a baseline may be better here than in the paper."""

CABLES_GO_SLACK = f"where cables go slack, improved trajectories end in poor optima: see {FINE_TUNED}"
"""Why PODS may end worse on the payload."""


def returns(records: Sequence[Record]) -> list[Claim]:
    """PODS' return is at least as good as every baseline's."""
    found = []
    for row, group in groups(records).items():
        for one, baseline in itertools.product((OURS, FINE_TUNED), BASELINES):
            if one in group and baseline in group:
                ours, theirs = (final(group[name], "return_mean") for name in (one, baseline))
                paper = TABLE_1.get(row, {})
                compared = one in paper and baseline in paper
                reason = CABLES_GO_SLACK if row[0] == "payload_2d" and one == OURS else REASONS[baseline]
                found.append(
                    Claim(
                        f"{title(row)}: the return of {one} is at least that of {baseline}",
                        f"{paper[one][0]} against {paper[baseline][0]}" if compared else "not compared",
                        f"{spread(ours)} against {spread(theirs)}",
                        bool(np.mean(ours) >= np.mean(theirs)),
                        close(ours, theirs) or reason,
                    )
                )
    return found


def fair(records: Sequence[Record]) -> list[Claim]:
    """SAC and PPO are no straw men: they reach most of what there is to gain over the untrained policy."""
    found = []
    for row, group in groups(records).items():
        optimum = best_known([record for members in group.values() for record in members])
        for baseline in ("SAC", "PPO"):
            if baseline in group:
                untrained = np.array([record["return"][0] for record in group[baseline]])
                shares = (final(group[baseline], "return_mean") - untrained) / (optimum - untrained)
                found.append(
                    Claim(
                        f"{title(row)}: {baseline} gains {100 * MIN_GAIN:.0f} % of what can be gained, or more",
                        "-",
                        ", ".join(f"{100 * share:.1f} %" for share in shares),
                        bool(np.min(shares) >= MIN_GAIN),
                        "it was not trained for longer, or not tuned for this task",
                    )
                )
    return found


def times(records: Sequence[Record]) -> list[Claim]:
    """PODS reaches the best return of a baseline sooner; compilation is not counted."""
    found = []
    for row, group in groups(records).items():
        for baseline in BASELINES:
            if OURS in group and baseline in group:
                leads = [sooner(one, other) for one, other in zip(group[OURS], group[baseline], strict=False)]
                paper = TABLE_1.get(row, {})
                hours = (
                    f"{paper[baseline][1] / paper[OURS][1]:.0f} times (whole training)" if baseline in paper else "-"
                )
                known = [lead for lead in leads if lead is not None]
                found.append(
                    Claim(
                        f"{title(row)}: {OURS} is sooner at the best return that {baseline} ever reaches",
                        hours,
                        ", ".join("never" if lead is None else f"{ratio(lead)} times" for lead in leads),
                        len(known) == len(leads) and float(np.median(known)) > 1,
                        REASONS[baseline],
                    )
                )
    return found


def batches(records: Sequence[Record]) -> list[Claim]:
    """In most rows of table 1, a batch of 500 ends at least where one of 4000 does."""
    return _pairs(
        records, "PODS 500", "PODS 4000", "return_mean", np.greater_equal, "the return of {} is at least that of {}"
    )


def orders(records: Sequence[Record]) -> list[Claim]:
    """Figure 3: second order before BPTT before first order, and BPTT depends on its first weights."""
    found = _pairs(records, OURS, "BPTT", "return_mean", np.greater, "the final return of {} is above that of {}")
    found += _pairs(
        records,
        "BPTT",
        "first order",
        "return_mean",
        np.greater,
        "the final return of {} is above that of {}",
        "from some first weights BPTT ends in a much worse optimum: see its spread",
    )
    for row, group in groups(records).items():
        if "BPTT" in group and OURS in group and len(group["BPTT"]) > 1:
            spreads = [float(np.std(final(group[name], "return_mean"))) for name in ("BPTT", OURS)]
            found.append(
                Claim(
                    f"{title(row)}: BPTT depends more on its first weights than {OURS}",
                    "highly sensitive",
                    f"standard deviations over seeds {spreads[0]:.2g} and {spreads[1]:.2g}",
                    spreads[0] > 10 * spreads[1],
                    GRADIENTS_ARE_TAME,
                )
            )
    return found


def monotone(records: Sequence[Record]) -> list[Claim]:
    """The return never falls from one look at the policy to the next by more than a tenth of a percent."""
    found = []
    for row, group in groups(records).items():
        for variant in (OURS, "Algorithm 1", "first order"):
            if variant in group:
                falls = [largest_fall(record) for record in group[variant]]
                found.append(
                    Claim(
                        f"{title(row)}: the return of {variant} on unseen states never falls (by more than 0.1 %)",
                        "monotone for large batches",
                        f"largest fall {100 * max(falls):.2f} %",
                        max(falls) <= 1e-3,
                        "better trajectories are not yet a better policy: the fit sees other states than the policy",
                    )
                )
    return found


def sheet(records: Sequence[Record]) -> list[Claim]:
    """Figure 6: smaller batches of the sheet reach a higher return with as many simulated steps."""
    found = []
    for row, group in groups(records).items():
        sizes = sorted((name for name in group if name.startswith("PODS")), key=lambda name: int(name.split()[1]))
        for small, large in itertools.pairwise(sizes):
            budget = min(record["steps"][-1] for record in group[small] + group[large])
            pair = [np.array([_at(record, budget) for record in group[name]]) for name in (small, large)]
            found.append(
                Claim(
                    f"{title(row)}: with {budget:.3g} steps {small} is ahead of {large}",
                    "smaller batches are more sample efficient",
                    f"{spread(pair[0])} against {spread(pair[1])}",
                    bool(np.mean(pair[0]) > np.mean(pair[1])),
                    close(*pair) or "not known",
                )
            )
    return found


def derivatives(row: tuple[str, str], numbers: Mapping[str, float]) -> list[Claim]:
    """What the paper says of derivatives; numbers: of `measurements.measure`."""
    share, cost = numbers["indefinite_share"], numbers["jacobian_ratio"]
    return [
        Claim(
            f"{title(row)}: the exact Hessian is often indefinite",
            "often",
            f"in {100 * share:.0f} % of rollouts with zero actions",
            share > 0.1,
            "not known",
        ),
        Claim(
            f"{title(row)}: the derivatives of a rollout cost less than the rollout",
            "much less",
            f"{cost:.2g} times the rollout",
            cost < 1,
            "a step here takes few iterations, and history and handles add right sides to its one factorisation",
        ),
    ]


CLAIMS: dict[str, tuple[Callable[[Sequence[Record]], Any], ...]] = {
    "table_1": (returns, times, batches, fair),
    "table_tuning": (tuned,),
    "figure_3": (orders, monotone),
    "figure_4": (returns, monotone),
    "figure_6": (sheet,),
    "figure_8": (less("terminal_kinetic_energy", "{} ends with a tenth of the kinetic energy of {}, or less", 0.1),),
    "figure_9": (less("terminal_distance", "{} ends closer to the target than {}", 1.0),),
    "figure_10": (less("action_magnitude", "{} takes smaller actions than {}", 1.0),),
}
"""What the records of each target are asked."""


def check(target: str, records: Sequence[Record]) -> list[Claim]:
    """The claims that a target of the paper makes, as far as there are records for them."""
    return [claim for ask in CLAIMS[target] for claim in ask(records)]


def _pairs(
    records: Sequence[Record],
    one: str,
    other: str,
    quantity: str,
    better: Callable[..., Any],
    statement: str,
    reason: str = "",
) -> list[Claim]:
    found = []
    for row, group in groups(records).items():
        if one in group and other in group:
            ours, theirs = final(group[one], quantity), final(group[other], quantity)
            found.append(
                Claim(
                    f"{title(row)}: {statement.format(one, other)}",
                    "yes",
                    f"{spread(ours)} against {spread(theirs)}",
                    bool(better(np.mean(ours), np.mean(theirs))),
                    close(ours, theirs) or reason or REASONS.get(other, REASONS.get(one, "not known")),
                )
            )
    return found


def _at(record: Record, budget: float) -> float:
    """The return when so many steps had been simulated."""
    return float(np.interp(budget, record["steps"], record["return"]))
