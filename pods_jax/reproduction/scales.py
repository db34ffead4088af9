"""What is trained to reproduce the paper, at three sizes: a registry of names, settings and numbers of epochs.

`quick` shows that everything works, `cpu` is what a laptop does in nights, `paper` the same with more seeds and more
epochs of the sheet. All algorithms are treated alike: a variant is an algorithm with settings, and one table says how
long each is trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pods_jax import algorithms, checks, envs
from pods_jax.reproduction import tuning
from pods_jax.runs.configuration import merged

Row = tuple[str, str]
"""An environment and a task."""

OURS = "PODS 500"
"""The variant with which all others are compared."""

FINE_TUNED = "PODS fine-tuned"
"""The same, until the gradient of the return takes over."""

AS_PRINTED = ("first order", "Algorithm 1")
"""Variants of the paper's algorithm."""

NO_GUARD = {"guard": {"size": 0}}
"""Every fitted policy is taken, as in the paper."""

VARIANTS: dict[str, dict[str, Any]] = {
    OURS: {"name": "pods", "batch_size": 500},
    "PODS 4000": {"name": "pods", "batch_size": 4000, "improvement": {"chunk_size": 500}},
    FINE_TUNED: {"name": "pods", "batch_size": 500},
    "first order": {"name": "pods", "batch_size": 500, "improvement": {"method": "first_order"}, **NO_GUARD},
    "Algorithm 1": merged({"name": "pods", "batch_size": 500, **NO_GUARD}, {"regression": {"states": "improved"}}),
    "SAC": {"name": "sac"},
    "PPO": {"name": "ppo"},
    "GPS": {"name": "gps"},
    "BPTT": {"name": "bptt"},
    "SHAC": {"name": "shac"},
}
"""By the names of the paper's figures and tables."""

PODS = tuple(name for name, settings in VARIANTS.items() if settings["name"] == "pods")
"""Those that are PODS."""

FINE_TUNE_AFTER = 0.3
"""Of its epochs, after which "PODS fine-tuned" follows the gradient of the return."""

TUNING = tuning.variants(VARIANTS)
"""Baselines with one setting changed, by names such as "SAC (loss.discount 0.95)"."""

CLOTH = merged(
    {"name": "pods", "improvement": {"method": "gauss_newton"}, "optimizer": {"learning_rate": 3e-3}, **NO_GUARD},
    {"regression": {"states": "improved", "gradient_steps": 50, "minibatch_size": 0}},
)
CLOTH_VARIANTS: dict[str, dict[str, Any]] = {
    **{f"PODS {size}": CLOTH | {"batch_size": size} for size in (12, 24, 48)},
    "SAC": {"name": "sac"},
}
"""Batches of the sheet, for figure 6."""

IN_SPACE = ("pendulum_3d", "double_pendulum_3d")
"""Pendulums whose handle moves in all directions."""

ON_THE_ROPE = {
    "regression": {"standardize": True, "gradient_steps": 100, "minibatch_size": 4096},
    "optimizer": {"learning_rate": 3e-3},
}
"""What PODS needs there, as in configs/rope.py."""

FIFTY_STEPS = {"regression": {"gradient_steps": 50}}
"""What the paper's algorithm keeps in space, where ours takes more and smaller steps."""

DISCOUNT = {"loss": {"discount": 0.95}}
"""What PPO and SAC need in space; `docs/architecture.md` says why."""

CHOSEN: dict[tuple[str, str], dict[str, Any]] = {
    **{("rope_3d", variant): ON_THE_ROPE for variant in PODS},
    **{(name, variant): FIFTY_STEPS for name in IN_SPACE for variant in AS_PRINTED},
    **{(name, variant): DISCOUNT for name in (*IN_SPACE, "rope_3d") for variant in ("SAC", "PPO")},
}
"""Settings of a variant for one environment."""

PENDULUMS: tuple[Row, ...] = tuple(
    (name, task)
    for task in ("stop", "stop_at_origin")
    for name in ("pendulum_2d", "pendulum_3d", "double_pendulum_3d")
)
LARGE: tuple[Row, ...] = (("payload_2d", "stop_at_origin"), ("rope_3d", "stop_at_origin"))
SHEET: Row = ("cloth_3d", "lay")


@dataclass(frozen=True)
class Scale:
    """How large, how long and how often."""

    rows: tuple[Row, ...]
    seeds: int
    num_test_rollouts: int
    epochs: Mapping[str, tuple[int, int]]  # of a variant: how many, and how many between two looks at the policy
    horizon: int = 50
    cloth_epochs: tuple[int, int] = (16, 2)
    cloth: Mapping[str, Any] = field(default_factory=lambda: {"horizon": 60})  # of its environment
    smaller: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # settings of an algorithm


TINY: dict[str, dict[str, Any]] = {
    "pods": {
        "batch_size": 16,
        "improvement": {"chunk_size": 0},
        "regression": {"gradient_steps": 10},
        "guard": {"size": 0},
    },
    "bptt": {"batch_size": 32, "minibatch_size": 16},
    "gps": {"batch_size": 8, "regression": {"gradient_steps": 10}},
    "shac": {"batch_size": 32, "minibatch_size": 16, "window": 3, "critic": {"gradient_steps": 4}},
    "ppo": {"batch_size": 16},
    "sac": {"batch_size": 4, "optimizer": {"gradient_steps": 20, "minibatch_size": 16}},
}
LONG = {
    "PODS 500": (200, 2),
    "PODS 4000": (60, 2),
    FINE_TUNED: (100, 2),
    "first order": (100, 4),
    "Algorithm 1": (100, 4),
    "SAC": (120, 6),
    "PPO": (500, 20),
    "GPS": (40, 4),
    "BPTT": (200, 10),
    "SHAC": (200, 10),
}
SCALES = {
    "quick": Scale(
        rows=(("pendulum_2d", "stop_at_origin"),),
        seeds=1,
        num_test_rollouts=8,
        epochs=dict.fromkeys(VARIANTS, (4, 2)),
        horizon=6,
        cloth_epochs=(2, 1),
        cloth={"horizon": 2, "rows": 2, "columns": 4},
        smaller=TINY,
    ),
    "cpu": Scale(rows=PENDULUMS + LARGE, seeds=3, num_test_rollouts=1000, epochs=LONG),
    "paper": Scale(rows=PENDULUMS + LARGE, seeds=5, num_test_rollouts=1000, epochs=LONG, cloth_epochs=(60, 4)),
}


def get(name: str) -> Scale:
    """The scale called `name`; raises InputError naming the closest one."""
    return SCALES[checks.choice("scale", name, SCALES)]


def variants(row: Row) -> dict[str, dict[str, Any]]:
    """The variants of a row whose algorithm exists here, with their settings."""
    chosen = CLOTH_VARIANTS if row == SHEET else VARIANTS | TUNING
    return {name: dict(settings) for name, settings in chosen.items() if settings["name"] in algorithms.names()}


def configuration(scale: Scale, row: Row, variant: str, seed: int) -> dict[str, Any]:
    """What `experiment.run` needs for one training."""
    name, task = row
    settings = merged(CHOSEN.get((name, _usual(variant)), {}), variants(row)[variant])
    settings = merged(settings, scale.smaller.get(settings["name"], {}))
    if row == SHEET and scale.smaller and "PODS" in variant:
        # First-order steps compile much faster, and this scale is no result.
        small = {"batch_size": int(variant.split()[1]) // 6, "improvement": {"method": "first_order"}}
        settings = merged(settings, small)
    env = scale.cloth if row == SHEET else {"horizon": scale.horizon}
    num_epochs, evaluate_every = scale.cloth_epochs if row == SHEET else _epochs(scale, variant)
    if variant == FINE_TUNED:
        settings |= {"fine_tune_after": int(FINE_TUNE_AFTER * num_epochs)}
    checks.choice("environment", name, envs.names())
    return {
        "env": {"name": name, "task": task, **env},
        "algorithm": settings,
        "seed": seed,
        "num_epochs": num_epochs,
        "evaluate_every": evaluate_every,
        "num_test_rollouts": min(scale.num_test_rollouts, 50) if row == SHEET else scale.num_test_rollouts,
        "search_optimum": row != SHEET,
    }


def _epochs(scale: Scale, variant: str) -> tuple[int, int]:
    """How many there are, and how many between two looks; settings are tried for a third of them."""
    num_epochs, evaluate_every = scale.epochs[_usual(variant)]
    if variant not in TUNING:
        return num_epochs, evaluate_every
    looks = max(num_epochs // evaluate_every // 3, 1)
    return looks * evaluate_every, evaluate_every


def _usual(variant: str) -> str:
    """The variant of which this one has a setting changed, or itself."""
    return variant.split(" (")[0]
