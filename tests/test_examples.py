"""The controller in examples/realaigym, with stand-ins for the modules of RealAIGym that it imports."""

import importlib.util
import pathlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import algorithms, envs
from pods_jax.envs.robots.two_links import State
from pods_jax.export import save_policy

FILE = pathlib.Path(__file__).parents[1] / "examples" / "realaigym" / "con_pods.py"
TIME_STEP = 0.002


class AbstractController:
    """What RealAIGym's class of this name does, as far as the controller needs it."""

    def init(self):
        self.init_()


def module(name, **content):
    made = types.ModuleType(name)
    vars(made).update(content)
    return made


@pytest.fixture(params=["acrobot", "pendubot"])
def controller(request, monkeypatch, tmp_path):
    env = envs.make(request.param, task="swing_up")
    algorithm = algorithms.make("pods", env, batch_size=2, hidden_sizes=(8,), guard={"size": 2})
    path = tmp_path / "policy.safetensors"
    save_policy(path, env, algorithm.policy(algorithm.init(jax.random.key(0))), "safetensors")
    limits = [0.0, 6.0] if request.param == "acrobot" else [6.0, 0.0]
    monkeypatch.setenv("PODS_POLICY", str(path))
    abstract = "double_pendulum.controller.abstract_controller"
    for name in ("double_pendulum", "double_pendulum.controller"):
        monkeypatch.setitem(sys.modules, name, module(name))
    monkeypatch.setitem(sys.modules, abstract, module(abstract, AbstractController=AbstractController))
    parameters = module("sim_parameters", dt=TIME_STEP, mpar=types.SimpleNamespace(tl=limits), robot=request.param)
    monkeypatch.setitem(sys.modules, "sim_parameters", parameters)
    spec = importlib.util.spec_from_file_location("con_pods", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.controller


@pytest.mark.slow
def test_it_balances_where_the_regulator_has_taken_over(controller):
    env = envs.make(["pendubot", "acrobot"][controller.motor], task="balance", time_step=TIME_STEP, substeps=1)
    step = jax.jit(env.step)
    state = State(jnp.array([np.pi + 2 * np.pi + 0.03, -0.04]), jnp.array([0.02, 0.0]))  # one turn further, too
    for _ in range(2500):
        torque = controller.get_control_output_(np.concatenate([state.angle, state.velocity]))
        assert controller.regulates
        state = step(state, jnp.asarray(torque[controller.motor : controller.motor + 1], state.angle.dtype))
    np.testing.assert_allclose(state.angle, [3 * np.pi, 0.0], atol=5e-3)


@pytest.mark.slow
def test_elsewhere_the_policy_acts_through_the_filter(controller):
    hanging = np.zeros(4)
    wanted = float(controller.policy(hanging.astype(np.float32))[0])
    torques = np.array([controller.get_control_output_(hanging) for _ in range(200)])
    assert not controller.regulates
    assert abs(torques[0, controller.motor]) < 0.1 * abs(wanted)
    np.testing.assert_allclose(torques[-1, controller.motor], wanted, rtol=1e-3)
    np.testing.assert_array_equal(torques[:, 1 - controller.motor], 0.0)
