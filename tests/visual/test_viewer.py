"""The page: what it holds, and, where there is a browser, that it draws, plays and reacts to a click."""

import base64
import json
import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.visual import animation, viewer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def trajectories(env, count):
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), count))
    actions = jnp.full((env.horizon, env.action_size), 0.5)
    return jax.vmap(lambda state: pods_jax.replay(env, state, actions))(states)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def env():
    return envs.make("payload_2d", horizon=6)


@pytest.fixture(scope="module")
def two(env):
    return trajectories(env, 2)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_the_page_holds_what_the_rollouts_do(env, two):
    data = data_of(viewer.view(env, {"own": two}).page)
    assert len(data["groups"][0]["rollouts"]) == 2
    stored = data["groups"][0]["rollouts"][1]
    second = jax.tree.map(lambda leaf: leaf[1], two)
    points = (
        np.frombuffer(base64.b64decode(stored["points"]), "<i2").reshape(6, -1, 2) * data["scale"] + data["centre"]
    )
    drawn = animation.drawings(env, second.state)
    expected = drawn.points
    np.testing.assert_allclose(points, expected, atol=data["scale"])
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(stored["reward"]), "<f4"), second.reward)
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(stored["action"]), "<f4"), second.action.reshape(-1))
    energy = jax.vmap(env.measure)(second.state)["kinetic_energy"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(stored["energy"]), "<f4"), energy)
    cables = np.asarray(env.parameters.system.springs.cable)
    slack = np.frombuffer(base64.b64decode(stored["slack"]), "u1").reshape(6, -1)
    np.testing.assert_array_equal(slack, drawn.slack[:, cables])
    assert sorted(third for _, _, third in data["segments"] if third >= 0) == list(range(cables.sum()))


def test_the_page_needs_nothing_else_and_no_label_breaks_it(env, two):
    label = "</script><b>&\"'"
    shown = viewer.view(env, {label: two})
    assert not re.search(r"https?://|\bimport\b|(src|href)=\"(?!data:)", shown.page)
    assert data_of(shown.page)["groups"][0]["label"] == label
    assert shown.page.count("<script") == shown.page.count("</script>") == 2
    cell = shown._repr_html_()
    assert cell.startswith("<iframe srcdoc=")
    assert cell.count("<") == 2


def test_ten_rollouts_of_the_cloth_fit_into_a_megabyte():
    # Only the size matters here: a hundred times the state that it starts in.
    env = envs.make("cloth_3d")
    state = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (100, *leaf.shape)), env.reset(jax.random.key(0)))
    one = pods_jax.Trajectory(np.zeros((100, 1)), np.ones((100, 6)), np.ones(100), state)
    several = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (10, *leaf.shape)), one)
    page = viewer.view(env, {"cloth": several}).page
    assert len(page.encode()) <= 1e6
    assert np.shape(data_of(page)["tables"]) == (1, 4, 3)
    assert not data_of(page)["targetMoves"]


def test_what_cannot_be_shown_is_refused(env, two, tmp_path):
    with pytest.raises(InputError, match="at least one trajectory"):
        viewer.view(env, {})
    with pytest.raises(InputError, match="positions that are not finite"):
        viewer.view(env, {"own": jax.tree.map(lambda leaf: leaf * np.nan, two)})
    with pytest.raises(InputError, match=r"rollouts\['none'\] has rewards of shape \(0, 6\)"):
        viewer.view(env, {"own": two, "none": jax.tree.map(lambda leaf: leaf[:0], two)})
    with pytest.raises(InputError, match=r"has rewards of shape \(2, 0\)"):
        viewer.view(env, {"own": jax.tree.map(lambda leaf: leaf[:, :0], two)})
    other = envs.make("pendulum_3d", horizon=6)
    with pytest.raises(InputError, match=r"rollouts\['own'\].action has shape \(2, 6, 3\)"):
        viewer.view(env, {"own": trajectories(other, 2)})
    with pytest.raises(InputError, match="states is "):
        viewer.view(env, {"own": two.replace(state=two.state.position)})
    with pytest.raises(InputError, match="must be of type Trajectory"):
        viewer.view(env, {"own": two.state})
    for nothing in (None, two):
        with pytest.raises(InputError, match="must hold at least one trajectory"):
            viewer.view(env, nothing)
    with pytest.raises(InputError, match=r"ends in \.html"):
        viewer.view(env, {"own": two}).save(str(tmp_path / "page.txt"))  # a string is a path, too


BEFORE = """<script>
window.complaints = [];
addEventListener("error", event => complaints.push(event.message));
console.error = console.warn = (...words) => complaints.push(words.join(" "));
</script>"""
AFTER = """<script>
const colored = () => [...document.querySelectorAll("canvas")].map(canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.filter((value, i) => i % 4 === 3 && value > 0).length; });
const found = { drawn: colored(), start: viewer.time };
document.getElementById("play").click();
setTimeout(() => {
  found.played = viewer.time;
  const plot = document.querySelector("#plots canvas"), box = plot.getBoundingClientRect();
  const there = { clientX: box.left + box.width / 2, clientY: box.top + 40, buttons: 1, bubbles: true };
  plot.dispatchEvent(new PointerEvent("pointerdown", there));
  found.clicked = viewer.time; found.playing = viewer.playing; found.complaints = complaints;
  document.getElementById("data").textContent = JSON.stringify(found);
}, 100);
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: what the page holds is tested all the same")
def test_the_page_draws_plays_and_reacts_to_a_click(env, two, tmp_path):
    page = viewer.view(env, {"one": two, "other": two}).page
    page = page.replace("<style>", BEFORE + "<style>", 1).replace("</body>", AFTER + "</body>", 1)
    (tmp_path / "page.html").write_text(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [BROWSER, *options, "--virtual-time-budget=3000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = data_of(done.stdout)
    assert found["complaints"] == []
    assert len(found["drawn"]) == 5
    assert min(found["drawn"]) > 500
    assert found["start"] == 0
    assert 0 < found["played"] <= 5
    assert found["playing"] is False
    assert found["clicked"] == pytest.approx(2.5, abs=0.6)  # the middle of five steps, less the margins
