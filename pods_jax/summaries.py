"""What `evaluate` returns as a text to read: units, per cent, and the health of the numbers last."""

import math
from collections.abc import Mapping

from pods_jax import checks
from pods_jax.envs.environment import Environment

UNITS = {
    "distance": "m",
    "height": "m",
    "kinetic_energy": "J",
    "load_speed": "m/s",
    "speed": "m/s",
    "x": "m",
}
"""SI units of the quantities that environments of the package measure."""

HEALTH = {
    "nonconverged_steps": ("all steps solved", "steps were not solved"),
    "nonfinite_rollouts": ("all rollouts finite", "rollouts have a NaN"),
    "nonfinite_derivatives": ("all derivatives finite", "searches ended where a derivative is not finite"),
}
"""What is 0 where all went well: what to say then, and what else."""

_FIRST = ("return_mean", "return_std", "optimality_gap", "optimum_mean", "optimum_last_gain")
_WIDTH = 22


def summary(metrics: Mapping[str, float], env: Environment | None = None) -> str:
    """The metrics of a policy as lines of text, without a line break at the end.

    metrics: what `evaluate` returns, or a part of it. env: says the unit of actions, if it is given. A standard
    deviation stands behind its mean, the gap is in per cent. Raises InputError for what are no named numbers.
    """
    known = {name: _number(f"metrics[{name!r}]", value) for name, value in checks.mapping("metrics", metrics).items()}
    if env is not None:
        checks.instance("env", env, Environment, 'envs.make("pendulum_2d")')
    lines = _about_return(known)
    for name, value in known.items():
        if name in _FIRST or name in HEALTH or (name.endswith("_std") and name.removesuffix("_std") in known):
            continue
        quantity = name.removeprefix("terminal_")
        label = f"final {_words(quantity)}" if quantity != name else _words(name)
        unit = env.action_unit if name == "action_magnitude" and env is not None else UNITS.get(quantity, "")
        lines.append(_line(label, _with_deviation(value, known.get(f"{name}_std"), unit)))
    return "\n".join([*lines, *_health(known)])


def _about_return(known: Mapping[str, float]) -> list[str]:
    """The lines about the return, and how far it is from the best that is known."""
    lines = []
    if "return_mean" in known:
        lines.append(_line("return", _with_deviation(known["return_mean"], known.get("return_std"), "")))
    if math.isfinite(known.get("optimum_mean", math.nan)):
        lines.append(_line("best return found", f"{known['optimum_mean']:.5g}"))
    if "optimality_gap" in known:
        gap = known["optimality_gap"]
        lines.append(_line("optimality gap", f"{100 * gap:.2f} %" if math.isfinite(gap) else "not searched"))
    if "optimum_last_gain" in known:
        lines.append(_line("gain of last restart", f"{100 * known['optimum_last_gain']:.2f} %"))
    return lines


def _health(known: Mapping[str, float]) -> list[str]:
    """One line for each number that should be 0 and is not, or one that says that all are."""
    counted = {name: known[name] for name in HEALTH if name in known}
    bad = [_line("warning", f"{value:.0f} {HEALTH[name][1]}") for name, value in counted.items() if value]
    good = [_line("health", ", ".join(HEALTH[name][0] for name in counted))] if counted else []
    return bad or good


def _with_deviation(mean: float, deviation: float | None, unit: str) -> str:
    text = f"{mean:.5g} {unit}".rstrip()
    return text if deviation is None else f"{text} (std {deviation:.2g})"


def _line(label: str, text: str) -> str:
    return f"{label:{_WIDTH}} {text}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(name: str, value: object) -> float:
    """Returns a number, NaN and infinity among them, or raises InputError."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise checks.InputError(name, value, "must be a number, as evaluate returns them") from error
