"""The teacher, on an inverted pendulum whose motor can hold it only near upright."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, train
from pods_jax.algorithms.pods import teacher
from pods_jax.rollouts import rollout, rollout_batch, sample_states, step_starts
from pods_jax.runs import configuration, experiment, metrics_log
from tests import tiny
from tests.algorithms.linear import make_linear
from tests.unstable import make_unstable

HORIZON, COUNT = 30, 6
SMALL = {
    "batch_size": COUNT,
    "guard": {"size": COUNT},
    "hidden_sizes": (16,),
    "regression": {"gradient_steps": 20, "minibatch_size": 64},
    "teacher": {"search_epochs": 3, "imitation_epochs": 12, "gradient_steps": 60},
}


@pytest.fixture(scope="module")
def env():
    return make_unstable(HORIZON)


@pytest.fixture(scope="module")
def states(env):
    return sample_states(env, jax.random.key(1), COUNT)


@pytest.fixture(scope="module")
def begun(env, states):
    return jax.jit(lambda states: teacher.begin(env, states, jax.random.key(2)))(states)


@pytest.fixture(scope="module")
def found(env, states, begun):
    return jax.jit(lambda begun: teacher.search(env, states, begun, 12)[0])(begun)


@pytest.mark.slow
def test_every_other_one_begins_at_the_goal_with_the_action_zero(begun):
    at_goal = np.arange(COUNT) % 2 == 0
    np.testing.assert_array_equal(begun.is_whole, ~at_goal)
    assert not np.any(begun.best.states[at_goal])
    assert not np.any(begun.best.actions[at_goal])
    assert np.all(np.std(begun.best.actions[~at_goal], axis=1) > 0)
    np.testing.assert_array_equal(begun.value == -np.inf, at_goal)


@pytest.mark.slow
def test_without_a_goal_all_begin_with_random_actions(states):
    begun = teacher.begin(make_unstable(HORIZON, goal=None), states, jax.random.key(2))
    assert np.all(begun.is_whole)
    assert np.all(np.std(begun.best.actions, axis=1) > 0)


@pytest.mark.slow
def test_searching_closes_the_gaps_and_makes_nothing_worse(env, states, begun, found):
    assert np.all(found.is_whole)
    assert np.all(found.value >= begun.value)
    played = jax.vmap(
        lambda state, best: teacher._problem(env, state, best).dynamics(best.states[-2], best.actions[-1])
    )
    np.testing.assert_allclose(played(states, found.best), found.best.states[:, -1], atol=1e-9)


@pytest.mark.slow
def test_neighbours_take_over_what_is_better_and_nothing_else(env, states, found):
    """Those that began at the goal balance, the others have fallen; these then balance, too."""
    gains = jax.jit(lambda found: teacher.feedback(env, states, found))(found).gains
    agreed = jax.jit(lambda found: teacher.agree(env, states, found, gains, jax.random.key(0)))(found)
    assert np.all(agreed.value >= found.value)
    assert np.max(found.best.cost) > 10 * np.max(agreed.best.cost)
    changed = np.asarray(agreed.value > found.value)
    np.testing.assert_array_equal(agreed.best.actions[~changed], found.best.actions[~changed])
    np.testing.assert_array_equal(agreed.damping[~changed], found.damping[~changed])


@pytest.mark.slow
def test_a_trajectory_with_gaps_is_followed_by_nobody(env, states, begun):
    gains = jnp.zeros((COUNT, HORIZON, 1, 2))
    cheap = dataclasses.replace(begun.best, cost=jnp.where(begun.is_whole, begun.best.cost, -1e9))
    agreed = teacher.agree(env, states, dataclasses.replace(begun, best=cheap), gains, jax.random.key(0))
    np.testing.assert_array_equal(agreed.value[begun.is_whole] >= begun.value[begun.is_whole], True)
    assert np.all(agreed.best.cost[agreed.is_whole] > 0)


@pytest.mark.slow
def test_it_is_imitated_where_the_policy_goes_and_near_its_own_trajectory(env, states, found):
    taught = jax.jit(lambda found: teacher.feedback(env, states, found))(found)
    state, taught = jax.tree.map(lambda leaf: leaf[0], (states, taught))
    visited = rollout(env, lambda observation: 0.1 * observation[:1], state)
    find = jax.jit(lambda key: teacher.imitation_targets(env, state, visited, taught, key))
    samples = [find(jax.random.key(seed)) for seed in (0, 1)]
    own = jax.vmap(env.observe)(step_starts(state, taught.states))
    np.testing.assert_array_equal(samples[0].observation[:HORIZON], visited.observation)
    apart = np.max(np.abs(samples[0].observation[HORIZON:] - own))
    assert 1e-3 < apart < 0.3
    np.testing.assert_allclose(samples[0].observation[HORIZON], own[0], rtol=1e-12)
    assert np.any(samples[0].observation[HORIZON:] != samples[1].observation[HORIZON:])
    assert np.all(np.abs(samples[0].target) <= env.action_limit[0])
    assert np.all(samples[0].weight[HORIZON:] > 0)


@pytest.mark.parametrize(
    ("make", "needed"),
    [
        (lambda: make_unstable(HORIZON), True),
        (lambda: make_unstable(5), False),  # it has no time to fall
        (lambda: make_unstable(HORIZON, goal=None), False),
        (make_linear, False),
        (lambda: envs.make("acrobot", "balance"), True),
        (lambda: envs.make("pendulum_2d"), False),
    ],
    ids=["unstable", "short", "no goal", "linear", "acrobot", "pendulum"],
)
def test_it_is_needed_where_the_goal_is_unstable(make, needed):
    assert teacher.is_needed(make()) == needed


@pytest.mark.slow
def test_the_phases_follow_each_other():
    algorithm = algorithms.make("pods", make_unstable(HORIZON), fine_tune_after=20, **SMALL)
    assert [(phase.name, phase.first_epoch) for phase in algorithm.phases] == [
        ("search", 0),
        ("imitation", 3),
        ("training", 15),
        ("fine-tuning", 20),
    ]
    at_once = algorithms.make("pods", make_unstable(HORIZON), fine_tune_after=15, **SMALL)
    assert [phase.name for phase in at_once.phases] == ["search", "imitation", "fine-tuning"]
    never = algorithms.make("pods", make_unstable(HORIZON), **SMALL | {"teacher": {"use": "never"}})
    assert [phase.name for phase in never.phases] == ["training"]
    assert never.init(jax.random.key(0)).teacher == ()


@pytest.mark.exhaustive
def test_it_is_why_an_unstable_system_is_balanced(env):
    """With a teacher all stay up; without, after as many epochs, most have fallen."""
    starts = sample_states(env, jax.random.key(9), 50)
    heights = {}
    for use in ("always", "never"):
        settings = SMALL | {"teacher": SMALL["teacher"] | {"use": use}}
        algorithm = algorithms.make("pods", env, **settings)
        state, _ = train(algorithm, jax.random.key(0), 20)
        after = rollout_batch(env, algorithm.policy(state), starts)
        heights[use] = np.cos(np.asarray(after.state["angle"][:, -1]))
    assert np.all(heights["always"] > 0.999)
    assert np.mean(heights["never"] > 0.999) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guard": {"size": 0}, "teacher": {"use": "always"}}, r"guard\.size = 0: must be at least 1 with a teacher"),
        ({"fine_tune_after": 14}, r"fine_tune_after = 14: must be at least 15, the epochs with a teacher"),
        ({"teacher": {"use": "sometimes"}}, r"teacher\.use = 'sometimes': must be one of auto, always, never"),
        ({"teacher": {"search_epochs": 0}}, r"teacher\.search_epochs = 0: must be a whole number, at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        algorithms.make("pods", make_unstable(HORIZON), **SMALL | settings)


@pytest.mark.slow
def test_without_a_guard_there_is_none_unless_asked_for():
    algorithm = algorithms.make("pods", make_unstable(HORIZON), **SMALL | {"guard": {"size": 0}})
    assert [phase.name for phase in algorithm.phases] == ["training"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("stopped", [1, 4])
def test_a_run_goes_on_inside_a_phase_of_the_teacher(tmp_path, stopped):
    """Stopped while it searches, or while it imitates; what it has learned is the same to the last digit."""
    small = tiny.settings("pods") | {"teacher": {"search_epochs": 2, "imitation_epochs": 3, "gradient_steps": 4}}
    fields = {
        "env": {"name": "pendubot", "task": "balance", "horizon": 40},
        "algorithm": configuration.merged({"name": "pods", **algorithms.settings("pods")}, small),
        "evaluate_every": 1,
    }
    ends = {}
    for name, counts in (("whole", [6]), ("parts", [stopped, 6])):
        for num_epochs in counts:
            experiment.run(tiny.config("pods", num_epochs=num_epochs, **fields), tmp_path / name)
        rows = metrics_log.read(tmp_path / name / "metrics.jsonl")
        ends[name] = {key: value for key, value in rows[-1].items() if not key.startswith("time/")}
    assert ends["parts"] == ends["whole"]
    assert ends["whole"]["epoch"] == 6
