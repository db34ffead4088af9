import jax
import numpy as np
import pytest

from pods_jax import checks
from pods_jax.checks import InputError


def refusal(check, *arguments, **options):
    with pytest.raises(InputError) as caught:
        check(*arguments, **options)
    return str(caught.value)


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


class TestNumber:
    @pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
    def test_numbers_become_floats(self, value):
        result = checks.number("mass", value, above=0.0)
        assert result == 2.0
        assert type(result) is float

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, "2", None, [2.0], 2j])
    def test_what_is_not_a_finite_number_is_refused(self, value):
        assert refusal(checks.number, "mass", value) == f"mass = {value!r}: must be a finite number"

    def test_the_lower_limits(self):
        assert checks.number("damping", 0, at_least=0.0) == 0.0
        message = refusal(checks.number, "damping", -1e-9, at_least=0.0)
        assert message == "damping = -1e-09: must be a finite number, at least 0"
        message = refusal(checks.number, "mass", 0.0, above=0.0)
        assert message == "mass = 0.0: must be a finite number, greater than 0"


class TestInteger:
    @pytest.mark.parametrize("value", [1, 3, np.int32(2), np.uint8(2)])
    def test_whole_numbers_are_accepted(self, value):
        result = checks.integer("horizon", value, at_least=1, at_most=3)
        assert result == value
        assert type(result) is int

    @pytest.mark.parametrize("value", [0, 4, 2.0, 2.5, True, "2", None, float("nan")])
    def test_anything_else_is_refused(self, value):
        message = refusal(checks.integer, "horizon", value, at_least=1, at_most=3)
        assert message == f"horizon = {value!r}: must be a whole number, at least 1 and at most 3"

    def test_without_an_upper_limit(self):
        assert checks.integer("horizon", 10**9, at_least=1) == 10**9
        assert refusal(checks.integer, "horizon", 0, at_least=1) == "horizon = 0: must be a whole number, at least 1"


class TestSeed:
    @pytest.mark.parametrize("value", [0, 2**32 - 1])
    def test_the_ends_of_the_range_are_accepted(self, value):
        assert checks.seed("seed", value) == value

    @pytest.mark.parametrize("value", [-1, 2**32, 1.0])
    def test_outside_is_refused(self, value):
        assert f"seed = {value!r}" in refusal(checks.seed, "seed", value)

    def test_outside_the_range_jax_would_silently_take_another_seed(self):
        with jax.enable_x64(False):
            wrapped, first = (jax.random.key_data(jax.random.key(seed)) for seed in (2**32, 0))
        np.testing.assert_array_equal(wrapped, first)


class TestChoice:
    VALID = ("pendulum_2d", "pendulum_3d", "double_pendulum_3d")

    def test_a_valid_name_is_returned(self):
        assert checks.choice("env.name", "pendulum_3d", self.VALID) == "pendulum_3d"

    @pytest.mark.parametrize(
        ("value", "closest"),
        [("pendulm_2d", "pendulum_2d"), ("pendulum3d", "pendulum_3d"), ("double_pendulum", "double_pendulum_3d")],
    )
    def test_a_misspelling_is_answered_with_the_closest_name(self, value, closest):
        message = refusal(checks.choice, "env.name", value, self.VALID)
        assert message.startswith(f"env.name = {value!r}: did you mean {closest!r}?")
        assert message.endswith("must be one of pendulum_2d, pendulum_3d, double_pendulum_3d")

    @pytest.mark.parametrize("value", ["xyz", "", None, 3])
    def test_without_resemblance_there_is_no_guess(self, value):
        message = refusal(checks.choice, "env.name", value, self.VALID)
        assert message == f"env.name = {value!r}: must be one of pendulum_2d, pendulum_3d, double_pendulum_3d"

    def test_names_may_come_from_an_iterator(self):
        assert "must be one of a, b" in refusal(checks.choice, "letter", "z", iter("ab"))


class TestArray:
    def test_lists_become_float_arrays(self):
        result = checks.array("mass", [1, 2], (2,), above=0.0)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, [1.0, 2.0])

    @pytest.mark.parametrize("value", [[1.0, float("nan")], [1.0, float("inf")], [1.0, 0.0], [1.0, -2.0]])
    def test_bad_entries_are_refused(self, value):
        message = refusal(checks.array, "mass", value, (2,), above=0.0)
        assert message == f"mass = {value!r}: must be finite numbers of shape (2,), greater than 0"

    @pytest.mark.parametrize("value", [["a", "b"], [[1.0], [1.0, 2.0]], {}])
    def test_what_is_not_an_array_of_numbers_is_refused(self, value):
        assert "mass = " in refusal(checks.array, "mass", value, (2,))

    @pytest.mark.parametrize("value", [1.0, [1.0], [[1.0, 2.0]], []])
    def test_another_shape_is_refused(self, value):
        message = refusal(checks.array, "mass", value, (2,))
        assert message == f"mass has shape {np.shape(value)}: must have shape (2,)"

    def test_the_lower_limit_may_be_included(self):
        checks.array("drag", [0.0], (1,), at_least=0.0)
        assert "at least 0" in refusal(checks.array, "drag", [-1.0], (1,), at_least=0.0)


class TestShape:
    def test_the_expected_shape_passes(self):
        checks.shape("action", np.zeros(3), (3,))

    @pytest.mark.parametrize("value", [np.zeros(2), np.zeros((1, 3)), 0.0])
    def test_both_shapes_and_the_cure_are_named(self, value):
        message = refusal(checks.shape, "action", value, (3,))
        assert message.startswith(f"action has shape {np.shape(value)}: must have shape (3,)")
        assert "jax.vmap" in message

    def test_it_works_while_tracing(self):
        def check(action):
            checks.shape("action", action, (3,))
            return action

        jax.jit(check)(np.zeros(3))
        with pytest.raises(InputError, match=r"shape \(2,\)"):
            jax.jit(check)(np.zeros(2))


class TestInputError:
    def test_it_keeps_field_value_and_what_is_allowed(self):
        error = InputError("seed", -1, "must be at least 0")
        assert str(error) == "seed = -1: must be at least 0"
        assert (error.field, error.value, error.allowed) == ("seed", -1, "must be at least 0")

    def test_a_single_message_belongs_to_no_field(self):
        error = InputError("nothing is left: to train")
        assert str(error) == error.allowed == "nothing is left: to train"
        assert (error.field, error.value) == ("", None)

    @pytest.mark.parametrize(
        ("check", "value", "options"),
        [
            (checks.number, "x", {}),
            (checks.integer, 0, {"at_least": 1}),
            (checks.boolean, 1, {}),
            (checks.seed, -1, {}),
            (checks.choice, "c", {"valid": "ab"}),
            (checks.array, [1.0], {"shape": (2,)}),
            (checks.array, ["a"], {"shape": (1,)}),
            (checks.sizes, 3, {}),
            (checks.shape, np.zeros(2), {"expected": (3,)}),
            (checks.like, np.zeros(2), {"expected": (np.zeros(2),)}),
        ],
    )
    def test_every_check_raises_the_structured_form(self, check, value, options):
        with pytest.raises(InputError) as caught:
            check("field", value, **options)
        error = caught.value
        assert error.field == "field"
        assert error.value is value
        assert error.allowed
        assert str(error).endswith(f": {error.allowed}")


class TestKey:
    def test_a_typed_key_is_returned_also_while_tracing(self):
        key = jax.random.key(3)
        assert checks.key("key", key) is key
        jax.jit(lambda key: jax.random.key_data(checks.key("key", key)))(key)

    @pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
    def test_other_implementations_are_keys_too(self, impl):
        key = jax.random.key(3, impl=impl)
        assert checks.key("key", key) is key

    @pytest.mark.parametrize("as_numpy", [False, True])
    def test_a_key_of_the_old_kind_draws_what_the_typed_one_does(self, as_numpy):
        old = jax.random.PRNGKey(3)
        key = checks.key("key", np.asarray(old) if as_numpy else old)
        assert jax.random.uniform(key) == jax.random.uniform(jax.random.key(3))

    @pytest.mark.parametrize("value", [np.zeros(3, np.uint32), np.zeros((4, 2), np.uint32)])
    def test_another_shape_of_the_old_kind_is_refused(self, value):
        assert f"key is of the old kind and has shape {value.shape}: must be one" in refusal(checks.key, "key", value)

    @pytest.mark.parametrize("value", [0, np.int64(0), None, "0", np.zeros(2, np.int32), np.zeros(2)])
    def test_anything_else_is_refused_with_the_cure(self, value):
        message = refusal(checks.key, "key", value)
        assert message == f"key = {value!r}: must be one random key, for example jax.random.key(0)"

    def test_several_are_not_one(self):
        message = refusal(checks.key, "key", jax.random.split(jax.random.key(0), 2))
        assert message.startswith("key has shape (2,): must be one random key")
        assert "jax.vmap" in message


class TestInstance:
    def test_the_type_and_the_cure_are_named(self):
        assert checks.instance("size", 3, int, "3") == 3
        message = refusal(checks.instance, "size", "three", int, "3")
        assert message == "size is of type str: must be of type int, for example 3"


class TestFunctions:
    def test_a_list_becomes_a_tuple(self):
        assert checks.functions("callbacks", [print, len]) == (print, len)
        assert checks.functions("callbacks", ()) == ()

    @pytest.mark.parametrize("value", [print, None, 3])
    def test_what_is_no_list_is_refused(self, value):
        assert "must be a list of functions, for example callbacks=[print]" in refusal(
            checks.functions, "callbacks", value
        )

    def test_what_is_no_function_is_named(self):
        assert refusal(checks.functions, "callbacks", [print, 3]) == "callbacks[1] = 3: must be a function"


def test_what_is_given_back_is_what_python_itself_would_have():
    assert type(checks.seed("seed", np.uint32(7))) is int
    assert type(checks.boolean("search", np.True_)) is bool
    assert type(checks.choice("name", np.str_("a"), ("a", "b"))) is str
    assert [type(size) for size in checks.sizes("sizes", [np.int64(3)])] == [int]
    point = np.zeros(3)
    assert checks.shape("point", point, (3,)) is point
    assert checks.like("point", point, point) is point
