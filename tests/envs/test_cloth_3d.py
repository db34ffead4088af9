import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError


@pytest.mark.slow
def test_the_default_sheet_has_a_state_of_162_numbers():
    env = envs.make("cloth_3d")
    assert (env.observation_size, env.action_size, env.parameters.system.num_points) == (162, 6, 26)
    assert len(env.parameters.system.springs.ends) == 45 + 36 + 34  # structural, shear, bending


@pytest.mark.slow
def test_it_hangs_above_the_table_and_is_to_lie_flat_on_it():
    payload = envs.make("cloth_3d").parameters
    assert np.min(payload.start_position[:, 2]) > 0.02
    target = np.asarray(payload.rest_position)
    np.testing.assert_array_equal(target[:, 2], 0.0)
    assert np.ptp(target[:, 0]) == pytest.approx(0.3)
    assert np.ptp(target[:, 1]) == pytest.approx(0.6)


@pytest.mark.slow
def test_grid_and_held_corners_are_settings():
    env = envs.make("cloth_3d", rows=3, columns=3, held=((0, 0), (0, 2), (2, 1 + 1)))
    assert (env.action_size, env.parameters.system.num_points) == (9, 6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held": ((0, 0), (0, 4))}, "held[1] = (0, 4): must be a different corner of the sheet, one of"),
        ({"held": ((0, 0), (0, 0))}, "held[1] = (0, 0): must be a different corner"),
        ({"held": ()}, "held = (): must list at least one corner"),
        ({"rows": 1}, "rows = 1: must be a whole number, at least 2"),
        ({"friction": -0.5}, "friction = -0.5: must be a finite number, at least 0"),
        ({"spacing": 0.0}, "spacing = 0.0"),
        ({"material": (0.0, 300.0, 0.5, 0.02)}, "mass = "),
        ({"material": (0.02, 300.0)}, "material has shape (2,)"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        envs.make("cloth_3d", **settings)
    assert message in str(caught.value)
