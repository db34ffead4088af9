"""A policy of pods_jax as a controller of the RealAIGym leaderboards for acrobot and pendubot.

Copy it beside their scripts (`leaderboard/acrobot/simulation_v2`, `leaderboard/pendubot/robustness_v2`, ...), name
the exported policy and run them unchanged:

    python scripts/export.py --workdir=runs/acrobot --out=acrobot.safetensors
    PODS_POLICY=$PWD/acrobot.safetensors python calculate_leaderboard_score.py con_pods.py

The policy swings up. Near the top, where the cost-to-go of a linear quadratic regulator (LQR) is small, that
regulator takes over, and it hands back where the cost-to-go has grown. Their simulation asks for a torque every 2 ms,
where the policy was trained to hold one for 30 ms: so torques pass a first-order filter with that time constant.
docs/robots.md has the scores.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from double_pendulum.controller.abstract_controller import AbstractController
from sim_parameters import dt, mpar, robot

from pods_jax import envs
from pods_jax.envs.robots.two_links import State, acceleration
from pods_jax.export import load_policy

UPRIGHT = np.array([np.pi, 0.0, 0.0, 0.0])
LQR_STATE, LQR_TORQUE = np.diag([0.97, 0.93, 0.39, 0.26]), np.eye(1)
TAKE_OVER, HAND_BACK = 0.5, 2.0  # of the cost-to-go


class PolicyController(AbstractController):
    """The torques (2,) [N m] of a policy, as a function of the measured angles and angular velocities."""

    def __init__(self, path: str) -> None:
        super().__init__()
        env = envs.make(robot, task="swing_up")
        policy = load_policy(path)
        self.policy = jax.jit(lambda x: policy(env.observe(State(x[:2], x[2:]))))
        self.motor = int(np.argmax(env.parameters.motor))
        self.smoothing = 1 / (1 + env.time_step / dt)  # of the filter
        self.limit = float(mpar.tl[self.motor])
        self.cost_to_go, self.gain = regulator(env)

    def init_(self) -> None:
        """Before each of their simulations."""
        self.torque, self.regulates = 0.0, False

    def get_control_output_(self, x: np.ndarray, t: float | None = None) -> np.ndarray:
        """x: (4,) angles [rad] and angular velocities [rad/s] of shoulder and elbow."""
        error = np.asarray(x) - UPRIGHT
        error[:2] = (error[:2] + np.pi) % (2 * np.pi) - np.pi
        self.regulates = error @ self.cost_to_go @ error < (HAND_BACK if self.regulates else TAKE_OVER)
        wanted = -self.gain @ error if self.regulates else float(self.policy(np.asarray(x, np.float32))[0])
        self.torque += (np.clip(wanted, -self.limit, self.limit) - self.torque) * self.smoothing
        return np.where(np.arange(2) == self.motor, self.torque, 0.0)


def regulator(env: envs.Environment) -> tuple[np.ndarray, np.ndarray]:
    """The cost-to-go (4, 4) of the linear quadratic regulator upright and its gain (4,) [N m]."""

    def derivative(x: jax.Array, torque: jax.Array) -> jax.Array:
        return jnp.concatenate([x[2:], acceleration(env.parameters, State(x[:2], x[2:]), torque)])

    at = (jnp.asarray(UPRIGHT), jnp.zeros(1))
    by_state, by_torque = (np.asarray(jax.jacfwd(derivative, i)(*at), float) for i in range(2))
    cost = scipy.linalg.solve_continuous_are(by_state, by_torque, LQR_STATE, LQR_TORQUE)
    return cost, np.linalg.solve(LQR_TORQUE, by_torque.T @ cost)[0]


controller = PolicyController(os.environ["PODS_POLICY"])
controller.init()

leaderboard_config = {
    "csv_path": "pods/sim_swingup.csv",
    "name": "pods",
    "simple_name": "PODS",
    "short_description": "Neural network trained through a differentiable simulator; LQR at the top.",
    "readme_path": "readmes/pods.md",
    "username": "pods_jax",
}
