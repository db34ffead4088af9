"""An Environment with Gymnasium's interface: the same physics and rewards, alone and many at once."""

import re
import sys

import jax
import numpy as np
import pytest

import pods_jax
from pods_jax import compat, envs
from pods_jax.checks import InputError

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("array_api_compat")

HORIZON = 4
NAME = "pods_jax/pendulum_2d-v0"


@pytest.fixture(scope="module")
def env():
    return envs.make("pendulum_2d", "stop", horizon=HORIZON)


@pytest.fixture
def actions():
    return np.random.default_rng(0).uniform(-1.2, 1.2, (3 * HORIZON, 3, 1))  # beyond the limit counts as the limit


@pytest.mark.slow
# Nothing bounds where a pendulum can be or how fast; this is all that the checker has to say.
@pytest.mark.filterwarnings("ignore:.*observation space m[a-z]*imum value is -?infinity:UserWarning")
def test_gymnasiums_checker_is_content(env):
    from gymnasium.utils.env_checker import check_env

    gymnasium.register(NAME, entry_point=lambda render_mode=None: compat.to_gymnasium(env, render_mode))
    try:
        check_env(gymnasium.make(NAME).unwrapped)  # registered: only then it tries to render and to close
    finally:
        del gymnasium.registry[NAME]


def test_it_is_a_replay_of_the_scaled_actions(env, actions):
    single = compat.to_gymnasium(env)
    first, _ = single.reset(seed=3)
    start = single._episode.state
    steps = [single.step(action) for action in actions[:HORIZON, 0]]
    expected = pods_jax.replay(env, start, np.clip(actions[:HORIZON, 0], -1, 1) * env.action_limit[None])
    observations = [first, *(observation for observation, *_ in steps)]
    np.testing.assert_allclose(observations[:-1], expected.observation, rtol=1e-12)
    last = env.observe(jax.tree.map(lambda leaf: leaf[-1], expected.state))
    np.testing.assert_allclose(observations[-1], last, rtol=1e-12)
    np.testing.assert_allclose([reward for _, reward, *_ in steps], expected.reward, rtol=1e-12)
    assert [terminated for _, _, terminated, _, _ in steps] == [False] * HORIZON
    assert [truncated for _, _, _, truncated, _ in steps] == [False] * (HORIZON - 1) + [True]


def test_a_seed_decides_all_that_follows(env):
    single = compat.to_gymnasium(env)
    episodes = [[single.reset(seed=seed)[0], single.reset()[0]] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(episodes[0], episodes[1])
    assert not np.array_equal(episodes[0][0], episodes[0][1])
    assert not np.array_equal(episodes[0][0], episodes[2][0])
    assert not np.array_equal(compat.to_gymnasium(env).reset()[0], compat.to_gymnasium(env).reset()[0])


@pytest.mark.slow
@pytest.mark.parametrize("terminal_only", [False, True])
def test_many_at_once_are_the_single_ones_side_by_side(env, actions, terminal_only):
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    env = env.replace(terminal_only=terminal_only)
    ours = compat.to_gymnasium_vector(env, 3)
    theirs = SyncVectorEnv([lambda: compat.to_gymnasium(env)] * 3)  # Gymnasium's own resets, one environment each
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, space) == getattr(theirs, space)
    np.testing.assert_array_equal(ours.reset(seed=5)[0], theirs.reset(seed=5)[0])
    over = []
    for action in actions:
        got, expected = ours.step(action), theirs.step(action)
        for own, other in zip(got[:-1], expected[:-1], strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)
        assert got[0] in ours.observation_space
        over.append(got[3].all())
    assert over == [count % (HORIZON + 1) == HORIZON - 1 for count in range(3 * HORIZON)]
    np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])  # without a seed, all go on
    np.testing.assert_array_equal(ours.reset(seed=[7, 1, 7])[0], theirs.reset(seed=[7, 1, 7])[0])


def test_a_picture_shows_the_episode_so_far(env):
    single = compat.to_gymnasium(env, "rgb_array")
    single.reset(seed=0)
    before = single.render()
    single.step(single.action_space.high)
    after = single.render()
    assert before.dtype == np.uint8
    assert before.shape == after.shape == (*after.shape[:2], 3)
    assert np.any(before != after)
    assert compat.to_gymnasium(env).metadata["render_fps"] == 30


@pytest.mark.parametrize(("time_step", "rate"), [(2.5, 0.4), (1.0, 1), (1 / 60, 60), (1e-3, 1000), (0.03, 1 / 0.03)])
def test_pictures_are_shown_as_often_as_there_are_steps(time_step, rate):
    env = envs.make("pendulum_2d", time_step=time_step, horizon=3)
    told = compat.to_gymnasium(env, "rgb_array").metadata["render_fps"]
    assert told == pytest.approx(rate)
    assert isinstance(told, type(rate))


def test_what_cannot_be_is_refused(env):
    single, several = compat.to_gymnasium(env), compat.to_gymnasium_vector(env, 2)
    for wrong in (single, several):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset before step"):
            wrong.step(wrong.action_space.sample())
        with pytest.raises(InputError, match=r"options = {'speed': 1}: must be empty"):
            wrong.reset(options={"speed": 1})
    with pytest.raises(InputError, match="render_mode = 'human': must be one of rgb_array"):
        compat.to_gymnasium(env, "human")
    with pytest.raises(InputError, match="num_envs = 0: must be a whole number, at least 1"):
        compat.to_gymnasium_vector(env, 0)
    with pytest.raises(InputError, match="seed has 3 entries: must be one number, or 2 of them"):
        several.reset(seed=[1, 2, 3])


def test_a_missing_gymnasium_is_named_with_its_cure(env, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "pods_jax.compat.gymnasium", raising=False)
    monkeypatch.delattr(compat, "gymnasium", raising=False)
    for make in (compat.to_gymnasium, lambda env: compat.to_gymnasium_vector(env, 2)):
        with pytest.raises(InputError, match=r"needs the package gymnasium: pip install 'pods_jax\[gym\]'"):
            make(env)


@pytest.mark.parametrize("kind", ["single", "vector"])
def test_actions_are_checked_before_they_are_scaled(kind):
    env = envs.make("pendulum_3d", "stop", horizon=HORIZON)  # three components
    one = compat.to_gymnasium(env) if kind == "single" else compat.to_gymnasium_vector(env, 2)
    shape = one.action_space.shape
    one.reset(seed=0)
    for wrong in (np.zeros(1), 0.5, [0.5], np.zeros((*shape, 1)), np.zeros(shape[::-1] if kind == "vector" else 2)):
        with pytest.raises(
            InputError, match=rf"^actions? ha(s|ve) shape .*: must have shape {re.escape(str(shape))}"
        ):
            one.step(wrong)
    for wrong in (np.full(shape, "a"), None, np.ones(shape, bool), np.full(shape, 1j)):
        with pytest.raises(InputError, match=r"^action"):
            one.step(wrong)
    with pytest.raises(InputError, match="must be numbers between -1 and 1, which NaN is not"):
        one.step(np.full(shape, np.nan))


@pytest.mark.parametrize("beyond", [1e30, np.inf, 1])
def test_what_is_beyond_the_limit_counts_as_the_limit_in_any_type(env, beyond):
    one = compat.to_gymnasium(env)
    outcomes = []
    for action in (np.ones(1), [beyond], np.full(1, beyond, np.float32)):
        one.reset(seed=0)
        outcomes.append(one.step(action)[:2])
    for observation, reward in outcomes[1:]:
        np.testing.assert_array_equal(observation, outcomes[0][0])
        assert reward == outcomes[0][1]


def test_seeds_of_numpy_are_seeds(env):
    one, several = compat.to_gymnasium(env), compat.to_gymnasium_vector(env, 2)
    np.testing.assert_array_equal(one.reset(seed=np.int64(3))[0], one.reset(seed=3)[0])
    expected = several.reset(seed=3)[0]
    for seed in (np.int64(3), np.array([3, 4]), [np.uint8(3), 4]):
        np.testing.assert_array_equal(several.reset(seed=seed)[0], expected)
    for wrong in (-1, 1.5, "3", True):
        with pytest.raises(InputError, match=r"seed = .*: must be a whole number, at least 0"):
            one.reset(seed=wrong)
        with pytest.raises(InputError, match=r"seed = .*: must be a whole number, at least 0"):
            several.reset(seed=wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of fork, and Gymnasium says what it does about the error
def test_a_forked_process_says_what_to_do_instead_of_waiting_for_ever(env):
    from gymnasium.vector import AsyncVectorEnv

    forked = AsyncVectorEnv([lambda: compat.to_gymnasium(env)], context="fork")
    try:
        with pytest.raises(InputError, match=r'start it anew, with .*context="spawn"'):
            forked.reset(seed=0)
    finally:
        forked.close(terminate=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_stable_baselines_checker_is_content(env):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(compat.to_gymnasium(env))
