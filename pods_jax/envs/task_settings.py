"""The settings that all payload environments share: how long, how fast, from where, and what counts."""

from dataclasses import dataclass
from typing import Any

from pods_jax.envs.payload import make_weights
from pods_jax.settings import setting


@dataclass(frozen=True)
class TaskSettings:
    """What a task needs besides the physics; every number is ours, none is given by the paper."""

    horizon: int = setting(50, "time steps of an episode; Fig. 3 of the paper uses 50", unit="steps", at_least=1)
    time_step: float = setting(1 / 30, "time between two actions", unit="s", above=0.0)
    action_limit: float = setting(3.0, "of each handle coordinate", unit="m/s", above=0.0)
    initial_speed: float = setting(3.0, "largest speed of each velocity mode at the start", unit="m/s", at_least=0.0)
    initial_displacement: float = setting(
        0.5, "largest displacement of the handles at the start, not in task stop", unit="m", at_least=0.0
    )
    weights: tuple[float, float, float, float] = setting(
        (5.0, 5.0, 1.0, 0.1), "w_p, w_x, w_v, w_a of Eq. 15", unit="1/m^2, 1/m^2, s^2/m^2, s^2/m^2", at_least=0.0
    )

    def of_payload(self) -> dict[str, Any]:
        """The arguments of `make_payload` that they are."""
        return {
            "horizon": self.horizon,
            "action_limit": self.action_limit,
            "initial_speed": self.initial_speed,
            "initial_displacement": self.initial_displacement,
            "weights": make_weights(self.weights),
        }
