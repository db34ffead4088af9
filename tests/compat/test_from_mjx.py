"""A cart with a pole, simulated by MJX, beside MuJoCo itself."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from pods_jax import InputError, algorithms, compat, envs, evaluate, replay, train
from pods_jax.compat import mjx as mjx_bridge
from pods_jax.evaluation import make_heldout_set
from pods_jax.visual import animation, viewer

CART_POLE = """
<mujoco>
  <option timestep="0.02" integrator="Euler"><flag contact="disable"/></option>
  <worldbody>
    <body>
      <joint name="cart" type="slide" axis="1 0 0"/>
      <geom type="box" size="0.2 0.1 0.05" mass="1"/>
      <body>
        <joint type="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.6" size="0.02" mass="0.1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="cart" ctrllimited="true" ctrlrange="-8 12"/></actuator>
</mujoco>
"""


def residual(state, action):
    """Upright in the middle."""
    return jnp.concatenate([jnp.array([1.0, 3.0]) * state["qpos"], 0.1 * state["qvel"], 0.02 * action])


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(CART_POLE)


@pytest.mark.slow
def test_it_steps_as_mujoco(model):
    env = compat.from_mjx(model, horizon=10, residual=residual, num_substeps=2)
    assert env.time_step == pytest.approx(0.04)
    np.testing.assert_array_equal(env.action_limit, [10.0])
    state = env.reset(jax.random.key(0))
    actions = np.random.default_rng(0).uniform(-10, 10, (10, 1))
    trajectory = replay(env, state, jnp.asarray(actions, state["qpos"].dtype))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = state["qpos"], state["qvel"]
    for index, action in enumerate(actions):
        data.ctrl[:] = 2.0 + action  # an action is the deviation from the middle of the range
        mujoco.mj_step(model, data, nstep=2)
        tolerance = 1e-3 if state["qpos"].dtype == jnp.float32 else 1e-8
        np.testing.assert_allclose(trajectory.state["qpos"][index], data.qpos, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(trajectory.state["qvel"][index], data.qvel, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_it_is_drawn_in_the_units_that_it_is_given(model):
    def draw(state):
        place, angle = state["qpos"]
        cart, pole = jnp.stack([place, jnp.zeros_like(place)]), 0.6 * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
        return envs.make_drawing(jnp.stack([cart, cart + pole]), [(0, 1)], num_handles=1)

    env = compat.from_mjx(model, horizon=3, residual=residual, draw=draw, action_unit="N")
    trajectory = replay(env, env.reset(jax.random.key(0)), jnp.ones((3, 1), env.action_limit.dtype))
    assert (env.action_unit, env.space_dimension) == ("N", 2)
    assert '"actionUnit":"N"' in viewer.view(env, {"cart": trajectory}).page
    assert animation.picture(env, trajectory.state).ndim == 3


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_a_policy_learns_to_hold_the_pole(model):
    env = compat.from_mjx(model, horizon=60, residual=residual, reset_noise=0.2)
    algorithm = algorithms.make("pods", env, batch_size=64, guard={"size": 32})
    state, history = train(algorithm, jax.random.key(0), 20, epochs_per_chunk=20)
    returned = evaluate(env, algorithm.policy(state), heldout=make_heldout_set(env, 64, search=False))["return_mean"]
    assert history[0]["guard_value"] < -100  # it fell
    assert returned > -5.0
    assert all(row["unhealthy_rollouts"] == 0 for row in history)


def test_what_is_missing_is_named(model):
    with pytest.raises(InputError, match=r"model is a str: must be a mujoco\.MjModel"):
        compat.from_mjx(CART_POLE, horizon=10, residual=residual)
    free = CART_POLE.replace('ctrllimited="true" ctrlrange="-8 12"', "")
    with pytest.raises(InputError, match=r"actuator 0 has no ctrlrange: give action_limit \(1,\)"):
        compat.from_mjx(mujoco.MjModel.from_xml_string(free), horizon=10, residual=residual)
    idle = CART_POLE.split("<actuator>")[0] + "</mujoco>"
    with pytest.raises(InputError, match="the model has no actuator"):
        compat.from_mjx(mujoco.MjModel.from_xml_string(idle), horizon=10, residual=residual)
    with pytest.raises(InputError, match=r"action_limit has shape \(2,\): must have shape \(1,\)"):
        compat.from_mjx(model, horizon=10, residual=residual, action_limit=[1.0, 1.0])


FREE = """
<mujoco>
  <option timestep="0.02" integrator="Euler"><flag contact="disable"/></option>
  <worldbody>
    <body name="box"><freejoint/><geom type="box" size="0.1 0.1 0.1" mass="1"/>
      <body pos="0 0 0.2"><joint type="ball"/><geom type="sphere" pos="0 0 0.3" size="0.02" mass="0.1"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="slide" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
""".replace(
    "<worldbody>",
    """<worldbody>
    <body pos="3 0 0"><joint name="slide" type="slide"/><geom type="sphere" size="0.1" mass="1"/></body>""",
)


@pytest.fixture(scope="module")
def free_model():
    return mujoco.MjModel.from_xml_string(FREE)


def moved(state, action):
    return jnp.concatenate([state["qpos"][:1], 0.1 * action])


def test_quaternions_are_found(free_model):
    assert mjx_bridge.quaternions(free_model) == [4, 8]


@pytest.mark.slow
def test_noise_leaves_quaternions_at_length_one(free_model):
    env = compat.from_mjx(free_model, horizon=2, residual=moved, reset_noise=0.5)
    drawn = np.asarray(jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 50))["qpos"])
    for first in (4, 8):
        np.testing.assert_allclose(np.linalg.norm(drawn[:, first : first + 4], axis=1), 1.0, rtol=1e-6)
    assert np.std(drawn[:, 4:8]) > 0.1


def test_a_reset_that_is_not_of_the_model_is_refused(free_model):
    rest = jnp.asarray(free_model.qpos0)
    still = jnp.zeros(free_model.nv)
    for reset, message in (
        (
            lambda key: {"qpos": rest[:-1], "qvel": still},
            r"reset returns arrays of the shapes .*\(11,\).*: must return",
        ),
        (lambda key: {"qpos": rest}, "reset returns arrays of the shapes .* must return .*qvel"),
        (
            lambda key: {"qpos": rest.at[4].set(0.77), "qvel": still},
            r"qpos\[4:8\], a quaternion, of length 0.77: must",
        ),
        (
            lambda key: {"qpos": rest.at[8].set(0.0), "qvel": still},
            r"qpos\[8:12\], a quaternion, of length 0: must have",
        ),
    ):
        with pytest.raises(InputError, match=message):
            compat.from_mjx(free_model, horizon=2, residual=moved, reset=reset)


def test_what_would_change_nothing_or_cannot_be_is_refused(model):
    with pytest.raises(InputError, match=r"action_limit\[0\] = 11.0: must be at most 10, half of the ctrlrange"):
        compat.from_mjx(model, horizon=10, residual=residual, action_limit=[11.0])
    with pytest.raises(InputError, match="reset_noise = -1: must be a finite number, at least 0"):
        compat.from_mjx(model, horizon=10, residual=residual, reset_noise=-1)
    for given, other in (('integrator="Euler"', 'integrator="implicit"'), ('integrator="Euler"', 'solver="PGS"')):
        unknown = mujoco.MjModel.from_xml_string(CART_POLE.replace(given, other))
        with pytest.raises(
            InputError, match=r"MJX cannot simulate this model \(.*(IMPLICIT|PGS).*\): change the model"
        ):
            compat.from_mjx(unknown, horizon=10, residual=residual)
