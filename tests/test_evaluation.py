import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, evaluate, evaluation, replay
from pods_jax.improvement import optimize
from pods_jax.rollouts import random_actions, rollout
from tests.unstable import make_unstable

HORIZON, NUM_ROLLOUTS = 8, 6
NAMES = {
    "return_mean",
    "return_std",
    "terminal_kinetic_energy",
    "terminal_distance",
    "action_magnitude",
    "terminal_kinetic_energy_std",
    "terminal_distance_std",
    "action_magnitude_std",
    "optimality_gap",
    "optimum_mean",
    "nonconverged_steps",
    "nonfinite_rollouts",
    "nonfinite_derivatives",
}


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """So that the search needs two batches, the second one padded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "SEARCH_BATCH", 4)
        yield


def make_env(**settings):
    return envs.make("pendulum_2d", "stop_at_origin", horizon=HORIZON, **settings)


@pytest.fixture(scope="module")
def env():
    return make_env()


@pytest.fixture(scope="module")
def heldout(env):
    return evaluation.make_heldout_set(env, NUM_ROLLOUTS)


def proportional(scale, observation):
    return scale * observation[:1]


def policy(scale):
    return jax.tree_util.Partial(proportional, jnp.asarray(scale))


def rows(states):
    return [tuple(row) for row in np.asarray(jax.vmap(lambda state: state.velocity.reshape(-1))(states))]


def test_held_out_states_are_the_same_every_time_and_others_for_another_seed(env):
    first, second = rows(evaluation.heldout_states(env, 50)), rows(evaluation.heldout_states(env, 50))
    assert first == second
    assert len(set(first)) == 50
    assert not set(first) & set(rows(evaluation.heldout_states(env, 50, seed=1)))


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_states_are_not_what_training_draws(env, seed):
    """Neither from the seed itself nor from what a training loop may derive from it."""
    key = jax.random.key(seed)
    keys = [key, *jax.random.split(key), *(jax.random.fold_in(key, data) for data in range(3))]
    drawn = {row for key in keys for row in rows(jax.vmap(env.reset)(jax.random.split(key, 50)))}
    assert not drawn & set(rows(evaluation.heldout_states(env, 50, seed=seed)))


def test_metrics_are_those_of_a_plain_loop(env, heldout):
    metrics = evaluate(env, policy(-0.7), heldout=heldout)
    returns, energies, distances, magnitudes = [], [], [], []
    for index in range(NUM_ROLLOUTS):
        state = jax.tree.map(lambda leaf, index=index: leaf[index], heldout.states)
        total = 0.0
        for _ in range(HORIZON):
            action = -0.7 * env.observe(state)[:1]
            state = env.step(state, action)
            total += float(env.reward(state, action))
            magnitudes.append(abs(float(action[0])))
        returns.append(total)
        energies.append(0.5 * float(np.sum(np.asarray(state.velocity) ** 2)))
        hanging = np.asarray(env.parameters.rest_position)
        distances.append(float(np.linalg.norm(np.asarray(state.position) - hanging)))
    np.testing.assert_allclose(metrics["return_mean"], np.mean(returns), rtol=1e-10)
    np.testing.assert_allclose(metrics["return_std"], np.std(returns), rtol=1e-10)
    np.testing.assert_allclose(metrics["terminal_kinetic_energy"], np.mean(energies), rtol=1e-9)
    np.testing.assert_allclose(metrics["terminal_distance"], np.mean(distances), rtol=1e-10)
    np.testing.assert_allclose(metrics["action_magnitude"], np.mean(magnitudes), rtol=1e-10)
    assert metrics["nonconverged_steps"] == metrics["nonfinite_rollouts"] == 0


def test_metrics_are_finite_floats_of_the_promised_names_and_need_no_set(env, heldout):
    metrics = evaluate(env, policy(0.0), NUM_ROLLOUTS)
    assert set(metrics) == NAMES
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())
    assert metrics == evaluate(env, policy(0.0), heldout=heldout)
    assert metrics != evaluate(env, policy(0.0), NUM_ROLLOUTS, seed=1)


def test_a_poor_policy_has_a_gap(env, heldout):
    metrics = evaluate(env, policy(5.0), heldout=heldout)
    expected = (metrics["optimum_mean"] - metrics["return_mean"]) / abs(metrics["optimum_mean"])
    np.testing.assert_allclose(metrics["optimality_gap"], expected, rtol=1e-12)
    assert metrics["optimality_gap"] > 0.3


def test_the_only_possible_policy_has_no_gap():
    """With handles that can hardly move, doing nothing is as good as anything."""
    metrics = evaluate(make_env(action_limit=1e-9), policy(0.0), NUM_ROLLOUTS)
    assert 0 <= metrics["optimality_gap"] < 1e-8
    assert metrics["return_mean"] < -1


def test_starting_at_rest_gives_numbers_although_the_optimum_is_nothing():
    metrics = evaluate(make_env(initial_speed=0.0, initial_displacement=0.0), policy(0.0), NUM_ROLLOUTS)
    assert abs(metrics["return_mean"]) < 1e-20
    assert np.isfinite(metrics["optimality_gap"])


def test_monitor_agrees_except_for_a_gap_that_is_not_larger(env, heldout):
    quick, thorough = (measure(env, policy(-0.7), heldout=heldout) for measure in (evaluation.monitor, evaluate))
    assert 0 <= quick["optimality_gap"] <= thorough["optimality_gap"]
    for name in NAMES - {"optimality_gap", "optimum_mean"}:
        assert quick[name] == thorough[name]


def test_a_policy_that_returns_nan_is_counted_and_leaves_the_optimum_alone(env, heldout):
    def sometimes_nan(observation):
        return jnp.where(observation[-2:-1] > 0.5, jnp.nan, 0.0)

    metrics = evaluate(env, sometimes_nan, heldout=heldout)
    broken = 0
    for index in range(NUM_ROLLOUTS):
        state = jax.tree.map(lambda leaf, index=index: leaf[index], heldout.states)
        observations = replay(env, state, jnp.zeros((HORIZON, 1))).observation
        broken += bool(np.any(observations[:, -2] > 0.5))
    assert 0 < broken < NUM_ROLLOUTS
    assert metrics["nonfinite_rollouts"] == broken
    assert broken <= metrics["nonconverged_steps"] <= broken * HORIZON
    assert np.isnan(metrics["return_mean"])
    assert np.isfinite(metrics["optimum_mean"])


@pytest.fixture(scope="module")
def optimized():
    """A problem of tight limits, its optimum, and the gradient of the return there."""
    env = make_env(action_limit=0.8)
    state, actions = env.reset(jax.random.key(1)), jnp.asarray(np.full((HORIZON, 1), 0.1))
    best, converged = optimize(env, state, actions, max_steps=200, tolerance=1e-15)
    slope = jax.grad(lambda a: jnp.sum(replay(env, state, a).reward))
    return env, state, actions, best, bool(converged), np.asarray(slope(best.actions)), np.asarray(slope(actions))


@pytest.mark.slow
def test_optimize_reaches_a_kkt_point(optimized):
    env, _, _, best, converged, gradient, gradient_before = optimized
    assert converged
    limit = float(env.action_limit[0])
    actions = np.asarray(best.actions)
    pushed_out = ((actions == limit) & (gradient > 0)) | ((actions == -limit) & (gradient < 0))
    assert np.any(pushed_out)
    assert not np.all(pushed_out)
    assert np.max(np.abs(gradient[~pushed_out])) < 1e-6 * np.max(np.abs(gradient_before))


@pytest.mark.slow
def test_optimize_reports_the_value_of_the_given_and_of_the_best_actions(optimized):
    env, state, actions, best, _, _, _ = optimized
    before, after = (float(np.sum(replay(env, state, a).reward)) for a in (actions, best.actions))
    np.testing.assert_allclose(best.value_before, before, rtol=1e-12)
    np.testing.assert_allclose(best.value, after, rtol=1e-12)
    assert after > before


@pytest.mark.slow
def test_optimize_stops_at_the_given_number_of_steps(optimized):
    env, state, actions, best, _, _, _ = optimized
    one, converged = optimize(env, state, actions, max_steps=1, tolerance=1e-15)
    assert not converged
    assert float(one.value_before) < float(one.value) < float(best.value)


@pytest.mark.slow
def test_optima_in_batches_are_those_found_one_by_one(env, heldout):
    zero = jnp.zeros((HORIZON, 1))
    for index in range(NUM_ROLLOUTS):
        state = jax.tree.map(lambda leaf, index=index: leaf[index], heldout.states)
        alone, _ = optimize(env, state, zero, max_steps=200, tolerance=1e-15)
        np.testing.assert_allclose(heldout.optimum[index], alone.value, rtol=1e-3)
        assert float(heldout.optimum[index]) >= float(np.sum(replay(env, state, zero).reward))


@pytest.mark.parametrize("settings", [{"num_rollouts": 0}, {"num_rollouts": 2.5}, {"seed": -1}, {"seed": 2**32}])
def test_bad_settings_are_refused(env, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        evaluate(env, policy(0.0), **settings)


@pytest.fixture(scope="module")
def algorithm(env):
    return algorithms.make("pods", env, batch_size=2, guard={"size": 2}, hidden_sizes=(4,))


def test_an_algorithm_in_the_place_of_a_policy_is_refused_with_the_cure(env, heldout, algorithm):
    cure = r"policy is of type Algorithm: must be a function .*, such as `algorithm\.policy\(train_state\)`"
    for misuse in (
        lambda: evaluate(env, algorithm),
        lambda: evaluation.monitor(env, algorithm, heldout),
        lambda: rollout(env, algorithm, env.reset(jax.random.key(0))),
    ):
        with pytest.raises(InputError, match=cure):
            misuse()
    with pytest.raises(InputError, match="policy is of type int"):
        evaluate(env, 3)


def test_an_algorithm_in_the_place_of_an_environment_is_refused_with_the_cure(env, heldout, algorithm):
    cure = "env is of type Algorithm: must be an Environment, give its `env`"
    for misuse in (
        lambda: evaluate(algorithm, policy(0.0)),
        lambda: evaluation.monitor(algorithm, policy(0.0), heldout),
        lambda: evaluation.make_heldout_set(algorithm),
        lambda: rollout(algorithm, policy(0.0), env.reset(jax.random.key(0))),
    ):
        with pytest.raises(InputError, match=cure):
            misuse()
    with pytest.raises(InputError, match=r"env is of type str: must be an Environment, such as `envs\.make`"):
        evaluate("pendulum_2d", policy(0.0))


def test_former_names_and_other_sets_are_refused(env, heldout):
    with pytest.raises(InputError, match=r"test_bed: is called heldout now, evaluate\(env, policy, heldout="):
        evaluate(env, policy(0.0), test_bed=heldout)
    for measure in (evaluate, evaluation.monitor):
        with pytest.raises(InputError, match="heldout is a State: must be what make_heldout_set returns"):
            measure(env, policy(0.0), heldout=heldout.states)


@pytest.mark.slow
def test_numpy_integers_are_integers(env):
    counted = evaluate(env, policy(0.0), num_rollouts=np.int64(4), seed=np.int64(0))
    assert counted == evaluate(env, policy(0.0), num_rollouts=4, seed=0)


@pytest.mark.slow
def test_restarts_only_raise_the_optimum_and_say_by_how_much(env, heldout):
    one, two = (evaluation.make_heldout_set(env, NUM_ROLLOUTS, num_restarts=count) for count in (1, 2))
    assert np.all(one.optimum >= heldout.optimum)
    assert np.all(two.optimum >= one.optimum)
    gained = (np.mean(two.optimum) - np.mean(one.optimum)) / abs(np.mean(two.optimum))
    np.testing.assert_allclose(two.last_gain, gained, atol=1e-6)
    metrics = evaluate(env, policy(0.0), heldout=two)
    np.testing.assert_allclose(metrics["optimum_last_gain"], two.last_gain)
    assert "optimum_last_gain" not in evaluate(env, policy(0.0), heldout=heldout)


@pytest.mark.slow
def test_restarts_are_the_same_at_every_call_and_others_for_another_seed(env):
    sets = [evaluation.make_heldout_set(env, 2, seed=seed, num_restarts=1) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(sets[0].optimum, sets[1].optimum)
    assert np.any(sets[0].optimum != sets[2].optimum)


def test_a_negative_number_of_restarts_is_refused(env):
    with pytest.raises(InputError, match="num_restarts = -1"):
        evaluate(env, policy(0.0), num_rollouts=2, num_restarts=-1)


@pytest.mark.parametrize("held", [False, True])
def test_random_actions_are_within_the_limits_and_held_if_wanted(env, held):
    actions = np.asarray(random_actions(env, jax.random.key(0), 40, held))
    assert actions.shape == (40, HORIZON, 1)
    assert np.all(np.abs(actions) <= float(env.action_limit[0]))
    assert 0.2 < np.std(actions) / float(env.action_limit[0]) < 0.4
    changes = np.count_nonzero(np.diff(actions[:, :, 0], axis=1), axis=1)
    assert np.all(changes == (5 if held else HORIZON - 1))


@pytest.mark.slow
def test_where_the_goal_is_unstable_the_optimum_is_found_from_the_guess_of_being_there():
    env = make_unstable(30)
    optimum = evaluation.make_heldout_set(env, 4).optimum
    zero = jnp.zeros((4, 30, 1))
    alone = evaluation.optima(env, evaluation.heldout_states(env, 4), zero)
    assert np.all(optimum >= alone)
    assert np.mean(optimum) > np.mean(alone) / 10  # both are negative


def kinked(state, action):
    """A reward with a kink where the handle is at the start, and where the action is zero."""
    return -jnp.linalg.norm(state.handle) - jnp.sum(state.velocity**2) - 0.1 * jnp.sum(action**2)


@pytest.fixture(scope="module")
def kinked_env():
    return envs.make("pendulum_2d", "stop", horizon=6).with_reward(kinked)


@pytest.mark.slow
def test_a_derivative_that_is_not_finite_is_no_optimum(kinked_env):
    start = kinked_env.reset(jax.random.key(0))
    best, converged = optimize(kinked_env, start, jnp.zeros((6, 1)))
    assert not converged
    assert best.nonfinite_derivatives
    assert best.value == best.value_before
    from_elsewhere, _ = optimize(kinked_env, start, jnp.full((6, 1), 0.01))
    assert from_elsewhere.value > from_elsewhere.value_before + 0.1


@pytest.mark.slow
def test_searches_that_fail_are_counted(kinked_env):
    metrics = evaluate(kinked_env, policy(0.0), num_rollouts=3)
    assert metrics["nonfinite_derivatives"] == 6  # from zero, and from the policy's own actions, which are zero
    heldout = evaluation.make_heldout_set(kinked_env, 3)
    assert heldout.num_failed == 3
    assert evaluation.monitor(kinked_env, policy(0.0), heldout)["nonfinite_derivatives"] == 3


def test_sound_searches_are_not_counted(env, heldout):
    assert evaluate(env, policy(-0.7), heldout=heldout)["nonfinite_derivatives"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pendulum_3d", "payload_2d", "acrobot"])
def test_a_policy_that_was_made_for_another_environment_is_refused_before_the_search(env, name, monkeypatch):
    other = algorithms.make("bptt", envs.make(name, horizon=3), hidden_sizes=(4,))
    made = other.policy(jax.eval_shape(other.init, jax.random.key(0)))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), made)
    monkeypatch.setattr(evaluation, "best_actions", None)
    with pytest.raises(InputError, match=r"policy cannot act on an observation .* pendulum_2d gives it 5 numbers"):
        evaluate(env, zeros)
    with pytest.raises(InputError, match=r"policy returns an action of shape \(2,\): must have shape \(1,\)"):
        evaluate(env, lambda observation: observation[:2])
    with pytest.raises(InputError, match=r"policy returns an action of shape \(\): must have shape \(1,\)"):
        rollout(env, lambda observation: observation[0], env.reset(jax.random.key(0)))
