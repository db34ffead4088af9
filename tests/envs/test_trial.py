"""What is tried on an environment before training: fair to actuators, strict with derivatives that cannot be used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, improve
from pods_jax.evaluation import evaluate
from tests.algorithms.linear import make_linear


def point(actuate=lambda action: action, **changes):
    """A point on a line that moves by what an actuator makes of the action."""
    given = {
        "step": lambda x, action: x + 0.1 * actuate(action),
        "reset": lambda key: jax.random.normal(key, (1,)),
        "observe": lambda x: x,
        "residual": lambda x, action: jnp.concatenate([x, action]),
    }
    return envs.from_step(**given | {"action_limit": [1.0], "horizon": 5} | changes)


def beyond(threshold):
    return lambda action: jax.nn.relu(action - threshold)


def dead_zone(width):
    return lambda action: jnp.sign(action) * jax.nn.relu(jnp.abs(action) - width)


@pytest.mark.parametrize("horizon", [1, 2, 5])
@pytest.mark.parametrize(
    "actuate",
    [
        jax.nn.relu,
        lambda action: jax.nn.relu(-action),
        beyond(0.9),
        lambda action: -beyond(0.9)(-action),
        dead_zone(0.5),
        dead_zone(0.9),
    ],
    ids=["pushes", "pulls", "late", "late pull", "dead zone", "wide dead zone"],
)
def test_an_actuator_that_acts_in_a_part_of_its_range_is_accepted(actuate, horizon):
    assert point(actuate, horizon=horizon).action_size == 1


def test_one_of_two_actuators_is_enough():
    def step(x, action):
        return x + 0.1 * dead_zone(0.8)(action[1:])

    residual = {"residual": lambda x, action: jnp.concatenate([x, action])}
    assert point(step=step, action_limit=[1.0, 20.0], **residual).action_size == 2


def test_an_actuator_that_acts_beyond_its_range_is_refused():
    with pytest.raises(
        InputError, match=r"derivative of step by the action is zero in all of 5 steps .* all of their range"
    ):
        point(beyond(1.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"residual": lambda x, action: jnp.concatenate([x, jnp.linalg.norm(action)[None]])},
            r"the derivative of residual is not finite after step 1 of 5 from a random state under the action zero: "
            r".* give it a derivative there, as jnp\.sqrt",
        ),
        (
            {"residual": None, "reward": lambda x, action: -jnp.sum(x**2) - jnp.linalg.norm(action)},
            r"the gradient of reward\[1\] is not finite after step 1 of 5 from a random state under the action zero",
        ),
        (
            {"residual": None, "reward": lambda x, action: -jnp.sum(x**2) - jnp.sum(jnp.abs(action) ** 1.5)},
            r"the Hessian of reward\[1\] is not finite after step 1 of 5 from a random state under the action zero",
        ),
        (
            {
                "residual": None,
                "reward": lambda x, action: -jnp.sum(jnp.where(action == 0, 0.0, jnp.sqrt(jnp.abs(action)))),
            },
            r"the gradient of reward\[1\] is not finite .* under the action zero",
        ),
        (
            {
                "residual": None,
                "reward": lambda x, action: -jnp.linalg.norm(x) - jnp.sum(action**2),
                "goal": np.zeros(1),
            },
            "the gradient of reward.* is not finite after step 1 of 5 from the goal under the action zero",
        ),
        (
            {"step": lambda x, action: x + jnp.sqrt(jnp.sum(action**2))},
            "the derivative of state is not finite after step 1 of 5 from a random state under the action zero",
        ),
        ({"measure": lambda x: x[0]}, r"measure returns \(\): must return a dictionary of named numbers"),
        (
            {"measure": lambda x: {"place": x}},
            r"measure returns 'place' as float64 of shape \(1,\): must be one real",
        ),
        ({"measure": lambda x: {"place": {"x": x[0]}}}, "measure returns 'place' as .*: must be one real number"),
        ({"measure": lambda x: {1: x[0]}}, "must return a dictionary of named numbers"),
        ({"measure": lambda x: {"up": float(x[0])}}, "measure cannot be traced by JAX"),
        ({"draw": lambda x: x}, "draw returns .*: must return an `envs.Drawing`"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_cure(changes, message):
    with pytest.raises(InputError, match=message):
        point(**changes)


@pytest.mark.slow
def test_what_a_few_states_meet_is_left_to_the_numbers():
    """A reward that is not a number in a tenth of all states, a kink that no try hits."""
    assert point(residual=lambda x, action: jnp.where(x > 1.3, jnp.nan, x) * jnp.ones(1) + 0 * action).horizon == 5
    assert point(residual=None, reward=lambda x, action: -jnp.linalg.norm(x) - jnp.sum(action**2)).horizon == 5


def kinked(state, action):
    """A reward with a kink where the action is zero."""
    return -jnp.sum(state**2) - jnp.linalg.norm(action)


@pytest.mark.parametrize("name", ["pods", "gps", "bptt", "shac"])
def test_a_reward_that_was_put_in_is_tried_by_who_differentiates_it(name):
    with pytest.raises(InputError, match=r"the gradient of reward.* is not finite after step 1 of 8"):
        algorithms.make(name, make_linear().with_reward(kinked))


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_who_does_not_differentiate_a_reward_takes_it(name):
    assert algorithms.make(name, make_linear().with_reward(kinked)).name == name


@pytest.fixture(scope="module")
def looping():
    """Each step loops as often as the state says, which has no derivative by reverse mode."""

    def step(x, action):
        return jax.lax.while_loop(
            lambda pair: pair[1] < 2 + (x[0] > 9), lambda pair: (pair[0] + 0.1 * action, pair[1] + 1), (x, 0)
        )[0]

    return point(step=step)


@pytest.mark.parametrize(
    ("make", "who"),
    [
        (lambda env: algorithms.make("bptt", env), "the algorithm bptt"),
        (lambda env: algorithms.make("shac", env), "the algorithm shac"),
        (lambda env: algorithms.make("pods", env, improvement={"method": "first_order"}), "the method 'first_order'"),
        (lambda env: algorithms.make("pods", env, improvement={"method": "newton"}), "the method 'newton'"),
        (lambda env: improve(env, jnp.ones(1), jnp.zeros((5, 1)), "first_order"), "the method 'first_order'"),
    ],
)
def test_a_step_without_reverse_mode_is_refused_by_name(looping, make, who):
    with pytest.raises(
        InputError, match=f"{who} needs derivatives of a step by reverse mode, and the step of 'own' has"
    ):
        make(looping)


def test_a_step_without_reverse_mode_is_improved_by_forward_mode(looping):
    better = improve(looping, jnp.ones(1), jnp.zeros((5, 1)), "riccati")
    assert better.value > better.value_before
    assert algorithms.make("pods", looping).name == "pods"


def test_what_was_replaced_is_tried_before_anything_is_searched():
    env = make_linear()
    functions = env.functions.__class__(**{**vars(env.functions), "measure": lambda _, state: state})
    broken = env.replace(functions=functions)
    with pytest.raises(InputError, match="measure returns"):
        evaluate(broken, lambda observation: observation[:1], heldout="never looked at")
    with pytest.raises(InputError, match="measure returns"):
        algorithms.make("ppo", broken)
