"""Against the dense solution: the same problem as one linear system over all actions, by numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from pods_jax.trajopt.linearize import Linearization
from pods_jax.trajopt.lqr import solve_lqr
from pods_jax.trajopt.objective import Quadratic

HORIZON, STATE_SIZE, ACTION_SIZE, NUM_RESIDUALS = 5, 4, 2, 6
SHAPE = (HORIZON, ACTION_SIZE)
FAR = np.full(SHAPE, 1e6)

solve = jax.jit(solve_lqr)


class Toy:
    """Residuals C ds + D da + e of arriving, with ds' = A ds + B da; everything random and varying in time."""

    def __init__(self, seed=0):
        random = np.random.default_rng(seed)
        self.A = random.normal(size=(HORIZON, STATE_SIZE, STATE_SIZE)) / 2
        self.B = random.normal(size=(HORIZON, STATE_SIZE, ACTION_SIZE))
        self.C = random.normal(size=(HORIZON, NUM_RESIDUALS, STATE_SIZE))
        self.D = random.normal(size=(HORIZON, NUM_RESIDUALS, ACTION_SIZE))
        self.e = random.normal(size=(HORIZON, NUM_RESIDUALS))

    def model(self):
        return Linearization(jnp.asarray(self.A), jnp.asarray(self.B))

    def cost(self):
        """The expansion of the squared residuals at ds = 0, da = 0."""
        return Quadratic(
            s=2 * np.einsum("trn,tr->tn", self.C, self.e),
            a=2 * np.einsum("tra,tr->ta", self.D, self.e),
            ss=2 * np.einsum("trn,trm->tnm", self.C, self.C),
            aa=2 * np.einsum("tra,trb->tab", self.D, self.D),
            as_=2 * np.einsum("tra,trn->tan", self.D, self.C),
        )

    def dense(self, start=0):
        """J and F with (residuals from step `start` on) = J da + F ds_start + e."""
        steps = HORIZON - start
        by_action = np.zeros((STATE_SIZE, steps, ACTION_SIZE))
        by_state = np.eye(STATE_SIZE)
        J = np.zeros((steps, NUM_RESIDUALS, steps, ACTION_SIZE))
        F = np.zeros((steps, NUM_RESIDUALS, STATE_SIZE))
        for index, t in enumerate(range(start, HORIZON)):
            by_action = np.einsum("nm,mta->nta", self.A[t], by_action)
            by_action[:, index] += self.B[t]
            by_state = self.A[t] @ by_state
            J[index] = np.einsum("rn,nta->rta", self.C[t], by_action)
            J[index, :, index] += self.D[t]
            F[index] = self.C[t] @ by_state
        size = steps * ACTION_SIZE
        return J.reshape(-1, size), F.reshape(-1, STATE_SIZE), self.e[start:].reshape(-1)

    def follow(self, feedback, ds=None, step_size=1.0):
        """(T, A) the actions that the feedback takes on the linear model, and their total cost."""
        ds = np.zeros(STATE_SIZE) if ds is None else ds
        actions, cost = [], 0.0
        for t in range(HORIZON):
            da = step_size * np.asarray(feedback.step[t]) + np.asarray(feedback.gains[t]) @ ds
            ds = self.A[t] @ ds + self.B[t] @ da
            actions.append(da)
            cost += np.sum((self.C[t] @ ds + self.D[t] @ da + self.e[t]) ** 2)
        return np.array(actions), cost


@pytest.fixture(params=range(3))
def toy(request):
    return Toy(request.param)


def test_one_pass_gives_the_dense_least_squares_solution(toy):
    J, _, e = toy.dense()
    feedback = solve(toy.model(), toy.cost(), -FAR, FAR)
    expected = np.linalg.lstsq(J, -e, rcond=None)[0]
    actions, cost = toy.follow(feedback)
    np.testing.assert_allclose(actions, expected.reshape(SHAPE), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(cost, np.sum((J @ expected + e) ** 2), rtol=1e-12)


@pytest.mark.parametrize("start", [0, 2, HORIZON - 1])
def test_gains_are_the_derivative_of_the_optimal_action_by_the_state(toy, start):
    J, F, e = toy.dense(start)

    def first_action(ds):
        return np.linalg.lstsq(J, -e - F @ ds, rcond=None)[0][:ACTION_SIZE]

    feedback = solve(toy.model(), toy.cost(), -FAR, FAR)
    differences = np.stack([first_action(axis / 2) - first_action(-axis / 2) for axis in np.eye(STATE_SIZE)], axis=1)
    np.testing.assert_allclose(feedback.gains[start], differences, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(feedback.step[start], first_action(np.zeros(STATE_SIZE)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("start", [0, 2, HORIZON - 1])
def test_the_action_hessian_is_the_schur_complement_of_the_dense_hessian(toy, start):
    """How the cost curves along one action while all later ones react optimally."""
    J, _, _ = toy.dense(start)
    H = 2 * J.T @ J
    own, later = slice(0, ACTION_SIZE), slice(ACTION_SIZE, None)
    schur = H[own, own] - H[own, later] @ np.linalg.solve(H[later, later], H[later, own])
    feedback = solve(toy.model(), toy.cost(), -FAR, FAR)
    np.testing.assert_allclose(feedback.action_hessian[start], schur, rtol=1e-9)


def test_slope_is_the_derivative_of_the_cost_along_the_step(toy):
    feedback = solve(toy.model(), toy.cost(), -FAR, FAR)
    step = 1e-4
    difference = toy.follow(feedback, step_size=step)[1] - toy.follow(feedback, step_size=-step)[1]
    np.testing.assert_allclose(feedback.slope, difference / (2 * step), rtol=1e-8)
    assert float(feedback.slope) < 0


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.3])
def test_changes_stay_within_their_limits_and_improve(toy, limit):
    feedback = solve(toy.model(), toy.cost(), np.full(SHAPE, -limit), np.full(SHAPE, limit))
    assert np.all(np.abs(feedback.step) <= limit)
    assert np.any(np.abs(feedback.step) == limit)
    assert float(feedback.slope) < 0
    assert toy.follow(feedback)[1] < np.sum(toy.e**2)


def test_the_last_change_solves_its_own_limited_problem(toy):
    """At the last step nothing follows, so that the dense problem is exactly the one of that step."""
    J, _, e = toy.dense(HORIZON - 1)
    limit = 0.05
    feedback = solve(toy.model(), toy.cost(), np.full(SHAPE, -limit), np.full(SHAPE, limit))
    expected = lsq_linear(J, -e, (-limit, limit), method="bvls", tol=1e-14).x
    np.testing.assert_allclose(feedback.step[-1], expected, atol=1e-10)


def test_actions_at_a_limit_do_not_react(toy):
    limit = 0.1
    feedback = solve(toy.model(), toy.cost(), np.full(SHAPE, -limit), np.full(SHAPE, limit))
    held = np.abs(feedback.step) == limit
    assert np.any(held)
    assert not np.any(np.asarray(feedback.gains)[held])
    assert np.all(np.any(np.asarray(feedback.gains)[~held], axis=-1))


def test_an_action_held_at_a_limit_leaves_the_gains_of_the_others_optimal(toy):
    """Against the dense solution in which the held action is no longer an unknown."""
    lower, upper = -FAR.copy(), FAR.copy()
    lower[2, 0] = upper[2, 0] = 0.0
    feedback = solve(toy.model(), toy.cost(), lower, upper)
    J, F, e = toy.dense()
    free = np.arange(J.shape[1]) != 2 * ACTION_SIZE
    reaction = np.linalg.lstsq(J[:, free], -F, rcond=None)[0]
    np.testing.assert_allclose(feedback.gains[0], reaction[:ACTION_SIZE], rtol=1e-9, atol=1e-11)
    step = np.linalg.lstsq(J[:, free], -e, rcond=None)[0]
    np.testing.assert_allclose(toy.follow(feedback)[0].reshape(-1)[free], step, rtol=1e-9, atol=1e-11)


def test_damping_shortens_the_step_and_leaves_the_action_hessian_that_of_the_cost(toy):
    """Damping of the last step is the dense problem with damping / 2 |da|^2 added to the cost."""
    damping = 10.0
    plain = solve(toy.model(), toy.cost(), -FAR, FAR)
    damped = solve(toy.model(), toy.cost(), -FAR, FAR, damping)
    J, F, e = toy.dense(HORIZON - 1)
    matrix = 2 * J.T @ J + damping * np.eye(ACTION_SIZE)
    np.testing.assert_allclose(damped.step[-1], np.linalg.solve(matrix, -2 * J.T @ e), rtol=1e-10)
    np.testing.assert_allclose(damped.gains[-1], np.linalg.solve(matrix, -2 * J.T @ F), rtol=1e-10)
    np.testing.assert_allclose(damped.action_hessian[-1], plain.action_hessian[-1], rtol=1e-12)
    assert np.linalg.norm(damped.step) < np.linalg.norm(plain.step)
    assert np.sum(toy.e**2) > toy.follow(damped)[1] > toy.follow(plain)[1]


def test_damping_makes_actions_that_cost_nothing_solvable():
    toy = Toy()
    toy.D[:] = 0
    toy.B[:] = 0
    feedback = solve(toy.model(), toy.cost(), -FAR, FAR, 1e-3)
    assert not np.any(feedback.step)
    assert not np.any(feedback.gains)
