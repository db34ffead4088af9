"""What enters from outside, in whatever shape, type and kind: taken as what it means, or refused by its name."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, evaluate, improve, optimize, replay, rollout, train
from pods_jax.evaluation import make_heldout_set
from pods_jax.improvement import improve_batch
from tests.tiers import slow_but

ROOT = pathlib.Path(__file__).parents[2]
HORIZON = 3


@pytest.fixture(scope="module")
def env():
    return envs.make("pendulum_2d", horizon=HORIZON)


@pytest.fixture(scope="module")
def start(env):
    return env.reset(jax.random.key(0))


def counting(key):
    """A state with what carries no derivative: a key, a number beyond 2**24, a flag."""
    place = jax.random.normal(key, (1,))
    return {"place": place, "key": key, "count": jnp.asarray(4_000_000_001, jnp.uint32), "far": jnp.asarray(False)}


def count_on(state, action):
    key, own = jax.random.split(state["key"])
    place = state["place"] + action + 1e-3 * jax.random.normal(own, (1,), action.dtype)
    return {"place": place, "key": key, "count": state["count"] + 1, "far": place[0] > 1.0}


@pytest.fixture(scope="module")
def counted():
    return envs.from_step(
        count_on,
        counting,
        lambda state: state["place"],
        residual=lambda state, action: jnp.concatenate([state["place"], action]),
        action_limit=[1.0],
        horizon=HORIZON,
    )


ONES = {
    "int": np.ones((HORIZON, 1), int),
    "float16": np.ones((HORIZON, 1), np.float16),
    "bfloat16": jnp.ones((HORIZON, 1), jnp.bfloat16),
    "float32": np.ones((HORIZON, 1), np.float32),
    "list": [[1], [1.0], [np.float32(1)]],
    "tuple": ((1,), (1,), (1,)),
}


@pytest.mark.parametrize("kind", slow_but(ONES, "int", "list"))
def test_actions_of_any_number_type_are_those_of_the_environment(env, start, kind):
    ones = ONES[kind]
    expected = replay(env, start, jnp.ones((HORIZON, 1)))
    got = replay(env, start, ones)
    assert got.action.dtype == env.action_limit.dtype
    np.testing.assert_array_equal(got.reward, expected.reward)
    np.testing.assert_array_equal(env.step(start, ones[0]).handle, env.step(start, jnp.ones(1)).handle)


@pytest.mark.parametrize("method", slow_but(["riccati", "gauss_newton", "first_order"], "riccati"))
def test_improvement_takes_lists_and_whole_numbers(env, start, method):
    better = improve(env, start, [[0], [1], [0]], method=method, damping=1)
    expected = improve(env, start, jnp.array([[0.0], [1.0], [0.0]]), method=method, damping=1.0)
    np.testing.assert_array_equal(better.actions, expected.actions)
    found, _ = optimize(env, start, [[0]] * HORIZON, max_steps=np.int32(1))
    assert float(found.value) >= float(found.value_before)


def test_states_of_other_types_are_those_of_the_environment(env, start):
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), start)
    again = replay(env, single, jnp.zeros((HORIZON, 1)))
    assert again.state.handle.dtype == env.action_limit.dtype
    got = rollout(env, lambda observation: [1], single)  # so may a policy's actions be
    assert got.action.dtype == env.action_limit.dtype


@pytest.mark.slow
@pytest.mark.parametrize("ready", ["registry", "own"])
def test_double_precision_that_is_switched_on_later_leaves_an_environment_as_it_is(ready):
    with jax.enable_x64(False):
        if ready == "registry":
            env = envs.make("pendulum_2d", horizon=HORIZON)
        else:
            env = envs.from_step(
                lambda state, action: state + 0.1 * action,
                lambda key: jax.random.normal(key, (1,)),
                lambda state: state,
                residual=lambda state, action: jnp.concatenate([state, action]),
                action_limit=[1.0],
                horizon=HORIZON,
            )
    with jax.enable_x64(True):
        start = env.reset(jax.random.key(0))
        better = improve(env, start, jnp.zeros((HORIZON, 1)), method="riccati")
        types = {leaf.dtype for leaf in jax.tree.leaves((start, better.actions, better.value, better.state))}
    assert types == {np.dtype(np.float32)}


@pytest.mark.parametrize("bad", [[], [[]], np.zeros((0, 1)), np.zeros((HORIZON, 1), bool), [["a"]] * HORIZON, [[1j]]])
def test_what_are_no_actions_is_refused_by_every_verb(env, start, bad):
    for verb in (replay, improve, optimize):
        with pytest.raises(InputError, match=r"^actions.*: must "):
            verb(env, start, bad)


@pytest.mark.parametrize("damping", [-1, float("nan"), jnp.asarray(-1.0), np.float32("nan"), jnp.zeros(2), "1", True])
def test_a_damping_that_is_none_is_refused(env, start, damping):
    with pytest.raises(InputError, match=r"damping = .*: must be a finite number, at least 0"):
        improve(env, start, jnp.zeros((HORIZON, 1)), damping=damping)


@pytest.mark.slow
@pytest.mark.parametrize("damping", [-1.0, float("nan")])
def test_a_damping_that_is_none_while_traced_gives_no_step_and_a_nan_slope(env, start, damping):
    actions = jnp.zeros((HORIZON, 1))
    found = jax.jit(lambda damping: improve(env, start, actions, "riccati", damping=damping))(damping)
    assert np.isnan(found.slope)
    assert float(found.step_size) == 0.0
    np.testing.assert_array_equal(found.actions, actions)


def test_trajectories_of_another_count_are_refused(env, start):
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), start)
    played = jax.vmap(lambda state: replay(env, state, jnp.zeros((HORIZON, 1))))(states)
    with pytest.raises(InputError, match=r"trajectories\.action has shape .*must have shape \(1, T, A\)"):
        improve_batch(env, jax.tree.map(lambda leaf: leaf[:1], states), played)
    with pytest.raises(InputError, match="trajectories is of type tuple: must be of type Trajectory"):
        improve_batch(env, states, (1, 2))


@pytest.mark.parametrize("returned", [1, True, np.int32(1)])
def test_rewards_that_are_whole_or_flags_are_numbers(env, start, returned):
    own = env.with_reward(lambda state, action: returned)
    reward = own.reward(start, [0.0])
    assert reward.dtype == env.action_limit.dtype
    assert float(reward) == 1.0


def test_nan_in_an_action_stays_visible_in_all_later_rewards(env, start):
    played = replay(env, start, [[0.0], [np.nan], [0.0]])
    np.testing.assert_array_equal(np.isnan(played.reward), [False, True, True])


def test_one_rule_for_random_keys(env):
    old, other = jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")
    typed = env.reset(jax.random.key(3))
    np.testing.assert_array_equal(env.reset(old).velocity, typed.velocity)
    np.testing.assert_array_equal(env.reset(np.asarray(old)).velocity, typed.velocity)
    assert np.all(np.isfinite(env.reset(other).velocity))
    for bad in (0, None, np.zeros(2), jax.random.split(jax.random.key(0), 2)):
        with pytest.raises(InputError, match=r"^key .*: must be one random key, for example"):
            env.reset(bad)


def counting_algorithm(env):
    """Draws a number in each epoch."""

    def update(state):
        key, own = jax.random.split(state["key"])
        return {"key": key}, {"drawn": jax.random.uniform(own)}

    return algorithms.Algorithm("toy", env, None, jax.jit(lambda key: {"key": key}), update, lambda state: None)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_training_takes_keys_of_any_implementation_and_goes_on_with_them(env, impl):
    toy, key = counting_algorithm(env), jax.random.key(3, impl=impl)
    whole = train(toy, key, 4)[1]
    state, first = train(toy, key, 2)
    rest = train(toy, None, 4, train_state=state, first_epoch=2)[1]
    assert whole == [*first, *rest]
    assert str(jax.random.key_impl(state["key"])) == impl if impl == "rbg" else True


def test_training_takes_keys_of_the_old_kind(env):
    toy = counting_algorithm(env)
    assert train(toy, jax.random.PRNGKey(3), 2)[1] == train(toy, jax.random.key(3), 2)[1]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"key": 0}, r"train_state\['key'\] is int.*: must be key<fry>"),
        ((), r"train_state is PyTreeDef.*: must be .* as `algorithm.init` returns it"),
        ({"key": "a"}, r"train_state\['key'\] = 'a': must be an array of numbers"),
    ],
)
def test_the_train_state_of_something_else_is_refused(env, state, message):
    with pytest.raises(InputError, match=message):
        train(counting_algorithm(env), jax.random.key(0), 1, train_state=state)


@pytest.mark.slow
def test_keys_and_large_numbers_of_own_steps_are_carried_untouched(counted):
    start = counted.reset(jax.random.key(1))
    assert counted.state_size == 1 + 4 + 2 + 2
    played = replay(counted, start, jnp.zeros((HORIZON, 1)))
    np.testing.assert_array_equal(played.state["count"], 4_000_000_002 + np.arange(HORIZON))
    better = improve(counted, start, jnp.zeros((HORIZON, 1)), method="riccati")
    again = replay(counted, start, better.actions)
    assert float(better.value) > float(better.value_before)
    np.testing.assert_allclose(better.value, jnp.sum(again.reward), rtol=1e-12)
    np.testing.assert_array_equal(jax.random.key_data(better.state["key"]), jax.random.key_data(again.state["key"]))
    np.testing.assert_array_equal(better.state["count"], again.state["count"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pods", "gps", "bptt", "shac"])
def test_algorithms_train_on_states_with_keys_and_counters(counted, name):
    sizes = {"batch_size": 4, "hidden_sizes": (4,)} | ({"guard": {"size": 2}} if name == "pods" else {})
    algorithm = algorithms.make(name, counted, **sizes)
    state, history = train(algorithm, jax.random.key(0), 1)
    assert all(np.all(np.isfinite(value)) for value in history[0].values())
    found = evaluate(counted, algorithm.policy(state), heldout=make_heldout_set(counted, 4))
    assert np.isfinite(found["optimality_gap"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pods", "gps", "bptt", "shac", "ppo", "sac"])
def test_a_linear_policy_is_a_policy(env, name):
    if name in ("ppo", "sac"):
        pytest.importorskip("brax")
    small = {
        "pods": {"guard": {"size": 2}},
        "ppo": {"optimizer": {"num_minibatches": 2}},
        "sac": {"optimizer": {"gradient_steps": 2, "minibatch_size": 4, "buffer_size": 100}},
    }
    algorithm = algorithms.make(name, env, batch_size=4, hidden_sizes=(), **small.get(name, {}))
    state, history = train(algorithm, jax.random.key(0), 1)
    assert all(np.all(np.isfinite(value)) for value in history[0].values())
    policy, (first, second) = algorithm.policy(state), np.random.default_rng(0).normal(size=(2, 5))

    def before_the_limit(observation):
        return np.arctanh(np.asarray(policy(observation) / env.action_limit))

    middle = (before_the_limit(first) + before_the_limit(second)) / 2
    np.testing.assert_allclose(before_the_limit((first + second) / 2), middle, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("count", [np.int64(3), np.int32(3), np.uint8(3)])
def test_numpys_whole_numbers_become_pythons_in_settings(count):
    env = envs.make("pendulum_2d", horizon=count)
    algorithm = algorithms.make("pods", env, batch_size=count, guard={"size": count}, hidden_sizes=[count])
    assert type(env.horizon) is type(algorithm.config.batch_size) is type(algorithm.config.guard.size) is int
    assert [type(size) for size in algorithm.config.hidden_sizes] == [int]


RBG = """
import jax, numpy as np
from pods_jax import algorithms, envs, evaluate, train

env = envs.make("pendulum_2d", horizon=3)
algorithm = algorithms.make("pods", env, batch_size=4, guard={"size": 2}, hidden_sizes=(4,))
whole = train(algorithm, jax.random.key(0), 2)[1]
state, first = train(algorithm, jax.random.key(0), 1)
assert str(jax.random.key_impl(state.key)) == "rbg"
assert whole == [*first, *train(algorithm, None, 2, train_state=state, first_epoch=1)[1]]
assert evaluate(env, algorithm.policy(state), 2) == evaluate(env, algorithm.policy(state), 2)
env.reset(jax.random.PRNGKey(0))
"""

REUSE = """
import jax, jax.numpy as jnp
from pods_jax import algorithms, envs, evaluate, improve, train

env = envs.make("pendulum_2d", horizon=3)
improve(env, env.reset(jax.random.key(1)), jnp.zeros((3, 1)))
for name, more in {"pods": {"guard": {"size": 2}}, "bptt": {}, "gps": {}, "shac": {}}.items():
    algorithm = algorithms.make(name, env, batch_size=4, hidden_sizes=(4,), **more)
    state, _ = train(algorithm, jax.random.key(0), 1)
evaluate(env, algorithm.policy(state), 2, num_restarts=2)
"""


def succeeds(program, variables):
    options = {"capture_output": True, "text": True, "cwd": ROOT, "timeout": 280}
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | variables, **options)
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
def test_another_default_of_random_keys_changes_no_promise():
    succeeds(RBG, {"JAX_DEFAULT_PRNG_IMPL": "rbg"})


@pytest.mark.exhaustive
def test_jax_finds_no_key_that_is_used_twice():
    succeeds(REUSE, {"JAX_DEBUG_KEY_REUSE": "1"})
