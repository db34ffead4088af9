"""Pictures of environments that nobody here has thought of: what they draw is all that is known of them."""

import ast
import base64
import json
import pathlib
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import compat, envs
from pods_jax.checks import InputError
from pods_jax.runs import artifacts
from pods_jax.visual import animation, viewer

PACKAGE = pathlib.Path(pods_jax.__file__).parent


def roll(state, action):
    """A cart on a floor with a mast that leans to where it is pushed; the flag to be reached moves on."""
    velocity = state["velocity"] + 0.1 * action[0]
    place = state["place"] + 0.1 * velocity
    return {"place": place, "velocity": velocity, "flag": state["flag"] + 0.05}


def reset(key):
    return {"place": jax.random.uniform(key, ()), "velocity": jnp.zeros(()), "flag": jnp.ones(())}


def draw(state):
    cart = jnp.stack([state["place"], jnp.zeros(())])
    mast = cart + jnp.stack([0.3 * state["velocity"], jnp.ones(())])
    return envs.make_drawing(
        jnp.stack([cart, mast]),
        [(0, 1)],
        slack=state["velocity"][None] < 0,
        num_handles=1,
        normals=[[0.0, 1.0], [-1.0, 0.0]],  # a floor, and a wall, which is not shown
        offsets=[0.0, -5.0],
        target=jnp.stack([state["flag"], jnp.zeros(())])[None],
    )


def make(**changes):
    given = {
        "observe": lambda state: jnp.stack([state["place"] - state["flag"], state["velocity"]]),
        "residual": lambda state, action: jnp.concatenate([jnp.stack([state["place"] - state["flag"]]), action]),
        "action_limit": [2.0],
        "horizon": 6,
        "time_step": 0.1,
        "draw": draw,
    }
    return envs.from_step(roll, reset, **given | changes)


@pytest.fixture(scope="module")
def env():
    return make()


@pytest.fixture(scope="module")
def trajectory(env):
    return pods_jax.replay(env, env.reset(jax.random.key(0)), jnp.full((6, 1), -1.5))


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def unpacked(data, text):
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(6, -1, 2) * data["scale"] + data["centre"]


@pytest.mark.slow
def test_it_is_animated(env, trajectory):
    assert env.space_dimension == 2
    moving = animation.animate(env, trajectory.state)
    mast, target, free, handles, path = moving._func(4)
    place, velocity = (np.asarray(trajectory.state[name])[4] for name in ("place", "velocity"))
    np.testing.assert_allclose(np.ravel(handles.get_data()), [place, 0.0])
    np.testing.assert_allclose(np.ravel(free.get_data()), [place + 0.3 * velocity, 1.0])
    np.testing.assert_allclose(np.ravel(target.get_data()), [trajectory.state["flag"][4], 0.0])
    assert mast.get_linestyle() == "--"  # it is pushed backwards
    assert len(path.get_xdata()) == 5
    floor = [line for line in moving._fig.axes[0].get_lines() if line.get_color() == "0.7"]
    assert [line.get_ydata().tolist() for line in floor] == [[0.0, 0.0]]
    moving._draw_was_started = True  # it was never shown, and matplotlib would warn of that


@pytest.mark.slow
def test_it_is_a_page_without_energy_whose_target_moves(env, trajectory):
    data = data_of(viewer.view(env, {"own": trajectory}).page)
    (stored,) = data["groups"][0]["rollouts"]
    drawn = animation.drawings(env, trajectory.state)
    assert (data["dimension"], data["numPoints"], data["numHandles"]) == (2, 2, 1)
    assert data["segments"] == [[0, 1, 0]]
    assert data["actionUnit"] == ""
    assert len(data["tables"]) == 1
    assert "energy" not in stored
    np.testing.assert_allclose(unpacked(data, stored["points"]), drawn.points, atol=data["scale"])
    assert data["targetMoves"]
    np.testing.assert_allclose(unpacked(data, stored["target"]), drawn.target, atol=data["scale"])
    assert base64.b64decode(stored["slack"]) == bytes([1] * 6)


def test_a_page_shows_the_energy_that_is_measured():
    env = make(measure=lambda state: {"kinetic_energy": state["velocity"] ** 2 / 2}, action_unit="N")
    trajectory = pods_jax.replay(env, env.reset(jax.random.key(0)), jnp.ones((6, 1)))
    data = data_of(viewer.view(env, {"own": trajectory}).page)
    energy = np.frombuffer(base64.b64decode(data["groups"][0]["rollouts"][0]["energy"]), "<f4")
    np.testing.assert_allclose(energy, trajectory.state["velocity"] ** 2 / 2, rtol=1e-6)
    assert data["actionUnit"] == "N"


def test_gymnasium_renders_it(env):
    pytest.importorskip("gymnasium")
    single = compat.to_gymnasium(env, "rgb_array")
    single.reset(seed=0)
    before = single.render()
    single.step(single.action_space.high)
    assert np.any(before != single.render())


def test_the_phase_figure_shows_its_last_point(env, trajectory):
    start = jax.tree.map(lambda leaf: leaf[None], env.reset(jax.random.key(0)))
    position, velocity = artifacts.last_point(env, start, jax.tree.map(lambda leaf: leaf[None], trajectory.state))
    tip = np.asarray(trajectory.state["place"] + 0.3 * trajectory.state["velocity"])
    np.testing.assert_allclose(position[0], tip)
    np.testing.assert_allclose(velocity[0, 1:-1], (tip[2:] - tip[:-2]) / 0.2)
    quadratic = 3 * tip[-1] - 4 * tip[-2] + tip[-3]
    np.testing.assert_allclose(velocity[0, -1], quadratic / 0.2)


@pytest.mark.slow
def test_the_phase_figure_of_ours_is_what_its_states_say():
    env = envs.make("pendulum_2d", horizon=20, time_step=1e-3)
    start = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))
    states = jax.vmap(lambda state: pods_jax.replay(env, state, jnp.zeros((20, 1))))(start).state
    position, velocity = artifacts.last_point(env, start, states)
    np.testing.assert_array_equal(position, states.position[..., -1, 0])
    np.testing.assert_allclose(velocity, states.velocity[..., -1, 0], atol=0.01)


def test_what_cannot_be_drawn_is_refused_with_the_cure():
    env = make(draw=None)
    state = env.reset(jax.random.key(0))
    trajectory = pods_jax.replay(env, state, jnp.ones((6, 1)))
    assert env.space_dimension is None
    message = "own cannot be drawn: give `draw=`"
    for look in (
        lambda: env.draw(state),
        lambda: animation.animate(env, trajectory.state),
        lambda: viewer.view(env, {"own": trajectory}),
        lambda: artifacts.last_point(env, None, None),
    ):
        with pytest.raises(InputError, match=message):
            look()
    pytest.importorskip("gymnasium")
    assert compat.to_gymnasium(env).render_mode is None
    with pytest.raises(InputError, match=message):
        compat.to_gymnasium(env, "rgb_array")


@pytest.mark.parametrize(
    ("points", "settings", "message"),
    [
        (np.zeros((2, 4)), {}, r"points have shape \(2, 4\): must have shape \(N, 2\) or \(N, 3\)"),
        (np.zeros((0, 2)), {}, "with N at least 1"),
        (
            np.zeros((2, 2)),
            {"segments": [(0, 2)]},
            r"segments\[0\] = \(0, 2\): must be two numbers of points",
        ),
        (np.zeros((2, 2)), {"num_handles": 3}, "num_handles = 3: must be at least 0 and at most 2"),
        (np.zeros((2, 2)), {"segments": [(0, 1)], "slack": [True, False]}, r"slack has shape \(2,\): must have"),
        (np.zeros((2, 2)), {"segments": [(0, 1)], "cables": [True] * 2}, r"cables has shape \(2,\): must have"),
        (np.zeros((2, 2)), {"normals": [[0, 0, 1]], "offsets": [0]}, r"normals has shape \(1, 3\): must have"),
        (np.zeros((2, 2)), {"normals": [[0, 1]]}, r"offsets has shape \(0,\): must have shape \(1,\)"),
        (np.zeros((2, 2)), {"target": [0.0, 0.0]}, r"target has shape \(2,\): must have shape \(2, 2\)"),
    ],
)
def test_a_drawing_of_other_shapes_is_refused(points, settings, message):
    with pytest.raises(InputError, match=message):
        envs.make_drawing(points, **settings)


def test_a_drawing_function_is_tried_before_anything_is_trained():
    with pytest.raises(InputError, match=r"draw returns \(\): must return an `envs\.Drawing`"):
        make(draw=lambda state: state["place"])


def test_where_all_points_are_driven_the_trail_is_of_all():
    drawn = SimpleNamespace(points=np.array([[[0.0, 0.0], [2.0, 4.0]]]), num_handles=2)
    np.testing.assert_array_equal(animation.trail(drawn), [[1.0, 2.0]])


LOOKING = sorted(
    [*(PACKAGE / "visual").glob("*.py"), *(PACKAGE / "export").glob("*.py"), PACKAGE / "diagnostics/probes.py"]
)


def springs_in(code):
    """What a module knows of springs: imports of the simulator, and what lies in parameters."""
    tree = ast.parse(code)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    looked_into = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"parameters"}
    return {name for name in imported if re.match(r"pods_jax\.(sim|envs\.[Pp]ayload)", name)} | looked_into


@pytest.mark.parametrize("path", LOOKING, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_looks_at_environments_knows_nothing_of_springs(path):
    assert not springs_in(path.read_text())


def test_the_check_for_springs_sees_every_form():
    code = "import pods_jax.sim.forces\nfrom pods_jax import sim\nfrom pods_jax.envs import Payload\nenv.parameters"
    assert springs_in(code) == {"pods_jax.sim.forces", "pods_jax.sim", "pods_jax.envs.Payload", "parameters"}
