import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pods_jax import sim
from pods_jax.checks import InputError

NAN, INFINITY = math.nan, math.inf


def build(**changes):
    """Two free points below a handle, with one setting changed."""
    settings = {
        "mass": [1.0, 2.0],
        "springs": [sim.Spring(0, 1, 100.0, 0.5), sim.Spring(1, 2, 100.0, 0.5)],
        "handles": [sim.Handle.in_space([0.0, 0.0, 0.0])],
        "time_step": 0.01,
    }
    return sim.make_system(**settings | changes)


def build_spring(**changes):
    spring = {"first": 0, "second": 1, "stiffness": 100.0, "rest_length": 0.5}
    return build(springs=[sim.Spring(1, 2, 100.0, 0.5), sim.Spring(**spring | changes)])


class TestAValidSystem:
    def test_holds_what_was_given(self):
        system = build(drag=0.5, gravity=1.62)
        np.testing.assert_array_equal(system.mass, [1.0, 2.0])
        np.testing.assert_array_equal(system.drag, [0.5, 0.5])
        np.testing.assert_array_equal(system.gravity, [0.0, 0.0, -1.62])
        np.testing.assert_array_equal(system.springs.stiffness, [100.0, 100.0])
        assert system.springs.ends == ((0, 1), (1, 2))
        assert system.time_step == 0.01
        sizes = (system.num_points, system.num_handles, system.dimension, system.action_size)
        assert sizes == (2, 1, 3, 3)

    def test_gravity_may_be_a_vector_and_drag_a_sequence(self):
        system = build(gravity=[1.0, 2.0, 3.0], drag=[0.0, 0.1])
        np.testing.assert_array_equal(system.gravity, [1.0, 2.0, 3.0])
        np.testing.assert_array_equal(system.drag, [0.0, 0.1])

    def test_may_be_planar(self):
        system = build(dimension=2, handles=[sim.Handle.on_axis([0.0, 0.0])])
        np.testing.assert_array_equal(system.gravity, [0.0, -sim.STANDARD_GRAVITY])
        assert system.handle_axes.shape == (1, 1, 2)

    def test_may_have_no_springs(self):
        assert build(springs=[]).springs.stiffness.shape == (0,)

    def test_is_a_pytree_with_static_topology(self):
        system = build()
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), system)
        assert single.springs.ends == system.springs.ends
        assert single.springs.stiffness.dtype == jnp.float32
        assert jax.tree.structure(single) == jax.tree.structure(system)


@pytest.mark.parametrize(
    ("handles", "action", "moved"),
    [
        ([sim.Handle.on_axis([1.0, 2.0, 3.0])], [5.0], [[5.0, 0.0, 0.0]]),
        ([sim.Handle.on_axis([1.0, 2.0, 3.0], axis=2)], [5.0], [[0.0, 0.0, 5.0]]),
        ([sim.Handle.in_plane([1.0, 2.0, 3.0], axes=(0, 2))], [5.0, 6.0], [[5.0, 0.0, 6.0]]),
        ([sim.Handle.in_space([1.0, 2.0, 3.0])], [5.0, 6.0, 7.0], [[5.0, 6.0, 7.0]]),
        ([sim.Handle([1.0, 2.0, 3.0], [[0.6, 0.0, 0.8]])], [5.0], [[3.0, 0.0, 4.0]]),
        (
            [sim.Handle.on_axis([1.0, 2.0, 3.0]), sim.Handle.in_plane([4.0, 5.0, 6.0])],
            [7.0, 8.0, 9.0],
            [[7.0, 0.0, 0.0], [8.0, 9.0, 0.0]],
        ),
    ],
)
def test_actions_move_handles_along_their_axes(handles, action, moved):
    system = build(handles=handles, springs=[])
    action = jnp.asarray(action)
    origin = np.asarray([handle.position for handle in handles])
    np.testing.assert_allclose(sim.handle_velocity(system, action), moved, rtol=1e-15)
    np.testing.assert_allclose(sim.handle_position(system, action), origin + moved, rtol=1e-15)


def refusal(make, **changes):
    with pytest.raises(InputError) as caught:
        make(**changes)
    return str(caught.value)


@pytest.mark.parametrize("field", ["stiffness", "rest_length", "slack_blend"])
@pytest.mark.parametrize("value", [0.0, -1.0, NAN, INFINITY, "long"])
def test_what_a_spring_must_have_is_positive_and_finite(field, value):
    message = refusal(build_spring, **{field: value})
    assert message == f"springs[1].{field} = {value!r}: must be a finite number, greater than 0"


@pytest.mark.parametrize("value", [-1.0, NAN, INFINITY])
def test_damping_and_drag_are_not_negative(value):
    message = refusal(build_spring, damping=value)
    assert message == f"springs[1].damping = {value!r}: must be a finite number, at least 0"
    assert refusal(build, drag=value).startswith("drag = ")
    assert refusal(build, drag=[0.0, value]) == (
        f"drag = {[0.0, value]!r}: must be finite numbers of shape (2,), at least 0"
    )


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, INFINITY])
def test_masses_and_time_step_are_positive_and_finite(value):
    assert refusal(build, mass=[1.0, value]) == (
        f"mass = {[1.0, value]!r}: must be finite numbers of shape (2,), greater than 0"
    )
    assert refusal(build, time_step=value) == f"time_step = {value!r}: must be a finite number, greater than 0"


@pytest.mark.parametrize("end", ["first", "second"])
@pytest.mark.parametrize("value", [-1, 3, 1.0, True, None])
def test_a_spring_joins_existing_points(end, value):
    assert refusal(build_spring, **{end: value}) == (
        f"springs[1].{end} = {value!r}: must be a whole number, at least 0 and at most 2"
    )


def test_a_spring_does_not_join_a_point_to_itself():
    assert refusal(build_spring, first=1) == ("springs[1] joins point 1 to itself: must join two different points")


def test_a_spring_does_not_join_two_handles():
    handles = [sim.Handle.in_space([0.0, 0.0, 0.0]), sim.Handle.in_space([1.0, 0.0, 0.0])]
    message = refusal(build, handles=handles, springs=[sim.Spring(0, 1, 100.0, 0.5)])
    assert message == ("springs[0] joins handles 0 and 1: at least one end must be a free point (indices 2 .. 3)")


@pytest.mark.parametrize("changes", [{"mass": [], "springs": []}, {"handles": []}])
def test_a_system_needs_points_and_handles(changes):
    assert "needs at least one of each" in refusal(build, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mass": [[1.0, 2.0]], "springs": []}, "mass has shape (1, 2): must have shape (1,)"),
        ({"drag": [0.1]}, "drag has shape (1,): must have shape (2,)"),
        ({"gravity": [0.0, -9.81]}, "gravity has shape (2,): must have shape (3,)"),
        ({"gravity": NAN}, "gravity = nan: must be a finite number"),
        ({"dimension": 4}, "dimension = 4: must be a whole number, at least 2 and at most 3"),
        ({"dimension": 1}, "dimension = 1: must be a whole number, at least 2 and at most 3"),
        ({"dimension": 2}, "handles[0].position has shape (3,): must have shape (2,)"),
        (
            {"handles": [sim.Handle([0.0, 0.0, 0.0], [[1.0, 0.0]])]},
            "handles[0].axes has shape (1, 2): must have shape (1, 3)",
        ),
        (
            {"handles": [sim.Handle([0.0, NAN, 0.0], [[1.0, 0.0, 0.0]])]},
            "handles[0].position = [0.0, nan, 0.0]: must be finite numbers of shape (3,)",
        ),
    ],
)
def test_shapes_are_named(changes, message):
    assert refusal(build, **changes) == message


def test_handles_that_cannot_move_are_refused():
    assert "handles" in refusal(build, handles=[sim.Handle([0.0, 0.0, 0.0], [])])


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("handle", ((2,), (2, 3), (2, 3))),
        ("position", ((3,), (3,), (2, 3))),
        ("velocity", ((3,), (2, 3), (1, 2, 3))),
    ],
)
def test_an_initial_state_has_the_shapes_of_its_system(name, shapes):
    expected = {"handle": (3,), "position": (2, 3), "velocity": (2, 3)}[name]
    got = dict(zip(("handle", "position", "velocity"), shapes, strict=True))[name]
    with pytest.raises(InputError) as caught:
        sim.initial_state(build(), *(jnp.zeros(shape) for shape in shapes))
    assert str(caught.value).startswith(f"{name} has shape {got}: must have shape {expected}")


def test_an_action_has_the_shape_of_its_system():
    system = build()
    state = sim.initial_state(system, jnp.zeros(3), jnp.ones((2, 3)), jnp.zeros((2, 3)))
    with pytest.raises(InputError, match=r"action has shape \(1, 3\): must have shape \(3,\)"):
        sim.step(system, state, jnp.zeros((1, 3)))
