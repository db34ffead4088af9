"""Guided policy search, against the linear-quadratic problem whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs
from pods_jax.algorithms.gps.algorithm import Gps
from pods_jax.algorithms.gps.config import Config, ControlPhase
from pods_jax.algorithms.gps.control_phase import Lagrangian, between, control_phase
from pods_jax.improvement import trajectory_problem
from pods_jax.rollouts import rollout, sample_states
from tests.algorithms.linear import EFFORT, RESIDUAL, A, B, make_linear

GAIN = jnp.array([[-0.6, -0.4]])
PRECISION = jnp.array([[2.0]])


def linear_policy(observation):
    return GAIN @ observation


def controller_of(env, start, bound, policy=linear_policy, multiplier=1.0):
    visited = rollout(env, policy, start)
    problem, unravel = trajectory_problem(env, start, visited)
    lagrangian = Lagrangian(problem, lambda vector: policy(env.observe(unravel(vector))), PRECISION)
    return control_phase(lagrangian, -jnp.sum(visited.reward), jnp.asarray(bound), jnp.asarray(multiplier))


find_controllers = jax.jit(jax.vmap(controller_of, in_axes=(None, 0, 0)))


@pytest.fixture(scope="module")
def near():
    """Controllers of the linear environment for eight bounds of the divergence."""
    env = make_linear()
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))
    bounds = jnp.geomspace(1e-3, 1e3, 8)
    return env, starts, bounds, find_controllers(env, starts, bounds)


def trajectory_distribution(env, gains, offsets, covariances, start):
    """Mean (T A,) and covariance of all actions of a linear-Gaussian controller, by unrolling it on its noise."""
    horizon, identity = env.horizon, np.eye(env.horizon)
    mean, by_noise = np.asarray(start), np.zeros((2, horizon))
    actions, rows = [], []
    for step in range(horizon):
        row = np.asarray(gains[step]) @ by_noise + np.sqrt(covariances[step][0, 0]) * identity[step][None]
        action = np.asarray(gains[step]) @ mean + offsets[step]
        mean, by_noise = A @ mean + B @ action, A @ by_noise + B @ row
        actions.append(action)
        rows.append(row[0])
    rows = np.array(rows)
    return np.concatenate(actions), rows @ rows.T


@pytest.mark.slow
def test_the_divergence_keeps_its_bound(near):
    env, _, bounds, controllers = near
    assert np.all(controllers.divergence <= bounds)
    assert np.all(controllers.divergence[:-2] >= 0.5 * bounds[:-2])  # and uses it, where there is something to gain
    assert env.horizon == controllers.actions.shape[1]


@pytest.mark.slow
def test_the_divergence_is_that_of_the_distributions_of_actions(near):
    """The dynamics are deterministic: KL of trajectories is KL of actions, two Gaussians in T A dimensions."""
    env, starts, _, controllers = near
    for index in range(8):
        controller = jax.tree.map(lambda leaf, index=index: np.asarray(leaf[index]), controllers)
        began = np.concatenate([starts[index][None], controller.states[:-1, :2]])
        offsets = controller.actions - np.einsum("tan,tn->ta", controller.gains, began)
        own = trajectory_distribution(
            env, controller.gains, offsets, np.linalg.inv(controller.precision), starts[index]
        )
        same = np.broadcast_to(np.linalg.inv(PRECISION), controller.precision.shape)
        other = trajectory_distribution(
            env, np.broadcast_to(GAIN, controller.gains.shape), np.zeros_like(offsets), same, starts[index]
        )
        relative, lead = np.linalg.solve(other[1], own[1]), own[0] - other[0]
        expected = np.trace(relative) - len(lead) - np.linalg.slogdet(relative)[1]
        expected += lead @ np.linalg.solve(other[1], lead)
        np.testing.assert_allclose(controller.divergence, expected / 2, rtol=1e-6)


def test_a_wider_bound_never_costs_more_than_the_policy(near):
    env, starts, _, controllers = near
    policy = -jnp.sum(jax.vmap(lambda start: rollout(env, linear_policy, start).reward)(starts), axis=1)
    assert np.all(controllers.cost <= policy)


@pytest.mark.slow
def test_without_a_bound_it_reaches_the_optimum_of_the_linear_quadratic_problem():
    env = make_linear()
    start = jnp.array([0.7, -0.4])
    controller = jax.tree.map(lambda leaf: leaf[0], find_controllers(env, start[None], jnp.array([1e8])))
    actions, cost = least_squares(env, start)
    np.testing.assert_allclose(controller.actions[:, 0], actions, atol=1e-3)
    np.testing.assert_allclose(controller.cost, cost, rtol=1e-5)


def least_squares(env, start):
    """The best actions (T,) and their cost, from all residuals stacked: nothing of the package."""
    rows, right = [], []
    power, by_actions = np.asarray(start), np.zeros((2, env.horizon))
    for step in range(env.horizon):
        own = np.eye(env.horizon)[step][None]
        power, by_actions = A @ power, A @ by_actions + B @ own
        rows += [np.asarray(RESIDUAL)[:, None] * by_actions, EFFORT * own]
        right += [np.asarray(RESIDUAL) * power, np.zeros(1)]
    matrix, right = np.concatenate(rows), np.concatenate(right)
    actions = np.linalg.lstsq(matrix, -right, rcond=None)[0]
    return actions, np.sum((matrix @ actions + right) ** 2)


@pytest.mark.slow
def test_controllers_respect_the_action_limits():
    env = make_linear(limit=0.3)
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))
    found = jax.vmap(lambda start: controller_of(env, start, 50.0, lambda s: 0.3 * jnp.tanh(GAIN @ s)))(starts)
    assert np.max(np.abs(found.actions)) <= 0.3
    assert np.any(np.abs(found.actions) == 0.3)


def test_the_bound_is_adjusted_by_what_reached_the_policy():
    env = make_linear()
    core = Gps(env, Config(control_phase=ControlPhase(bound=1.0)), None, None)
    adjusted = [float(core.adjusted(jnp.asarray(1.0), *map(jnp.asarray, pair))) for pair in
                ((2.0, 1.0), (2.0, 1.5), (2.0, 3.0), (2.0, -50.0), (jnp.nan, 1.0))]  # fmt: skip
    assert adjusted == [1.0, 2.0, 5.0, 0.1, 0.1]


def test_the_covariance_has_a_floor_and_ignores_unhealthy_rollouts():
    env = make_linear(limit=2.0)
    core = Gps(env, Config(control_phase=ControlPhase(min_deviation=0.1)), None, None)
    precisions = jnp.stack([jnp.full((8, 1, 1), value) for value in (3.0, 5.0, jnp.nan)])
    healthy = jnp.array([True, True, False])
    np.testing.assert_allclose(core.precision(jnp.eye(1), precisions, healthy), [[4.0]])
    np.testing.assert_allclose(core.precision(jnp.eye(1), 1e9 * precisions, healthy), [[25.0]])
    np.testing.assert_allclose(core.precision(7 * jnp.eye(1), precisions, jnp.array([False] * 3)), [[7.0]])


@pytest.mark.exhaustive
def test_it_learns_to_stop_a_pendulum_within_the_bound():
    env = envs.make("pendulum_2d", "stop", horizon=12)
    algorithm = algorithms.make("gps", env, batch_size=12, hidden_sizes=(16,), regression={"gradient_steps": 20})
    untrained, update = algorithm.init(jax.random.key(0)), jax.jit(algorithm.update)
    state, rows = untrained, []
    for _ in range(6):
        state, metrics = update(state)
        rows.append(metrics)
    starts = sample_states(env, jax.random.key(5), 64)

    def value(state):
        trajectories = jax.vmap(lambda start: rollout(env, algorithm.policy(state), start))(starts)
        return jnp.mean(jnp.sum(trajectories.reward, axis=1))

    assert value(state) > 0.9 * value(untrained)  # both are negative, and most of the cost comes before all actions
    for row in rows:
        assert 0 < row["largest_divergence"] <= row["bound"]
        assert row["value_improved"] >= row["value"]
        assert row["unhealthy_rollouts"] == 0


def test_rewards_of_the_last_step_only_and_bad_settings_are_refused():
    with pytest.raises(InputError, match="terminal_only must be False"):
        algorithms.make("gps", make_linear(terminal_only=True))
    with pytest.raises(InputError, match=r"bound = 0.0: must be .* greater than 0"):
        algorithms.make("gps", make_linear(), control_phase={"bound": 0.0})


def test_the_multiplier_changes_by_a_factor_until_it_is_between_two_bounds():
    smallest, largest = jnp.asarray(1e-8), jnp.asarray(1e16)
    assert between(smallest, jnp.asarray(4.0), jnp.asarray(4.0)) == pytest.approx(0.4)  # near enough: weaker
    assert between(jnp.asarray(4.0), largest, jnp.asarray(4.0)) == pytest.approx(40.0)  # too far: stronger
    assert between(jnp.asarray(1.0), jnp.asarray(4.0), jnp.asarray(4.0)) == pytest.approx(2.0)


@pytest.mark.parametrize("first", [1e-2, 1.0, 1e2])
def test_the_search_for_the_multiplier_takes_few_trajectories_from_either_side(first):
    """A Lagrangian of a linear environment is minimised in few steps, of one trajectory each."""
    env, bound = make_linear(), jnp.asarray(1.0)
    start = jnp.array([0.7, -0.4])
    controller = controller_of(env, start, bound, multiplier=first)
    assert 0.7 * bound <= controller.divergence <= bound
    assert controller.num_trials <= 8, controller.num_trials  # 12, where it begins again at the weakest
