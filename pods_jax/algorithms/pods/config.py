"""The settings of PODS."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from pods_jax import settings
from pods_jax.algorithms.pods.teacher import is_needed
from pods_jax.checks import InputError
from pods_jax.envs.environment import Environment
from pods_jax.envs.trial import check_reverse_mode, check_reward
from pods_jax.policies.encoders import NETWORK_MEANING
from pods_jax.settings import group, setting
from pods_jax.trajopt import METHODS, REVERSE_MODE, WITHOUT_FEEDBACK

GRADIENT_STEPS, MORE_GRADIENT_STEPS = 50, 200
"""Per epoch, where the settings leave it open: more, each on a quarter of the samples, where the policy is harder to
fit, in space and where not all of the state is observed."""


@dataclass(frozen=True)
class Improvement:
    """How trajectories are improved (Eq. 6, Eq. 14)."""

    method: str = setting("riccati", "direction of improvement", choices=METHODS)
    damping: float = setting(0.0, "added to the diagonal of the Hessian, needed where w_a = 0", at_least=0.0)
    chunk_size: int = setting(0, "rollouts improved at once; 0: as many as suit the device", at_least=0)


@dataclass(frozen=True)
class Regression:
    """How the policy is fitted to improved trajectories (Eq. 7)."""

    states: str = setting(
        "auto",
        "where it is fitted: on the states that the policy visited, or on the improved ones as in Algorithm 1; "
        "auto: improved for methods without feedback gains",
        choices=("auto", "visited", "improved"),
    )
    gradient_steps: int = setting(
        0,
        "gradient steps per epoch; 0: 50, or in space and where not all of the state is observed 200, each on a "
        "quarter of minibatch_size",
        at_least=0,
    )
    minibatch_size: int = setting(1024, "samples per gradient step; 0: all", at_least=0)
    standardize: bool = setting(False, "whether the network scales observations by their spread in the first epoch")


@dataclass(frozen=True)
class Optimizer:
    """Adam."""

    learning_rate: float = setting(1e-2, "in the first epoch; falls as 1 / (1 + epoch / 10)", above=0.0)


@dataclass(frozen=True)
class Guard:
    """When a new policy takes the place of the old one."""

    size: int = setting(
        200,
        "initial states, the same in all epochs, on which it may be no worse; 0: no guard, as in Algorithm 1",
        at_least=0,
    )


@dataclass(frozen=True)
class Teacher:
    """Epochs before those of Algorithm 1, in which trajectories are searched for and imitated."""

    use: str = setting(
        "auto",
        "whether; auto: where the environment names a goal at which it is unstable",
        choices=("auto", "always", "never"),
    )
    search_epochs: int = setting(30, "epochs of searching, one trajectory for each state of the guard", at_least=1)
    imitation_epochs: int = setting(40, "epochs of imitating them, after these", at_least=1)
    gradient_steps: int = setting(400, "gradient steps per epoch of imitation", at_least=1)

    @property
    def num_epochs(self) -> int:
        """Epochs before those of Algorithm 1; of a `use` that is decided."""
        return self.search_epochs + self.imitation_epochs if self.use == "always" else 0


@dataclass(frozen=True)
class Config:
    """Settings of PODS; the defaults serve all pendulum tasks."""

    MOVED: ClassVar[dict[str, str]] = {
        "regression": "regression.states",
        "guard_size": "guard.size",
        "polish_after": "fine_tune_after",
    }

    batch_size: int = setting(400, "rollouts per epoch, k in the paper", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of the policy network")
    network: Any = setting("mlp", NETWORK_MEANING)
    fine_tune_after: int = setting(
        0, "epochs, after which the policy follows the gradient of its return; 0: never", at_least=0
    )
    improvement: Improvement = group(Improvement, "how trajectories are improved")
    regression: Regression = group(Regression, "how the policy is fitted to them")
    optimizer: Optimizer = group(Optimizer, "Adam, for regression and fine-tuning")
    guard: Guard = group(Guard, "when a new policy takes the place of the old one")
    teacher: Teacher = group(Teacher, "trajectories to imitate first, where the system is unstable")


def resolve(config: Config, env: Environment) -> Config:
    """The settings with all that they leave open decided for an environment; raises InputError if they do not fit."""
    config = settings.check(config, "algorithm")
    method, damping = config.improvement.method, config.improvement.damping
    if method in REVERSE_MODE:
        check_reverse_mode(env.simulator, f"the method {method!r}")
    check_reward(env)
    if env.terminal_only and method != "first_order" and damping == 0:
        raise InputError(
            "algorithm.improvement.damping",
            damping,
            "must be greater than 0 where only the last reward counts, since all actions but the last cost nothing "
            "by themselves; try 1e-3",
        )
    regression = config.regression
    if regression.states == "auto":
        states = "improved" if method in WITHOUT_FEEDBACK else "visited"
        regression = dataclasses.replace(regression, states=states)
    if regression.gradient_steps == 0:
        is_hard = env.space_dimension == 3 or env.functions.core is not None
        share = MORE_GRADIENT_STEPS // GRADIENT_STEPS if is_hard else 1
        size = regression.minibatch_size
        regression = dataclasses.replace(
            regression, gradient_steps=GRADIENT_STEPS * share, minibatch_size=max(size // share, 1) if size else 0
        )
    guard = dataclasses.replace(config.guard, size=min(config.guard.size, config.batch_size))
    teacher = _resolve_teacher(config, env)
    return dataclasses.replace(config, regression=regression, guard=guard, teacher=teacher)


def _resolve_teacher(config: Config, env: Environment) -> Teacher:
    """Whether there is a teacher; raises InputError where what it needs is missing."""
    use = config.teacher.use
    if use == "auto":
        use = "always" if config.guard.size and is_needed(env) else "never"
    if use == "always" and not config.guard.size:
        raise InputError(
            "algorithm.guard.size", 0, "must be at least 1 with a teacher, whose trajectories start in these states"
        )
    teacher = dataclasses.replace(config.teacher, use=use)
    if 0 < config.fine_tune_after < teacher.num_epochs:
        raise InputError(
            "algorithm.fine_tune_after",
            config.fine_tune_after,
            f"must be at least {teacher.num_epochs}, the epochs with a teacher, or 0",
        )
    return teacher
