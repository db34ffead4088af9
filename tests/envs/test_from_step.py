"""A step function of one's own: a textbook problem whose optimum is known, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import InputError, algorithms, envs, evaluate, train
from pods_jax.evaluation import make_heldout_set
from pods_jax.improvement import optimize

TIME_STEP, HORIZON = 0.1, 20
WEIGHTS = np.array([1.0, 0.3, 0.3])  # of position, velocity and action, squared in the cost


def step(state, action):
    velocity = state["velocity"] + TIME_STEP * action[0]
    return {"position": state["position"] + TIME_STEP * velocity, "velocity": velocity}


def reset(key):
    position, velocity = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
    return {"position": position, "velocity": velocity}


def observe(state):
    return jnp.stack([state["position"], state["velocity"]])


def residual(state, action):
    return jnp.asarray(WEIGHTS) * jnp.stack([state["position"], state["velocity"], action[0]])


def double_integrator(**changes):
    """A point on a line, pushed: as a double integrator."""
    given = {"step": step, "reset": reset, "observe": observe, "residual": residual}
    return envs.from_step(**given | {"action_limit": [10.0], "horizon": HORIZON} | changes)


def least_cost(start):
    """What the textbook says (Anderson & Moore 1990): the backward Riccati recursion."""
    A = np.array([[1.0, TIME_STEP], [0.0, 1.0]])
    B = np.array([[TIME_STEP**2], [TIME_STEP]])
    Q, R = np.diag(WEIGHTS[:2] ** 2), WEIGHTS[2:] ** 2
    P = np.zeros((2, 2))
    for _ in range(HORIZON):
        P = P + Q  # the cost of a step is paid where it arrives
        gain = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = A.T @ P @ (A - B @ gain)
    return start @ P @ start


class TestDoubleIntegrator:
    @pytest.mark.slow
    def test_one_improvement_reaches_the_optimum_of_the_textbook(self):
        env = double_integrator()
        start = env.reset(jax.random.key(3))
        best, converged = optimize(env, start, jnp.zeros((HORIZON, 1)))
        assert converged
        assert float(best.value) == pytest.approx(-least_cost(np.asarray(observe(start))), rel=1e-10)

    @pytest.mark.slow
    def test_a_policy_learns_to_come_close(self):
        env = double_integrator()
        algorithm = algorithms.make("pods", env, batch_size=32, guard={"size": 16}, hidden_sizes=(32, 32))
        state, history = train(algorithm, jax.random.key(0), 15)
        heldout = make_heldout_set(env, 32, search=False)
        numbers = evaluate(env, algorithm.policy(state), heldout=heldout)
        optimum = -np.mean([least_cost(start) for start in np.asarray(jax.vmap(observe)(heldout.states))])
        assert optimum > numbers["return_mean"] > 1.02 * optimum  # both are negative
        assert not any("terminal" in name for name in numbers)
        assert all(row["unhealthy_rollouts"] == 0 for row in history)

    @pytest.mark.slow
    def test_a_reward_does_as_well_as_a_residual(self):
        plain = double_integrator()
        other = double_integrator(residual=None, reward=lambda state, action: -jnp.sum(residual(state, action) ** 2))
        start, actions = plain.reset(jax.random.key(3)), jnp.zeros((HORIZON, 1))
        assert float(optimize(other, start, actions)[0].value) == pytest.approx(
            float(optimize(plain, start, actions)[0].value), rel=1e-12
        )
        with pytest.raises(InputError, match="a reward and no residual"):
            other.residual(start, actions[0])

    @pytest.mark.slow
    def test_what_is_measured_is_reported(self):
        env = double_integrator(measure=lambda state: {"distance": jnp.abs(state["position"])})
        policy, heldout = (lambda observation: jnp.zeros(1)), make_heldout_set(env, 4, search=False)
        assert evaluate(env, policy, heldout=heldout)["terminal_distance"] > 0

    @pytest.mark.slow
    def test_it_says_what_its_numbers_mean(self):
        plain = double_integrator()
        assert plain.action_unit == ""
        assert plain.observation_layout == (envs.Block("observation", "unknown", 2, ""),)
        with pytest.raises(InputError, match="own gives no energy: give `energy`"):
            plain.energy(plain.reset(jax.random.key(0)))
        blocks = (envs.Block("position", "m", 1, "on the line"), envs.Block("velocity", "m/s", 1, "along it"))
        told = double_integrator(
            action_unit="N",
            observation_layout=blocks,
            energy=lambda state: envs.Energy(state["velocity"] ** 2 / 2, jnp.zeros(())),
        )
        assert (told.action_unit, told.observation_layout) == ("N", blocks)
        state = told.reset(jax.random.key(0))
        assert told.energy(state).kinetic == pytest.approx(state["velocity"] ** 2 / 2)

    def test_a_state_that_is_not_finite_is_seen(self):
        env = double_integrator()
        state = env.reset(jax.random.key(0))
        assert env.step_error(state, jnp.zeros(1), state) == 0
        assert jnp.isnan(env.step_error(state, jnp.zeros(1), state | {"velocity": jnp.asarray(jnp.inf)}))


def counted(counter):
    return lambda state, action: step(state, action + next(counter))


def printed(state, action):
    jax.debug.print("{}", action)
    return step(state, action)


def by_callback(state, action):
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    return jax.pure_callback(lambda state, action: state, shapes, state, action)


def with_norm_at_rest(state, action):
    """A wall, at which the point comes to rest after a while; the norm of its velocity then has no derivative."""
    velocity = jnp.where(state["position"] > 0.5, state["velocity"] + TIME_STEP * (action[0] - 30.0), 0.0)
    speed = jnp.sqrt(jnp.sum(velocity**2))
    return {"position": state["position"] + TIME_STEP * velocity, "velocity": velocity - 0.01 * speed}


def with_norm_at_zero(state, action):
    after = step(state, action)
    return after | {"position": after["position"] + jnp.linalg.norm(0.0 * action)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": None}, "give either residual, for the reward"),
        ({"reward": lambda state, action: 0.0}, "give either residual"),
        ({"horizon": 0}, "horizon = 0: must be a whole number, at least 1"),
        ({"action_limit": [0.0]}, r"action_limit = \[0.0\]: must be finite numbers of shape \(1,\), greater than 0"),
        ({"action_unit": None}, "action_unit = None: must be a string"),
        (
            {"observation_layout": [envs.Block("position", "m", 1, "on the line")]},
            "observation_layout has 1 components: must have 2, as observe returns",
        ),
        ({"time_step": -1.0}, "time_step = -1.0: must be a finite number, greater than 0"),
        (
            {"reset": lambda key: {"count": jnp.zeros((), jnp.int32)}},
            "state is of int32: some of it must be floating-point numbers, which have derivatives",
        ),
        (
            {"reset": lambda key: reset(key) | {"velocity": jnp.zeros((), jnp.float32)}},
            r"state\['velocity'\] is float32: must be float64, as the first leaf",
        ),
        ({"reset": lambda key: ()}, "reset returns a state without any array"),
        (
            {"step": lambda state, action: step(state, action)["position"]},
            "step returns PyTreeDef.*: must return PyTreeDef.*'position'.*'velocity'.* as reset does",
        ),
        (
            {"step": lambda state, action: step(state, action) | {"velocity": action}},
            r"step returns state\['velocity'\] as float64 of shape \(1,\): must be float64 of shape \(\)",
        ),
        (
            {"step": lambda state, action: jax.tree.map(lambda leaf: leaf.astype(jnp.float32), step(state, action))},
            r"step returns state\['position'\] as float32 of shape \(\): must be float64",
        ),
        (
            {"observe": lambda state: state["position"]},
            r"observe returns \('float64', \(\)\): must return one",
        ),
        ({"residual": lambda state, action: state}, "residual returns {.*}: must return one vector of float64"),
        (
            {"residual": None, "reward": lambda state, action: action},
            r"reward returns \(1,\): must return one",
        ),
        ({"step": counted(itertools.count())}, "step is not pure: called twice, it is two different programs"),
        (
            {"reset": lambda key: jax.tree.map(lambda leaf: leaf + np.random.default_rng().normal(), reset(key))},
            "reset is not pure: called twice",
        ),
        ({"step": printed}, "step is not pure, it has an effect outside of its result"),
        (
            {"step": lambda state, action: step(state, action) if action[0] > 0 else state},
            "step cannot be traced by JAX: Attempted boolean conversion of traced array",
        ),
        ({"step": by_callback}, "step has no derivative by forward mode: .*callbacks do not support JVP"),
        ({"step": with_norm_at_zero}, r"the derivative of state\['position'\] is not finite after step 1 of 20"),
        (
            {
                "step": with_norm_at_rest,
                "reset": lambda key: reset(key) | {"position": jnp.asarray(2.0), "velocity": jnp.zeros(())},
            },
            r"the derivative of state\['velocity'\] is not finite after step [3-9] of 20",
        ),
        (
            {"step": lambda state, action: jax.tree.map(lambda leaf: leaf / 0, step(state, action))},
            r"state\['position'\] is not finite after step 1 of 20",
        ),
        (
            {"step": lambda state, action: step(state, jnp.round(action))},
            "the derivative of step by the action is zero in all of 20 steps",
        ),
    ],
)
def test_what_cannot_work_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        double_integrator(**changes)
