import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, train
from pods_jax.algorithms.pods.metrics import STEP_SIZE_BINS
from pods_jax.policies.policy_model import make_policy_model
from pods_jax.rollouts import rollout_batch, sample_states
from pods_jax.runs.configuration import merged

SMALL = {
    "batch_size": 12,
    "guard": {"size": 6},
    "hidden_sizes": (16,),
    "regression": {"gradient_steps": 20, "minibatch_size": 64},
}


def small_env():
    return envs.make("pendulum_2d", "stop", horizon=12)


@pytest.fixture(scope="module")
def small():
    """The default method, and one epoch of it, compiled once."""
    algorithm = algorithms.make("pods", small_env(), **SMALL)
    return algorithm, jax.jit(algorithm.update)


@pytest.fixture(scope="module")
def history(small):
    """Twelve epochs."""
    algorithm, update = small
    state, rows = algorithm.init(jax.random.key(0)), []
    for _ in range(12):
        state, metrics = update(state)
        rows.append(metrics)
    return rows


def untrained_value(algorithm):
    """Of the policy before the first epoch, from the states of the guard."""
    state = algorithm.init(jax.random.key(0))
    return jnp.mean(jnp.sum(rollout_batch(algorithm.env, algorithm.policy(state), state.guard_states).reward, axis=1))


def test_the_policy_gets_better(small, history):
    """By more than a tenth of a cost of which most comes before anything can be done."""
    assert history[-1]["guard_value"] > 0.9 * untrained_value(small[0])  # both are negative


def test_the_guard_first_compares_with_the_untrained_policy(small):
    algorithm, update = small
    state = algorithm.init(jax.random.key(0))
    lost = jax.tree.map(lambda leaf: leaf * jnp.nan, state.learner.params)
    learner = dataclasses.replace(state.learner, descent=dataclasses.replace(state.learner.descent, params=lost))
    after, metrics = update(dataclasses.replace(state, learner=learner))
    assert metrics["guard_acted"]
    np.testing.assert_allclose(after.guard_value, untrained_value(algorithm), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_the_promises_of_the_ledger(history):
    for row in history:
        assert row["worse_rollouts"] == 0
        assert row["unhealthy_rollouts"] == 0
        assert row["value_improved"] >= row["value"]
        assert row["largest_action_ratio"] <= 1.0
        assert sum(row["step_size_histogram"]) == SMALL["batch_size"]
        assert len(row["step_size_histogram"]) == len(STEP_SIZE_BINS)
        assert 0 <= row["saturated_fraction"] <= 1
    guarded = [row["guard_value"] for row in history]
    assert np.all(np.diff(guarded) >= 0)


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("first_order", "gauss_newton", "newton")]
)
def test_every_method_learns_with_its_own_regression(method):
    algorithm = algorithms.make("pods", small_env(), improvement={"method": method}, **SMALL)
    expected = "improved" if method == "first_order" else "visited"
    assert algorithm.config.regression.states == expected
    _, history = train(algorithm, jax.random.key(0), 4)
    assert history[-1]["guard_value"] > history[0]["guard_value"]
    assert all(np.all(np.isfinite(value)) for row in history for value in row.values())


@pytest.mark.slow
def test_chunks_of_rollouts_change_nothing_but_rounding(small):
    chunked = algorithms.make("pods", small_env(), improvement={"chunk_size": 6}, **SMALL)
    start = chunked.init(jax.random.key(0))
    outcomes = [update(start)[0].params for update in (small[1], jax.jit(chunked.update))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), *outcomes)


def test_the_same_seed_gives_the_same_training_and_another_one_another(small):
    algorithm, update = small
    values = [float(update(algorithm.init(jax.random.key(seed)))[1]["guard_value"]) for seed in (3, 3, 4)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_guard_states_stay_and_the_others_are_drawn_anew(small):
    algorithm, update = small
    first = algorithm.init(jax.random.key(0))
    second, _ = update(first)
    np.testing.assert_array_equal(first.guard_states.velocity, second.guard_states.velocity)
    assert not np.array_equal(jax.random.key_data(first.key), jax.random.key_data(second.key))


def test_where_the_guard_holds_a_policy_the_learner_goes_on_from_its_own_rollouts(small):
    algorithm, update = small
    state = algorithm.init(jax.random.key(0))
    ahead = jax.tree.map(lambda leaf: leaf + 0.05, state.learner.average)
    held = dataclasses.replace(state, learner=dataclasses.replace(state.learner, average=ahead))
    values = [update(each)[1]["value"] for each in (state, held, dataclasses.replace(held, params=ahead))]
    assert values[1] == values[2] != values[0]


@pytest.mark.slow
def test_without_a_guard_every_finite_policy_is_taken_and_all_states_are_drawn_anew():
    algorithm = algorithms.make(
        "pods", small_env(), **merged(SMALL, {"guard": {"size": 0}, "regression": {"states": "improved"}})
    )
    untrained = algorithm.init(jax.random.key(0))
    trained, history = train(algorithm, jax.random.key(0), 25)
    assert not any(row["guard_acted"] for row in history)
    assert np.any(np.diff([row["guard_value"] for row in history]) < 0)  # other states each time
    model = make_policy_model(algorithm.env, algorithm.config.hidden_sizes)
    states = sample_states(algorithm.env, jax.random.key(5), 64)
    before, after = (jnp.mean(model.returns(state.params, states)) for state in (untrained, trained))
    assert after > 0.9 * before  # both are negative


def test_a_rollout_that_is_not_finite_never_reaches_the_policy(small):
    """One guard state is a NaN; it is counted, left out of the regression, and the policy stays finite."""
    algorithm, update = small
    state = algorithm.init(jax.random.key(0))
    poisoned = jax.tree.map(lambda leaf: leaf.at[2].set(jnp.nan), state.guard_states)
    state, metrics = update(dataclasses.replace(state, guard_states=poisoned))
    assert metrics["unhealthy_rollouts"] == 1
    assert metrics["worse_rollouts"] == 0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params))
    assert np.isfinite(metrics["value_improved"])


@pytest.fixture(scope="module")
def single():
    """States and metrics of eight epochs in single precision, of observations that are standardized."""
    env = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), small_env())
    algorithm = algorithms.make("pods", env, **merged(SMALL, {"regression": {"standardize": True}}))
    update, states, history = jax.jit(algorithm.update), [algorithm.init(jax.random.key(0))], []
    for _ in range(8):
        state, metrics = update(states[-1])
        states.append(state)
        history.append(metrics)
    return states, history


@pytest.mark.slow
def test_float32_trains_as_well(single):
    states, history = single
    assert {leaf.dtype for leaf in jax.tree.leaves(states[-1].params)} == {np.dtype("float32")}
    assert history[-1]["guard_value"] > history[0]["guard_value"]
    assert sum(row["worse_rollouts"] + row["unhealthy_rollouts"] for row in history) == 0


@pytest.mark.slow
def test_observations_are_standardized_once_by_the_first_epoch(single):
    first, second, third, *_ = single[0]
    assert np.all(first.learner.average["scaling"]["deviation"] == 1)
    mean, deviation = (second.learner.average["scaling"][name] for name in ("mean", "deviation"))
    assert -0.55 < mean[2] < -0.2  # the mass swings half a metre from the handle, below it
    assert np.all(deviation > 0)
    assert np.all(deviation != 1)
    for params in (second.params, second.learner.params, third.params, third.learner.average):
        np.testing.assert_allclose(params["scaling"]["mean"], mean, rtol=1e-12)


def test_a_policy_is_a_function_of_one_observation():
    env = small_env()
    algorithm = algorithms.make("pods", env, **SMALL)
    action = algorithm.policy(algorithm.init(jax.random.key(0)))(jnp.zeros(env.observation_size))
    assert action.shape == (env.action_size,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, ("batch_size = 0", "at least 1")),
        ({"batch_size": 2.5}, ("batch_size = 2.5", "whole number")),
        ({"optimizer": {"learning_rate": float("nan")}}, ("learning_rate = nan", "finite")),
        ({"optimizer": {"learning_rate": -1.0}}, ("learning_rate = -1.0", "greater than 0")),
        ({"improvement": {"method": "ricati"}}, ("method = 'ricati'", "did you mean 'riccati'")),
        (
            {"regression": {"states": "visited_states"}},
            ("regression.states = 'visited_states'", "did you mean 'visited'"),
        ),
        ({"fine_tune_after": -1}, ("fine_tune_after = -1", "at least 0")),
        ({"hidden_sizes": (0,)}, ("hidden_sizes[0] = 0", "at least 1")),
        ({"hidden_sizes": (8, "a")}, ("hidden_sizes[1] = 'a'", "whole number")),
        ({"improvement": {"damping": -1e-3}}, ("damping = -0.001", "at least 0")),
        ({"batch_sze": 3}, ("batch_sze", "did you mean 'batch_size'")),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError) as refused:
        algorithms.make("pods", small_env(), **settings)
    assert all(word in str(refused.value) for word in words)


def test_an_unknown_algorithm_names_the_closest():
    with pytest.raises(InputError, match="did you mean 'pods'"):
        algorithms.make("pod", small_env())


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("guard_size", 4, "guard.size"),
        ("polish_after", 3, "fine_tune_after"),
        ("regression", "visited_states", "regression.states"),
        ("method", "riccati", "improvement.method"),
    ],
)
def test_a_former_setting_is_refused_with_its_new_place(name, value, place):
    with pytest.raises(InputError, match=rf"algorithm.{name} = {value!r}: is now algorithm.{place}"):
        algorithms.make("pods", small_env(), **{name: value})


@pytest.mark.parametrize(("name", "steps"), [("pendulum_2d", (50, 1024)), ("pendulum_3d", (200, 256))])
def test_in_space_gradient_steps_are_four_times_as_many_and_as_small(name, steps):
    regression = algorithms.make("pods", envs.make(name)).config.regression
    assert (regression.gradient_steps, regression.minibatch_size) == steps
    chosen = algorithms.make("pods", envs.make(name), regression={"gradient_steps": 7, "minibatch_size": 9})
    assert (chosen.config.regression.gradient_steps, chosen.config.regression.minibatch_size) == (7, 9)
