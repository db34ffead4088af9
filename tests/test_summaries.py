"""The text of an evaluation: everything that was measured, with its unit, and what went wrong last."""

import math

import pytest

import pods_jax
from pods_jax import envs
from pods_jax.checks import InputError

METRICS = {
    "return_mean": -9.02841,
    "return_std": 5.7902,
    "terminal_distance": 0.0123,
    "terminal_distance_std": 0.004,
    "terminal_tilt": 0.5,
    "terminal_tilt_std": 0.25,
    "action_magnitude": 36.67,
    "action_magnitude_std": 12.2,
    "nonconverged_steps": 0.0,
    "nonfinite_rollouts": 0.0,
    "optimum_mean": -9.0038,
    "optimality_gap": 0.002735,
    "nonfinite_derivatives": 0.0,
}


def test_it_reads_from_the_return_to_the_health():
    assert pods_jax.summary(METRICS, envs.make("cartpole")).splitlines() == [
        "return                 -9.0284 (std 5.8)",
        "best return found      -9.0038",
        "optimality gap         0.27 %",
        "final distance         0.0123 m (std 0.004)",
        "final tilt             0.5 (std 0.25)",
        "action magnitude       36.67 N (std 12)",
        "health                 all steps solved, all rollouts finite, all derivatives finite",
    ]


def test_without_an_environment_nobody_knows_the_unit_of_actions():
    assert "action magnitude       36.67 (std 12)\n" in pods_jax.summary(METRICS)


def test_what_went_wrong_stands_last():
    lines = pods_jax.summary(METRICS | {"nonconverged_steps": 3.0, "nonfinite_rollouts": 1.0}).splitlines()
    assert lines[-2:] == [
        "warning                3 steps were not solved",
        "warning                1 rollouts have a NaN",
    ]


def test_without_a_search_there_is_no_gap():
    text = pods_jax.summary(METRICS | {"optimum_mean": math.nan, "optimality_gap": math.nan})
    assert "optimality gap         not searched" in text
    assert "best return" not in text
    assert "nan" not in text


@pytest.mark.slow
def test_every_number_that_evaluate_returns_is_there(env):
    policy = lambda observation: 0.1 * observation[:1]  # noqa: E731
    metrics = pods_jax.evaluate(env, policy, num_rollouts=2, num_restarts=1)
    lines = pods_jax.summary(metrics, env).splitlines()
    told = {name for name in metrics if not name.endswith("_std") and not name.startswith("non")}
    assert len(lines) == len(told) + 1
    assert "gain of last restart" in pods_jax.summary(metrics)
    assert any(line.startswith("final kinetic energy") and " J (std" in line for line in lines)
    assert any(line.startswith("action magnitude") and " m/s (std" in line for line in lines)


@pytest.mark.parametrize(
    ("metrics", "env", "message"),
    [
        (3, None, "metrics = 3: must be a dictionary"),
        ({"return_mean": "good"}, None, r"metrics\['return_mean'\] = 'good': must be a number"),
        (METRICS, "pendulum_2d", "env is of type str: must be of type Environment"),
    ],
)
def test_what_are_no_metrics_is_refused(metrics, env, message):
    with pytest.raises(InputError, match=message):
        pods_jax.summary(metrics, env)
