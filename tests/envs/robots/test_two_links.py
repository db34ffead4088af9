"""Acrobot and pendubot, against RealAIGym's plant, the Lagrangian and what must be conserved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import envs
from pods_jax.envs.robots import two_links
from pods_jax.envs.robots.two_links import State

MOTIONS = [
    ([1.096, -1.842, -11.017, -11.603], 3.759),
    ([3.302, 0.853, 5.508, 1.047], 5.221),
    ([2.527, -3.978, 8.578, -11.194], 2.756),
    ([-2.595, 2.905, 0.995, -4.807], -0.928),
    ([-3.773, -3.006, 4.095, 3.533], 1.385),
]
"""Angles, velocities and torques, drawn at random."""

ACCELERATIONS = {
    "acrobot": [
        [-362.2265289469071, 469.5714718863178],
        [-129.30706410816094, 297.2324031800501],
        [-58.730910173773864, 84.43635925450215],
        [35.4705018242312, -41.58394317439993],
        [-42.89657815647803, 59.49459924557259],
    ],
    "pendubot": [
        [-238.10169714977226, 292.4634350705955],
        [132.09907954959687, -174.9326451601517],
        [32.14144869628475, -22.317237878036163],
        [1.4662421901248224, -10.125684719862498],
        [8.422932548072424, 12.925963876188518],
    ],
}
"""What `DoublePendulumPlant.rhs` of RealAIGym returns for these motions: commit 1e8544e, `model_parameters.yml` of
design_C.1 / model_1.0 with damping, friction and motor inertia zero, torque limits [0, 6] and [6, 0]."""

ENERGIES = [12.149151747194779, 5.771328582623461, 4.403237637615133, 0.9473155504396524, 1.406570833711129]
"""What its `total_energy` returns."""

ENDS = [
    [0.6279939956815201, -1.9828399293604067, -19.252798790824357, 2.1315214666825897],
    [3.416676341155027, 1.0094723398261993, 2.4670484081014723, 8.961797707529165],
]
"""Where three classical Runge-Kutta steps of 0.01 s of that `rhs` lead, as an acrobot, from the first two motions."""


@pytest.fixture(scope="module", params=["acrobot", "pendubot"])
def env(request):
    return envs.make(request.param)


def state_of(motion):
    return State(jnp.asarray(motion[:2]), jnp.asarray(motion[2:]))


def test_accelerations_are_those_of_realaigym(env):
    for (motion, torque), expected in zip(MOTIONS, ACCELERATIONS[env.name], strict=True):
        found = two_links.acceleration(env.parameters, state_of(motion), jnp.asarray([torque]))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_energies_are_those_of_realaigym(env):
    for (motion, _), expected in zip(MOTIONS, ENERGIES, strict=True):
        energy = env.energy(state_of(motion))
        np.testing.assert_allclose(energy.kinetic + energy.potential, expected, rtol=0, atol=1e-8)


def test_a_step_is_that_of_realaigym():
    env = envs.make("acrobot")
    for (motion, torque), expected in zip(MOTIONS, ENDS, strict=False):
        after = env.step(state_of(motion), jnp.asarray([torque]))
        np.testing.assert_allclose([*after.angle, *after.velocity], expected, rtol=0, atol=1e-8)


def test_accelerations_follow_from_the_lagrangian(env):
    """d/dt dL/dq' - dL/dq = B u, with the kinetic energy of two rigid links."""
    links = env.parameters

    def lagrangian(angle, velocity):
        m, g, centre = links.mass, links.gravity, links.centre
        whole = jnp.stack([angle[0], angle[0] + angle[1]])
        rates = jnp.stack([velocity[0], velocity[0] + velocity[1]])
        elbow = links.length[0] * rates[0] * jnp.stack([jnp.cos(whole[0]), jnp.sin(whole[0])])
        first = centre[0] * rates[0] * jnp.stack([jnp.cos(whole[0]), jnp.sin(whole[0])])
        second = elbow + centre[1] * rates[1] * jnp.stack([jnp.cos(whole[1]), jnp.sin(whole[1])])
        kinetic = jnp.sum(m * jnp.stack([first @ first, second @ second]) + links.inertia * rates**2) / 2
        height_1 = -centre[0] * jnp.cos(whole[0])
        height_2 = -links.length[0] * jnp.cos(whole[0]) - centre[1] * jnp.cos(whole[1])
        return kinetic - g * (m[0] * height_1 + m[1] * height_2)

    @jax.jit
    def balance(angle, velocity):
        """The mass matrix, and the forces without the motor's."""
        mixed = jax.jacfwd(jax.grad(lagrangian, 1), 0)(angle, velocity)
        return jax.hessian(lagrangian, 1)(angle, velocity), jax.grad(lagrangian)(angle, velocity) - mixed @ velocity

    for motion, torque in MOTIONS:
        state = state_of(motion)
        mass, free = balance(state.angle, state.velocity)
        force = free + links.motor[:, 0] * torque
        found = two_links.acceleration(links, state, jnp.asarray([torque]))
        np.testing.assert_allclose(mass @ found, force, rtol=1e-10, atol=1e-12)


def test_without_torque_energy_is_conserved_to_order_four(env):
    def drift(substeps):
        fine = envs.make(env.name, substeps=substeps)
        start, state = state_of([2.5, 0.6, 1.0, -2.0]), state_of([2.5, 0.6, 1.0, -2.0])
        for _ in range(10):
            state = fine.step(state, jnp.zeros(1))
        before, after = fine.energy(start), fine.energy(state)
        return abs(float(after.kinetic + after.potential - before.kinetic - before.potential))

    coarse, fine = drift(3), drift(6)
    assert fine < 1e-5
    assert coarse / fine > 2**3.5


def test_the_motor_is_where_its_name_says():
    state = state_of([3.0, 0.2, 0.0, 0.0])
    for name, share in (("acrobot", [0.0, 1.0]), ("pendubot", [1.0, 0.0])):
        links = envs.make(name).parameters
        change = two_links.acceleration(links, state, jnp.ones(1)) - two_links.acceleration(
            links, state, jnp.zeros(1)
        )
        m11, m12, m22 = two_links.mass_matrix(links, state.angle)
        np.testing.assert_allclose(np.array([[m11, m12], [m12, m22]]) @ change, share, atol=1e-12)


WITH_FRICTION = [
    ([1.096, -1.842, -11.017, -11.603], [3.759, -1.25], [-198.89500421232705, 227.6183301715581]),
    ([3.302, 0.853, 0.008, -0.013], [-0.221, 0.4], [-19.978437594182196, 61.554514602699186]),
    ([2.527, -3.978, 8.578, -11.194], [2.756, 0.0], [22.669792296402843, -12.202760887187603]),
]
"""Motions, torques of both motors, and what its `forward_dynamics` returns for all of design_C.1 / model_1.0."""


def test_friction_damping_and_motor_inertia_are_those_of_realaigym():
    links = envs.make(
        "double_pendulum",
        damping_1=0.001,
        damping_2=0.001,
        friction_1=0.16,
        friction_2=0.12,
        motor_inertia=6.287203962819607e-05,
    ).parameters
    for motion, torque, expected in WITH_FRICTION:
        found = two_links.acceleration(links, state_of(motion), jnp.asarray(torque))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("task", "rest"), [("balance", np.pi), ("swing_up", 0.0)])
def test_initial_states_fill_their_box_around_rest(task, rest):
    env = envs.make("pendubot", task, initial_angle=0.3, initial_velocity=0.7)
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 300))
    for values, limit in ((np.asarray(starts.angle) - [rest, 0.0], 0.3), (np.asarray(starts.velocity), 0.7)):
        assert np.all(np.abs(values) <= limit + 1e-12)
        np.testing.assert_allclose(np.max(np.abs(values), axis=0), limit, rtol=0.03)


def test_hanging_at_rest_costs_what_is_to_be_gained(env):
    """Tip and elbow are 1.0 m and 0.4 m below where they should be."""
    hanging = state_of([0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(env.reward(hanging, jnp.zeros(1)), -(4 * 1.0**2 + 6.25 * 0.4**2), rtol=1e-12)
    assert env.measure(hanging)["distance"] == pytest.approx(1.0)
    assert env.measure(hanging)["height"] == pytest.approx(-0.5)
