"""How policies do under more noise and wider ranges than they were trained for."""

import numpy as np
import pytest

from pods_jax import envs, sensors
from pods_jax.checks import InputError
from pods_jax.evaluation import evaluate
from pods_jax.runs import robustness
from pods_jax.visual.robustness import figure


@pytest.fixture(scope="module")
def env():
    base = envs.randomized(envs.make("pendulum_2d", horizon=6), {"mass": 0.3, "gravity": 0.8})
    return envs.observed(base, {"p": sensors.positions(), "v": sensors.velocities()}, noise={"p": 0.1})


def damp(observation):
    return 5 * observation[:1]


@pytest.fixture(scope="module")
def curves(env):
    return {curve.what: curve for curve in robustness.curves(env, damp, scales=(0.0, 1.0, 2.0), num_rollouts=8)}


@pytest.mark.slow
def test_there_is_a_curve_for_each_noise_and_each_range(curves):
    assert set(curves) == {"noise of p", "range of mass", "range of gravity"}


@pytest.mark.slow
def test_more_noise_costs_more_and_the_middle_is_the_environment_itself(env, curves):
    noise = curves["noise of p"]
    assert noise.return_mean[0] > noise.return_mean[1] > noise.return_mean[2]
    for curve in curves.values():
        assert curve.return_mean[1] == pytest.approx(noise.return_mean[1], rel=1e-5)


@pytest.mark.slow
def test_without_noise_it_is_the_environment_that_has_none(env, curves):
    quiet = envs.observed(env.parameters.env, {"p": sensors.positions(), "v": sensors.velocities()})
    assert evaluate(quiet, damp, 8)["return_mean"] == pytest.approx(curves["noise of p"].return_mean[0], rel=1e-5)


@pytest.mark.slow
def test_what_physics_does_not_allow_is_left_out(env):
    wide = robustness.curves(env, damp, scales=(0.0, 4.0), num_rollouts=2)
    assert {curve.what: curve.scale for curve in wide} == {
        "noise of p": (0.0, 4.0),
        "range of mass": (0.0,),
        "range of gravity": (0.0, 4.0),
    }


@pytest.mark.slow
def test_the_figure_shows_every_curve(curves):
    drawn = figure(list(curves.values()))
    (axes,) = drawn.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)
    (line,) = [line for line in axes.lines if line.get_label() == "noise of p"]
    np.testing.assert_allclose(line.get_ydata(), 100 * np.asarray(curves["noise of p"].optimality_gap))


def test_an_environment_without_either_is_refused():
    with pytest.raises(InputError, match="neither noise nor random"):
        robustness.curves(envs.make("pendulum_2d"), damp)
    base = envs.make("pendulum_2d")
    with pytest.raises(InputError, match="neither noise nor random"):
        robustness.curves(envs.observed(base, {"p": sensors.positions()}), damp)
