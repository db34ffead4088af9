"""The settings of GPS."""

from dataclasses import dataclass
from typing import ClassVar

from pods_jax.algorithms.gradient_settings import HALVED_AFTER
from pods_jax.settings import group, setting


@dataclass(frozen=True)
class ControlPhase:
    """The search for local feedback near the policy."""

    bound: float = setting(1.0, "KL divergence of a step per time step, in the first epoch", above=0.0)
    deviation: float = setting(
        0.5, "standard deviation of the first policy's actions, in units of the action limits", above=0.0
    )
    min_deviation: float = setting(0.1, "standard deviation below which it does not fall", above=0.0)
    chunk_size: int = setting(
        0, "rollouts whose control phases run at once; 0: one on a CPU, elsewhere all", at_least=0
    )


@dataclass(frozen=True)
class Regression:
    """How the policy is fitted to the local controllers."""

    improved_share: float = setting(
        0.5, "weight of the states of the controllers, beside those of the policy", at_least=0.0, at_most=1.0
    )
    gradient_steps: int = setting(50, "gradient steps per epoch", at_least=1)
    minibatch_size: int = setting(4096, "samples per gradient step; 0: all", at_least=0)
    learning_rate: float = setting(1e-2, "of Adam in the first epoch", above=0.0)
    halved_after: float = setting(10.0, HALVED_AFTER, at_least=0.0)


@dataclass(frozen=True)
class Config:
    """Settings of GPS; the defaults are those that served pendulum_2d best."""

    MOVED: ClassVar[dict[str, str]] = {"smallest_deviation": "control_phase.min_deviation"}

    batch_size: int = setting(100, "rollouts per epoch", at_least=1)
    hidden_sizes: tuple[int, ...] = setting((128, 128), "units of each hidden layer of the policy network")
    control_phase: ControlPhase = group(ControlPhase, "the search for local feedback near the policy")
    regression: Regression = group(Regression, "how the policy is fitted to it")
