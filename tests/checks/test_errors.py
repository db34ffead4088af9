import numpy as np
import pytest

from pods_jax import checks
from pods_jax.checks import InputError


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


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
