"""The tasks on a payload: the objective of Eq. 15 by hand, symmetry, and what is measured."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import pods_jax
from pods_jax import envs, sim
from pods_jax.checks import InputError
from pods_jax.envs.payload import Weights, make_payload, within_unit_ball

WEIGHTS = (2.0, 3.0, 5.0, 7.0)  # of handle, position, velocity, action

replay = jax.jit(pods_jax.replay)


class TestEquation15:
    """Two steps of a planar pendulum whose handle moves by h a along the first axis."""

    ACTIONS = np.asarray([[0.8], [-0.5]])

    def play(self, task, actions=ACTIONS, weights=WEIGHTS):
        physics = {"time_step": 1 / 30, "link_length": 0.5, "stiffness": 5e3, "mass": 1.0}
        env = envs.make("pendulum_2d", task=task, weights=weights, **physics)
        start = sim.initial_state(
            env.parameters.system, jnp.asarray([0.3]), jnp.asarray([[0.4, -0.4]]), jnp.asarray([[1.0, 0.2]])
        )
        trajectory = replay(env, start, actions)
        first = env.step(start, actions[0])
        return np.asarray(trajectory.reward), [first, env.step(first, actions[1])]

    @pytest.mark.slow
    def test_stop_at_origin_has_all_four_terms(self):
        rewards, states = self.play("stop_at_origin")
        hanging = np.asarray([0.0, -(0.5 + 9.81 / 5e3)])
        handle = 0.3
        for reward, state, action in zip(rewards, states, self.ACTIONS[:, 0], strict=True):
            handle = handle + action / 30
            (position,), (velocity,) = np.asarray(state.position), np.asarray(state.velocity)
            cost = 2 * handle**2 + 3 * np.sum((position - hanging) ** 2) + 5 * np.sum(velocity**2) + 7 * action**2
            assert reward == pytest.approx(-cost, rel=1e-12)

    def test_stop_has_the_velocity_and_action_terms(self):
        rewards, states = self.play("stop")
        for reward, state, action in zip(rewards, states, self.ACTIONS[:, 0], strict=True):
            assert reward == pytest.approx(-(5 * np.sum(np.square(state.velocity)) + 7 * action**2), rel=1e-12)

    @pytest.mark.slow
    @pytest.mark.parametrize("task", ["stop", "stop_at_origin"])
    def test_each_reward_is_that_of_arriving(self, task):
        """The last action counts, each action counts once, and the initial state has no reward of its own."""
        rewards, _ = self.play(task)
        assert len(rewards) == 2
        other_last, _ = self.play(task, np.add(self.ACTIONS, [[0.0], [0.25]]))
        assert other_last[0] == rewards[0]
        assert other_last[1] != rewards[1]
        action_only, _ = self.play(task, weights=(0.0, 0.0, 0.0, 7.0))
        np.testing.assert_allclose(action_only, -7 * self.ACTIONS[:, 0] ** 2, rtol=1e-12)

    def test_terms_without_weight_are_left_out_of_the_residual(self):
        sizes = {}
        for weights in ((1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)):
            env = envs.make("pendulum_2d", task="stop_at_origin", weights=weights)
            state = sim.initial_state(env.parameters.system, jnp.zeros(1), jnp.ones((1, 2)), jnp.ones((1, 2)))
            residual = env.residual(state, jnp.ones(1))
            sizes[weights] = residual.size
            assert (env.reward(state, jnp.ones(1)) == 0) == (sum(weights) == 0)
        assert list(sizes.values()) == [1 + 2 + 2 + 1, 2 + 1, 2, 1]

    def test_points_are_summed(self):
        """Of two points with the same velocity, the velocity term is twice that of one."""
        env = envs.make("double_pendulum_3d", weights=WEIGHTS)
        velocity = jnp.asarray([[1.0, 2.0, 3.0]] * 2)
        state = sim.initial_state(env.parameters.system, jnp.zeros(3), env.parameters.rest_position, velocity)
        assert float(env.reward(state, jnp.asarray([1.0, 0.0, 2.0]))) == pytest.approx(-(5 * 2 * 14 + 7 * 5))


class TestSymmetry:
    @pytest.mark.slow
    def test_a_mirrored_start_and_mirrored_actions_give_the_mirrored_trajectory(self):
        env = envs.make("pendulum_2d", task="stop_at_origin")
        mirror = np.asarray([-1.0, 1.0])
        handle, position, velocity = np.asarray([0.2]), np.asarray([[0.5, -0.3]]), np.asarray([[2.0, -1.0]])
        actions = np.random.default_rng(0).uniform(-3, 3, (50, 1))

        def play(sign, mirror):
            start = sim.initial_state(env.parameters.system, sign * handle, position * mirror, velocity * mirror)
            return replay(env, start, sign * actions)

        there, mirrored = (jax.tree.map(np.asarray, play(*side)) for side in ((1.0, np.ones(2)), (-1.0, mirror)))
        np.testing.assert_allclose(mirrored.state.position, there.state.position * mirror, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(mirrored.state.velocity, there.state.velocity * mirror, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(mirrored.reward, there.reward, rtol=1e-8)
        assert np.max(np.abs(there.state.position[:, 0, 0])) > 0.1

    @pytest.mark.slow
    def test_in_space_a_turn_about_the_vertical_turns_the_trajectory(self):
        env = envs.make("pendulum_3d", task="stop_at_origin")
        turn = np.asarray([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
        position, velocity = np.asarray([[0.3, 0.1, -0.4]]), np.asarray([[1.0, -2.0, 0.5]])
        actions = np.random.default_rng(0).uniform(-2, 2, (50, 3))

        def play(turn):
            start = sim.initial_state(env.parameters.system, jnp.zeros(3), position @ turn, velocity @ turn)
            return replay(env, start, actions @ turn)

        there, turned = play(np.eye(3)), play(turn)
        np.testing.assert_allclose(turned.state.position, np.asarray(there.state.position) @ turn, atol=1e-8)
        np.testing.assert_allclose(turned.reward, there.reward, rtol=1e-8)


class TestMeasure:
    @pytest.mark.parametrize(("task", "distance"), [("stop", 0.05), ("stop_at_origin", np.hypot(0.3, 0.05))])
    def test_the_distance_is_from_where_the_payload_should_hang(self, task, distance):
        """Below the handle, or at the target; here the handle is off by 0.3 m and the mass by 0.05 m more."""
        env = envs.make("pendulum_2d", task=task)
        position = env.parameters.rest_position + np.asarray([[0.3, 0.05]])
        state = sim.initial_state(env.parameters.system, jnp.asarray([0.3]), position, jnp.zeros((1, 2)))
        measured = env.measure(state)
        assert float(measured["distance"]) == pytest.approx(distance, rel=1e-12)
        assert measured["kinetic_energy"] == 0.0

    def test_the_kinetic_energy_is_that_of_all_points_and_the_distance_their_mean(self):
        env = envs.make("double_pendulum_3d", mass=2.0)
        offsets = np.asarray([[0.1, 0.0, 0.0], [0.0, 0.0, 0.3]])
        velocity = jnp.asarray([[1.0, 2.0, 2.0], [0.0, 3.0, 4.0]])
        rest = env.parameters.rest_position
        measured = env.measure(sim.initial_state(env.parameters.system, jnp.zeros(3), rest + offsets, velocity))
        assert float(measured["kinetic_energy"]) == pytest.approx(9.0 + 25.0, rel=1e-12)
        assert float(measured["distance"]) == pytest.approx(0.2, rel=1e-12)


def test_the_rest_position_carries_the_weight_of_what_hangs_below():
    env = envs.make("double_pendulum_3d", mass=2.0, link_length=0.4, stiffness=1e3)
    stretch = 2.0 * 9.81 / 1e3
    expected = [[0.0, 0.0, -(0.4 + 2 * stretch)], [0.0, 0.0, -(0.8 + 3 * stretch)]]
    np.testing.assert_allclose(env.parameters.rest_position, expected, rtol=1e-12)


class TestWithinUnitBall:
    def test_one_dimension_is_uniform_in_the_interval(self):
        drawn = np.asarray(within_unit_ball(jax.random.key(0), (4000, 1), jnp.float64))
        assert drawn.shape == (4000, 1)
        assert stats.kstest(drawn[:, 0], stats.uniform(-1, 2).cdf).pvalue > 0.01

    def test_two_dimensions_are_uniform_in_the_disc(self):
        """The squared radius and the angle of such a point are uniform, and independent of each other."""
        drawn = np.asarray(within_unit_ball(jax.random.key(1), (4000, 2), jnp.float64))
        squared, angle = np.sum(drawn**2, axis=1), np.arctan2(drawn[:, 1], drawn[:, 0])
        assert stats.kstest(squared, "uniform").pvalue > 0.01
        assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01
        assert abs(stats.spearmanr(squared, angle).statistic) < 0.05


class TestMakePayload:
    """A payload of one's own: a mass on a cable from each of two handles on one rail."""

    def make(self, **changes):
        system = sim.make_system(
            mass=[1.0],
            springs=[sim.Spring(handle, 2, 500.0, 0.5, cable=True) for handle in (0, 1)],
            handles=[sim.Handle.on_axis([-0.3, 0.0]), sim.Handle.on_axis([0.3, 0.0])],
            time_step=0.02,
            dimension=2,
        )
        length = 0.5
        for _ in range(100):  # both cables carry half the weight
            height = np.sqrt(length**2 - 0.3**2)
            length = 0.5 + 1e-3 / 2 + 9.81 / 2 * length / height / 500.0
        settings = {
            "horizon": 20,
            "action_limit": 2.0,
            "initial_speed": 1.0,
            "initial_displacement": 0.1,
            "weights": Weights(1.0, 1.0, 1.0, 0.1),
        }
        rest_position = np.asarray([[0.0, -height]])
        return make_payload("swing", "stop_at_origin", system, rest_position, **settings | changes)

    @pytest.mark.slow
    def test_it_hangs_still(self):
        env = self.make()
        state = sim.initial_state(
            env.parameters.system, jnp.zeros(2), env.parameters.rest_position, jnp.zeros((1, 2))
        )
        after = env.step(state, jnp.zeros(2))
        np.testing.assert_allclose(after.position, state.position, atol=1e-9)
        assert env.observation_size == 2 + 2 + 2

    def test_its_observation_and_reset_refer_to_the_middle_of_the_handles(self):
        env = self.make()
        state = env.reset(jax.random.key(0))
        middle = np.mean(state.handle)
        np.testing.assert_allclose(state.position - env.parameters.rest_position, [[middle, 0.0]], atol=1e-12)
        expected = np.asarray(state.position[0]) - [middle, 0.0]
        np.testing.assert_allclose(env.observe(state)[2:4], expected, atol=1e-12)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"horizon": 0}, "horizon = 0"),
            ({"action_limit": 0.0}, "action_limit = 0.0"),
            ({"initial_speed": -1.0}, "initial_speed = -1.0"),
            ({"initial_displacement": np.nan}, "initial_displacement = nan"),
            ({"weights": Weights(1.0, -2.0, 1.0, 1.0)}, "weight_position = -2.0"),
            ({"weights": Weights(1.0, 1.0, 1.0, np.nan)}, "weight_action = nan"),
        ],
    )
    def test_bad_values_are_named(self, changes, message):
        with pytest.raises(InputError, match="must be") as caught:
            self.make(**changes)
        assert message in str(caught.value)

    def test_an_unknown_task_is_refused(self):
        env = envs.make("pendulum_2d")
        settings = dataclasses.asdict(env.parameters.weights)
        with pytest.raises(InputError, match="did you mean 'stop'"):
            make_payload(
                "pendulum_2d",
                "stopp",
                env.parameters.system,
                env.parameters.rest_position,
                horizon=1,
                action_limit=1.0,
                initial_speed=1.0,
                initial_displacement=1.0,
                weights=Weights(**settings),
            )
