"""PPO and SAC: what an Algorithm promises, and what theirs is in particular."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import ppo as ppo_config
from configs import sac as sac_config
from pods_jax import InputError, algorithms, envs
from pods_jax.algorithms.model_free import ppo, sac
from tests.algorithms.linear import make_linear
from tests.tiers import slow_but

pytest.importorskip("brax")

SMALL = {
    "ppo": {"batch_size": 8, "optimizer": {"num_minibatches": 2, "num_passes": 2}, "hidden_sizes": (8,)},
    "sac": {
        "batch_size": 4,
        "optimizer": {"gradient_steps": 8, "minibatch_size": 16, "buffer_size": 100},
        "hidden_sizes": (8,),
    },
}
NAMES = tuple(SMALL)


def small_env(**settings):
    return envs.make("pendulum_2d", "stop", horizon=6, **settings)


@pytest.fixture(scope="module", params=slow_but(NAMES))
def small(request):
    """An algorithm, its first state, and two epochs of one compiled program."""
    algorithm = algorithms.make(request.param, make_linear(horizon=6), **SMALL[request.param])
    update = jax.jit(algorithm.update)
    states, rows = [algorithm.init(jax.random.key(0))], []
    for _ in range(5):
        state, metrics = update(states[-1])
        states.append(state)
        rows.append(metrics)
    return algorithm, update, states, rows


def leaves(state):
    return [
        np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for leaf in jax.tree.leaves(state)
    ]


def test_an_epoch_is_pure_and_leaves_the_form_of_its_state(small):
    _, update, states, rows = small
    again, metrics = update(states[0])
    for first, second in zip(leaves(again), leaves(states[1]), strict=True):
        np.testing.assert_array_equal(first, second)
    assert {name: float(value) for name, value in metrics.items()} == {k: float(v) for k, v in rows[0].items()}
    assert [(leaf.shape, leaf.dtype) for leaf in leaves(states[0])] == [
        (leaf.shape, leaf.dtype) for leaf in leaves(states[3])
    ]


def test_the_metrics(small):
    algorithm, _, _, rows = small
    for row in rows:
        assert row["environment_steps"] == algorithm.config.batch_size * algorithm.env.horizon
        assert row["unhealthy_rollouts"] == 0
        assert all(np.isfinite(value) for value in row.values())
        assert any("loss" in name for name in row)
    assert len({float(row["value"]) for row in rows}) == len(rows)  # other initial states each time


@pytest.mark.exhaustive
def test_rollouts_that_are_not_finite_are_counted_and_nothing_is_learned_from_none(small):
    algorithm, _, states, _ = small
    broken = algorithm.env.with_reward(lambda state, action: jnp.nan * jnp.sum(state))
    learner = algorithms.make(algorithm.name, broken, **SMALL[algorithm.name])
    state, metrics = jax.jit(learner.update)(states[1])
    assert metrics["unhealthy_rollouts"] == algorithm.config.batch_size
    policies = [algorithm.policy(each)(jnp.ones(algorithm.env.observation_size)) for each in (states[1], state)]
    np.testing.assert_array_equal(*policies)


@pytest.mark.slow
def test_an_unhealthy_rollout_gives_way_to_a_healthy_one():
    """One of four initial states is a NaN; no number of it is among the transitions."""
    from pods_jax.algorithms.model_free.exploration import Explorer
    from pods_jax.policies.network import PolicyNetwork

    env = small_env()
    sound = env.functions.reset

    def reset(parameters, key):
        bad = jax.random.bits(key) % 2 == 0
        state = sound(parameters, key)
        return dataclasses.replace(state, velocity=jnp.where(bad, jnp.nan, state.velocity))

    env = env.replace(functions=dataclasses.replace(env.functions, reset=reset))
    explorer = Explorer(env, PolicyNetwork((4,), 1), True, 1.0)
    params = explorer.init(*jax.random.split(jax.random.key(0)))
    explore = jax.jit(lambda params, key: explorer.explore(explorer.init_normalizer(), params, key, 8))
    transitions, healthy, _ = explore(params, jax.random.key(1))
    assert 0 < np.sum(healthy) < 8
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(transitions))
    assert len(np.unique(np.asarray(transitions.observation[:, 0, -2]))) == np.sum(healthy)
    np.testing.assert_allclose(transitions.next_observation[:, :-1], transitions.observation[:, 1:], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(name):
    env = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), small_env())
    algorithm = algorithms.make(name, env, **SMALL[name])
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    after, _ = jax.eval_shape(algorithm.update, state)
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)
    action = jax.eval_shape(lambda state, seen: algorithm.policy(state)(seen), state, jnp.zeros(5, jnp.float32))
    assert action.dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("ppo", {"batch_size": 0}, ("batch_size = 0", "at least 1")),
        ("ppo", {"optimizer": {"num_minibatches": 3}}, ("num_minibatches = 3", "must divide batch_size, 512")),
        ("ppo", {"loss": {"discount": 1.5}}, ("discount = 1.5", "at most 1")),
        ("ppo", {"loss": {"gae_lambda": -0.1}}, ("gae_lambda = -0.1", "at least 0")),
        ("ppo", {"hidden_sizes": (0,)}, ("hidden_sizes[0] = 0", "at least 1")),
        ("ppo", {"standardize": 1}, ("standardize = 1", "True or False")),
        ("sac", {"optimizer": {"buffer_size": 100}}, ("buffer_size = 100", "batch_size times horizon, 384")),
        ("sac", {"optimizer": {"learning_rate": 0.0}}, ("learning_rate = 0.0", "greater than 0")),
        ("sac", {"optimizer": {"gradient_stps": 1}}, ("gradient_stps", "did you mean 'gradient_steps'")),
    ],
)
def test_bad_settings_are_refused(name, settings, words):
    with pytest.raises(InputError) as refused:
        algorithms.make(name, small_env(), **settings)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("name", NAMES)
def test_a_reward_at_the_end_only_is_refused(name):
    with pytest.raises(InputError, match=rf"terminal_only = True: {name} learns the value"):
        algorithms.make(name, small_env(terminal_only=True))


@pytest.mark.parametrize(("module", "config"), [(ppo, ppo_config), (sac, sac_config)])
def test_the_configuration_file_repeats_no_defaults(module, config):
    defaults = dataclasses.asdict(module.Config())
    assert len(defaults) <= 8
    settings = config.get_config().algorithm.to_dict()
    assert settings == {"name": module.__name__.rpartition(".")[2], **defaults}


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "epochs"), [("ppo", 20), ("sac", 8)])
def test_it_reaches_85_percent_of_the_possible_improvement(name, epochs):
    """On pendulum_2d / stop: of the way from the untrained policy to the best actions that there are."""
    import pods_jax

    algorithm = algorithms.make(name, envs.make("pendulum_2d", "stop"))
    untrained = algorithm.policy(algorithm.init(jax.random.key(0)))
    state, _ = pods_jax.train(algorithm, jax.random.key(0), epochs)
    heldout = pods_jax.evaluation.make_heldout_set(algorithm.env, 50)
    before, after = (
        pods_jax.evaluate(algorithm.env, policy, heldout=heldout) for policy in (untrained, algorithm.policy(state))
    )
    best = max(before["optimum_mean"], after["optimum_mean"])
    assert after["return_mean"] - before["return_mean"] > 0.85 * (best - before["return_mean"])
