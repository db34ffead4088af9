"""Parameters are found from recordings of every kind, with what is not known said; wrong requests are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pods_jax
from pods_jax import envs, identification
from pods_jax.checks import InputError
from tests.identification.synthetic import recordings

NAMES = ["mass[0]", "inertia[0]", "damping"]


@pytest.fixture(scope="module")
def env():
    return envs.make("acrobot", "swing_up", horizon=30, substeps=1, damping_1=0.05, damping_2=0.03, initial_angle=1.0)


@pytest.fixture(scope="module")
def records(env):
    return recordings(env, jax.random.key(0), count=4, effort=0.1)


@pytest.fixture(scope="module")
def begin(env):
    true = envs.values(env, NAMES)
    return {name: value * factor for (name, value), factor in zip(true.items(), (1.2, 0.8, 0.5, 1.5), strict=True)}


@pytest.fixture(scope="module")
def found(env, records, begin):
    return pods_jax.identify(env, records[0][:3], begin, held_out=records[0][3:])


@pytest.mark.slow
def test_the_truth_is_found_within_what_the_intervals_say(env, found):
    true = np.asarray(list(envs.values(env, NAMES).values()))
    assert found.names == ("mass[0]", "inertia[0]", "damping[0]", "damping[1]")
    assert np.all(np.abs(found.estimate - true) < 3.5 * found.standard_deviation)
    np.testing.assert_allclose(found.estimate, true, rtol=0.05)
    assert found.converged
    assert np.all(found.is_identified)


@pytest.mark.slow
def test_the_noise_is_estimated(found, records):
    for name, deviation in records[1].items():
        np.testing.assert_allclose(found.noise[name], deviation, rtol=0.3)


def test_the_result_says_everything(found):
    text = found.summary()
    assert "mass[0]" in text
    assert "kg m^2" in text
    assert "on 1 held-out recordings" in text
    np.testing.assert_allclose(envs.values(found.environment, NAMES)["mass[0]"], found.estimate[0])
    low, high = found.ranges()["mass[0]"]
    assert low < found.values["mass[0]"] < high
    assert found.prediction_error["angle[1]"] < found.prediction_error_before["angle[1]"]
    for name, values in found.residuals().items():
        assert 0.7 < np.std(values) / found.noise[name] < 1.3
    assert len(found.figure().axes) == 4  # with the colours of the correlations


@pytest.mark.slow
def test_the_spring_and_the_length_of_a_network_are_found():
    """Of a single mass only the ratio to the stiffness shows, so that the mass is taken as known."""
    true = envs.make("pendulum_2d", "stop", horizon=20, stiffness=300.0, link_length=0.6)
    recorded, _ = recordings(true, jax.random.key(0), count=4, noise=1e-3)
    begin = {"stiffness[0]": 600.0, "link_length[0]": 0.5}
    found = pods_jax.identify(envs.make("pendulum_2d", "stop", horizon=20), recorded, begin)
    np.testing.assert_allclose(found.estimate, [300.0, 0.6], rtol=0.02)
    assert np.all(np.abs(found.estimate - [300.0, 0.6]) < 3.5 * found.standard_deviation)
    np.testing.assert_allclose(
        found.environment.parameters.rest_position, true.parameters.rest_position, atol=2e-3
    )  # where it hangs follows


@pytest.mark.slow
def test_mass_and_stiffness_of_one_spring_are_known_by_their_ratio():
    true = envs.make("pendulum_2d", "stop", horizon=20, stiffness=300.0)
    recorded, _ = recordings(true, jax.random.key(0), count=4, noise=1e-3)
    found = pods_jax.identify(true, recorded, {"mass[0]": 1.2, "stiffness[0]": 400.0})
    (direction,) = found.left_open
    shares = dict(direction.shares)
    np.testing.assert_allclose(shares["mass[0]"] / shares["stiffness[0]"], 1.0, rtol=0.3)  # both by the same factor
    np.testing.assert_allclose(found.values["stiffness[0]"] / found.values["mass[0]"], 300.0, rtol=0.02)


@pytest.mark.slow
def test_what_cannot_be_told_apart_is_named(env, records):
    found = pods_jax.identify(env, records[0], ["mass", "centre[1]", "inertia[1]"])
    (direction,) = found.left_open
    assert {name for name, _ in direction.shares} == set(found.names)
    assert direction.uncertainty > 10
    assert not np.any(found.is_identified)
    assert "do not tell" in found.summary()


@pytest.mark.slow
def test_a_prior_tells_what_recordings_do_not(env, records):
    true = envs.values(env, ["mass", "centre[1]", "inertia[1]"])
    prior = {"mass[0]": (true["mass[0]"], 1e-3)}
    found = pods_jax.identify(env, records[0], list(true), prior=prior)
    assert np.all(found.is_identified)
    np.testing.assert_allclose(found.estimate, list(true.values()), rtol=0.05)


@pytest.mark.slow
def test_bounds_hold(env, records, begin):
    bounds = {"mass[0]": (0.6, 0.7)}
    found = pods_jax.identify(env, records[0], begin, bounds=bounds)
    assert found.values["mass[0]"] == 0.6
    assert "(at its bound)" in found.summary()


@pytest.mark.slow
def test_velocities_may_be_missing_and_samples_uneven(env, begin):
    fine = envs.make(
        "acrobot",
        "swing_up",
        horizon=90,
        substeps=1,
        time_step=0.01,
        damping_1=0.05,
        damping_2=0.03,
        initial_angle=1.0,
    )
    recorded, _ = recordings(fine, jax.random.key(1), count=4, effort=0.1, without=("velocity",))
    kept = np.concatenate([[0], np.sort(np.random.default_rng(0).permutation(np.arange(1, 91))[:60])])
    uneven = []
    for each in recorded:
        measured = {name: values[kept] for name, values in each.measured.items()}
        # The mean action until the next sample that is kept is what acted in between.
        held = [np.mean(part, axis=0) for part in np.split(each.action, kept[1:])]
        uneven.append(identification.make_recording(each.time[kept], held, measured))
    found = pods_jax.identify(env, uneven, begin)
    true = np.asarray(list(envs.values(env, NAMES).values()))
    assert set(found.noise) == {"angle[0]", "angle[1]"}
    np.testing.assert_allclose(found.estimate, true, rtol=0.15)


@pytest.mark.slow
def test_one_step_errors_and_measured_starts(env, begin):
    recorded, _ = recordings(env, jax.random.key(2), count=4, effort=0.1, noise=1e-4)
    found = pods_jax.identify(env, recorded, begin, window=env.time_step, starts="measured", independent="windows")
    true = np.asarray(list(envs.values(env, NAMES).values()))
    np.testing.assert_allclose(found.estimate, true, rtol=0.2)


@pytest.mark.slow
def test_an_environment_may_be_a_function_of_values():
    def build(gain, decay):
        return envs.from_step(
            lambda state, action: (1 - 0.1 * decay) * state + 0.1 * gain * action,
            lambda key: jax.random.normal(key, (1,)),
            lambda state: state,
            residual=lambda state, action: jnp.concatenate([state, action]),
            action_limit=[1.0],
            horizon=20,
            time_step=0.1,
        )

    recorded, _ = recordings(build(2.0, 0.7), jax.random.key(0), count=3)
    found = pods_jax.identify(build, recorded, {"gain": 1.0, "decay": 0.2})
    np.testing.assert_allclose(found.estimate, [2.0, 0.7], rtol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"masss[0]": 1.0}}, "did you mean 'mass'?"),
        ({"parameters": {"mass[0]": -1.0}}, "must be within its bounds, 0 to inf"),
        ({"bounds": {"mass[1]": (0, 1)}}, "bounds[...] = 'mass[1]': did you mean 'mass[0]'"),
        ({"bounds": {"mass[0]": (2.0, 1.0)}}, "must be two numbers, the first below the second"),
        ({"prior": {"mass[0]": (1.0, 0.0)}}, "must be a mean and a standard deviation above zero"),
        ({"noise": {"angle[5]": 1.0}}, "noise[...] = 'angle[5]': did you mean"),
        ({"window": 1e-3}, "must be at least one time step of acrobot, 0.03 s"),
        ({"starts": "guessed"}, "must be one of estimated, measured"),
        ({"recordings": []}, "must be at least one recording"),
    ],
)
def test_wrong_requests_are_refused_by_name(env, records, changes, message):
    asked = {"recordings": records[0][:1], "parameters": ["mass[0]"]} | changes
    with pytest.raises(InputError) as caught:
        pods_jax.identify(env, **asked)
    assert message in str(caught.value)


@pytest.mark.slow
def test_recordings_that_are_too_short_are_refused(env, begin):
    recorded, _ = recordings(env, jax.random.key(0), count=2, without=("velocity",))
    with pytest.raises(InputError, match=r"too short to identify anything: they hold 240 .* for 244 unknown ones"):
        pods_jax.identify(env, recorded, begin, window=0.03)


@pytest.mark.slow
def test_single_precision_finds_the_same(found, records, begin):
    with jax.enable_x64(False):
        env = envs.make(
            "acrobot", "swing_up", horizon=30, substeps=1, damping_1=0.05, damping_2=0.03, initial_angle=1.0
        )
        single = pods_jax.identify(env, records[0][:3], begin)
    assert np.all(np.abs(single.estimate - found.estimate) < 0.3 * found.standard_deviation)
