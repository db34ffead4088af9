import jax
import numpy as np
import pytest

from pods_jax import checks
from pods_jax.checks import InputError


def refusal(check, *arguments, **options):
    with pytest.raises(InputError) as caught:
        check(*arguments, **options)
    return str(caught.value)


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
