"""From records of trainings to lines of text: means and spreads over seeds, tables, claims that hold or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pods_jax.visual.curves import Record, best_known, epochs_until, largest_fall, sooner


@dataclass(frozen=True)
class Claim:
    """One line of claims.md."""

    statement: str
    paper: str
    ours: str
    holds: bool
    reason: str = ""  # shown where it does not hold


Group = dict[str, list[Record]]


def groups(records: Sequence[Record]) -> dict[tuple[str, str], Group]:
    """The records of each environment and task by variant."""
    found: dict[tuple[str, str], Group] = {}
    for record in records:
        row = found.setdefault((record["environment"], record["task"]), {})
        row.setdefault(record["variant"], []).append(record)
    return found


def markdown(claims: Sequence[Claim]) -> str:
    """One line for each claim."""
    lines = ["| claim | paper | here | holds | if not, perhaps because |", "|---|---|---|---|---|"]
    for claim in claims:
        verdict = "yes" if claim.holds else "**no**"
        reason = "" if claim.holds else claim.reason
        lines.append(f"| {claim.statement} | {claim.paper} | {claim.ours} | {verdict} | {reason} |")
    return "\n".join(lines)


def table(records: Sequence[Record]) -> str:
    """Return, gap to the best optimum known, course and times of each variant: means over seeds, and the worst."""
    lines = [
        "| environment / task | variant | return | gap (worst) | epochs to 2 % | largest fall | simulated steps "
        "| seconds, and compiling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, group in groups(records).items():
        optimum = best_known([record for members in group.values() for record in members])
        for variant, members in group.items():
            lines.append(f"| {title(row)} | {variant} | {' | '.join(_cells(members, optimum))} |")
    return "\n".join(lines)


def _cells(members: Sequence[Record], optimum: float) -> tuple[str, ...]:
    gap = 100 * (optimum - final(members, "return_mean")) / abs(optimum)
    reached = [epochs_until(record, optimum, 0.02) for record in members]
    seconds, compiling, steps = (
        np.mean(values)
        for values in (
            [record["train_seconds"] for record in members],
            [record["compile_seconds"] for record in members],
            [record["steps"][-1] for record in members],
        )
    )
    return (
        spread(final(members, "return_mean")),
        f"{np.mean(gap):.2f} % ({np.max(gap):.2f} %)" if np.isfinite(optimum) else "-",
        ", ".join("-" if epoch is None else str(epoch) for epoch in reached),
        f"{100 * max(map(largest_fall, members)):.2f} %",
        f"{steps:.3g}",
        f"{seconds:.3g}, {compiling:.3g}",
    )


def overview(records: Sequence[Record], ours: str) -> str:
    """How far each variant ends from the best return known, and how much sooner `ours` has the best return it had.

    One line for each environment and task; the gap is of the mean over seeds, "sooner" the median over seeds.
    """
    variants = list(dict.fromkeys(record["variant"] for record in records))
    lines = [
        f"| environment / task | best known | {' | '.join(variants)} |",
        "|---|---|" + "---|" * len(variants),
    ]
    for row, group in groups(records).items():
        optimum = best_known([record for members in group.values() for record in members])
        cells = [title(row), f"{optimum:.4g}"]
        cells += [_gap_and_lead(group.get(name, []), group.get(ours, []), optimum) for name in variants]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _gap_and_lead(members: Sequence[Record], ours: Sequence[Record], optimum: float) -> str:
    if not members:
        return ""
    gap = (optimum - np.mean(final(members, "return_mean"))) / abs(optimum)
    shown = f"{100 * gap:.2f} %"
    if members is ours or not ours:
        return shown
    known = [sooner(one, other) for one, other in zip(ours, members, strict=False)]
    ratios = [np.inf if ratio is None else 1 / ratio for ratio in known]
    lead = 1 / np.median(ratios)
    return f"{shown}, {ratio(lead)} x" if lead else f"{shown}, never"


def origin(records: Sequence[Record]) -> str:
    """What made the records: versions of jax, devices, commits and days."""
    made = [record["made"] for record in records]
    devices = sorted({f"{entry['cores']} core{'s' * (entry['cores'] > 1)} of {entry['device']}" for entry in made})
    commits = sorted({entry["commit"][:7] + entry["commit"][40:] for entry in made if entry["commit"]})
    days = sorted(entry["started"][:10] for entry in made)
    versions = sorted({entry["jax"] for entry in made})
    return (
        f"Trained with jax {' and '.join(versions)} on {' and '.join(devices)}, "
        f"{' to '.join(dict.fromkeys([days[0], days[-1]]))}, "
        f"by the sources of {', '.join(commits) or 'an unknown commit'}."
    )


def final(group: Sequence[Record], name: str) -> np.ndarray:
    """(seeds,) of the evaluation at the end."""
    return np.array([record["final"][name] for record in group])


def title(row: tuple[str, str]) -> str:
    """An environment and a task, as they are written everywhere."""
    return " / ".join(row)


def ratio(value: float) -> str:
    """Three digits; thousands without an exponent."""
    return f"{float(f'{value:.3g}'):g}"


def spread(values: np.ndarray) -> str:
    """Mean and standard deviation over seeds."""
    seeds = "one seed" if values.size == 1 else f"+- {np.std(values):.2g}, {values.size} seeds"
    return f"{np.mean(values):.5g} ({seeds})"


def close(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Says so where two means differ by less than 1 %."""
    difference = abs(np.mean(ours) - np.mean(theirs)) / max(abs(np.mean(ours)), abs(np.mean(theirs)))
    return f"they differ by {100 * difference:.2g} %" if difference < 0.01 else ""
