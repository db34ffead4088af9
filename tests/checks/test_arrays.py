import jax
import numpy as np
import pytest

from pods_jax import checks
from pods_jax.checks import InputError


def refusal(check, *arguments, **options):
    with pytest.raises(InputError) as caught:
        check(*arguments, **options)
    return str(caught.value)


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


class TestScalars:
    def test_known_numbers_are_checked_and_traced_ones_by_their_shape(self):
        assert checks.scalar("mass", np.float32(2.0), above=0.0) == 2.0
        assert "greater than 0" in refusal(checks.scalar, "mass", 0.0, above=0.0)
        assert "greater than 0" in refusal(checks.scalars, "mass", [1.0, 0.0], (2,), above=0.0)
        built = jax.jit(lambda mass: checks.scalars("mass", [1.0, mass], (2,), above=0.0))(-1.0)
        np.testing.assert_array_equal(built, [1.0, -1.0])
        assert "mass has shape (2,)" in refusal(jax.jit(lambda mass: checks.scalar("mass", mass)), np.ones(2))

    def test_traced_ones_are_of_the_precision_that_is_switched_on(self):
        with jax.enable_x64(False):
            one = jax.jit(lambda mass: checks.scalar("mass", mass))(1.0)
            several = jax.jit(lambda mass: checks.scalars("mass", [mass], (1,)))(1.0)
        assert (one.dtype, several.dtype) == (np.float32, np.float32)

    def test_what_is_traced_is_told_from_what_is_known(self):
        assert not checks.is_traced(1.0, {"mass": np.ones(2)})
        assert jax.jit(lambda mass: checks.is_traced(1.0, {"mass": mass}) * 1)(2.0) == 1


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
