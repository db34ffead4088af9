"""What else was tried for the baselines: one setting at a time, all others as they are, for a third of the epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pods_jax.reproduction.report import Claim, final, groups, title
from pods_jax.runs.configuration import merged
from pods_jax.visual.curves import Record, best_known

TRIED: dict[str, dict[str, tuple[float, ...]]] = {
    "SAC": {
        "optimizer.learning_rate": (3e-4, 3e-3),
        "optimizer.gradient_steps": (800, 3200),
        "optimizer.minibatch_size": (512,),
        "loss.discount": (0.95, 0.99),
        "loss.reward_scale": (0.1, 10.0),
    },
    "PPO": {
        "optimizer.learning_rate": (3e-4, 3e-3),
        "optimizer.num_passes": (8,),
        "loss.discount": (0.95, 0.99),
        "loss.gae_lambda": (0.8, 1.0),
        "loss.clipping": (0.2,),
        "loss.entropy_cost": (0.0, 1e-2),
        "loss.reward_scale": (1.0,),
    },
    "SHAC": {
        "optimizer.learning_rate": (1e-3, 3e-3),
        "optimizer.halved_after": (0.0,),
        "window": (5, 25),
        "critic.gradient_steps": (32,),
    },
    "BPTT": {"optimizer.learning_rate": (1e-3, 3e-2), "optimizer.max_gradient_norm": (0.1, 10.0)},
}

AS_IT_IS = "as it is"


def variants(known: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The baselines among known variants with their settings, by names such as "SAC (loss.discount 0.95)"."""
    return {
        f"{name} ({choice})": merged(known[name], changed)
        for name, settings in TRIED.items()
        for choice, changed in (
            (AS_IT_IS, {}),
            *((f"{path} {value:g}", _at(path, value)) for path, values in settings.items() for value in values),
        )
    }


def _at(path: str, value: float) -> dict[str, Any]:
    """A setting by its path, as nested groups."""
    first, _, rest = path.partition(".")
    return {first: _at(rest, value) if rest else value}


def tuned(records: Sequence[Record]) -> list[Claim]:
    """No other setting that was tried brings a baseline more than a hundredth further."""
    found = []
    for row, group in groups(records).items():
        optimum = best_known([record for members in group.values() for record in members])
        ends = {name: float(np.mean(final(members, "return_mean"))) for name, members in group.items()}
        for baseline in TRIED:
            usual = ends.pop(f"{baseline} ({AS_IT_IS})", None)
            others = {name: end for name, end in ends.items() if name.startswith(f"{baseline} (")}
            if usual is not None and others:
                best = max(others, key=others.__getitem__)
                found.append(
                    Claim(
                        f"{title(row)}: no setting tried makes {baseline} better by 1 % of the optimum",
                        "-",
                        f"{usual:.5g}, of {len(others)} others the best is {others[best]:.5g}, {best}",
                        others[best] - usual <= 0.01 * abs(optimum),
                        "one seed, a third of the epochs",
                    )
                )
    return found
