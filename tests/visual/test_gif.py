"""A GIF plays at the speed of what it shows, or at one that is stated."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageSequence

import pods_jax
from pods_jax import InputError, envs
from pods_jax.visual import animation, gif


@pytest.mark.parametrize("time_step", [2.5, 1.0, 0.05, 1 / 30, 1 / 60, 1 / 130, 1e-3, 1e-5])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 400])
def test_the_frames_shown_last_as_long_as_all_of_them_take(time_step, num_frames):
    chosen = gif.schedule(num_frames, 1 / time_step)
    total = sum(ticks for _, ticks in chosen)
    assert total == pytest.approx(max(100 * time_step * num_frames, gif.MIN_TICKS), abs=0.51)
    assert min(ticks for _, ticks in chosen) >= gif.MIN_TICKS
    begins = [0, *itertools.accumulate(ticks for _, ticks in chosen)]
    for (index, _), begin in zip(chosen, begins[:-1], strict=True):
        assert begin == pytest.approx(100 * time_step * index, abs=0.51)


@pytest.mark.parametrize(
    ("time_step", "num_frames", "scale"),
    [(1 / 60, 50, 1), (2.5, 3, 1), (1e-3, 50, 1), (1e-5, 50, 1000), (1e-4, 50, 100), (3600.0, 50, 0.1), (1e-5, 1, 1)],
)
def test_the_speed_is_that_of_the_motion_or_a_power_of_ten_of_it(time_step, num_frames, scale):
    assert gif.time_scale(time_step, num_frames) == pytest.approx(scale)
    frames = gif.schedule(num_frames, 1 / (scale * time_step))
    assert len(frames) >= min(num_frames, 2)
    assert max(ticks for _, ticks in frames) < 2**16


def test_another_speed_is_stated():
    assert gif.scale_text(1.0) == ""
    assert gif.scale_text(100.0) == "100 times slower than real time"
    assert gif.scale_text(0.1) == "10 times faster than real time"


def moving(time_step, horizon):
    env = envs.make("pendulum_2d", time_step=time_step, horizon=horizon)
    actions = jnp.ones((horizon, 1))
    states = pods_jax.replay(env, env.reset(jax.random.key(0)), actions).state
    return env, animation.animate(env, states)


@pytest.mark.slow
@pytest.mark.parametrize(("time_step", "horizon"), [(2.5, 3), (1e-3, 50)])
def test_a_gif_lasts_as_long_as_its_rollout(time_step, horizon, tmp_path):
    env, drawn = moving(time_step, horizon)
    animation.save(drawn, tmp_path / "a.gif", 1 / env.time_step)
    with Image.open(tmp_path / "a.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(durations) == pytest.approx(1000 * time_step * horizon, abs=10)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf, 1e-4, "fast"])
def test_a_speed_that_no_gif_has_is_refused(rate, tmp_path):
    with pytest.raises(InputError, match=r"frames_per_second = .*: must be a finite number"):
        animation.save(None, tmp_path / "a.gif", rate)
    assert not list(tmp_path.iterdir())
