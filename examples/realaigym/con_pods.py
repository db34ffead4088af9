"""A policy of pods_jax as a controller of the RealAIGym leaderboards for acrobot and pendubot.

Copy it beside their scripts (`leaderboard/acrobot/simulation_v2`, `leaderboard/pendubot/robustness_v2`, ...), name
the exported policy and run them unchanged:

    python scripts/export.py --workdir=runs/acrobot --out=acrobot.safetensors
    PODS_POLICY=$PWD/acrobot.safetensors python calculate_leaderboard_score.py con_pods.py

The policy alone acts, from the first moment to the last: it swings up and it balances. docs/robots.md has the scores.
"""

import os

import jax
import numpy as np
from double_pendulum.controller.abstract_controller import AbstractController
from sim_parameters import mpar, robot

from pods_jax import envs
from pods_jax.envs.robots.two_links import State
from pods_jax.export import load_policy


class PolicyController(AbstractController):
    """The torques (2,) [N m] of a policy, as a function of the measured angles and angular velocities."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.env = envs.make(robot, task="swing_up")
        policy = load_policy(path)
        self.policy = jax.jit(lambda x: policy(self.env.observe(State(x[:2], x[2:]))))
        self.motor = int(np.argmax(self.env.parameters.motor))
        self.limit = float(mpar.tl[self.motor])

    def get_control_output_(self, x: np.ndarray, t: float | None = None) -> np.ndarray:
        """x: (4,) angles [rad] and angular velocities [rad/s] of shoulder and elbow."""
        torque = np.zeros(2)
        torque[self.motor] = np.clip(float(self.policy(np.asarray(x, np.float32))[0]), -self.limit, self.limit)
        return torque


controller = PolicyController(os.environ["PODS_POLICY"])
controller.init()

leaderboard_config = {
    "csv_path": "pods/sim_swingup.csv",
    "name": "pods",
    "simple_name": "PODS",
    "short_description": "Neural network trained through a differentiable simulator, with second-order steps.",
    "readme_path": "readmes/pods.md",
    "username": "pods_jax",
}
