import pytest

from pods_jax import InputError, algorithms
from pods_jax.configuration import check
from pods_jax.reproduction import scales


@pytest.mark.parametrize("name", sorted(scales.SCALES))
def test_every_training_of_every_scale_is_a_valid_configuration(name):
    scale = scales.get(name)
    for row in (*scale.rows, scales.SHEET):
        for variant, settings in scales.variants(row).items():
            config = scales.configuration(scale, row, variant, seed=1)
            assert config["algorithm"]["name"] == settings["name"]
            if row in (scale.rows[0], scales.SHEET):  # the check makes the environment, which takes a while
                assert check(config).seed == 1


def test_every_algorithm_is_compared_and_variants_without_one_are_left_out():
    assert {settings["name"] for settings in scales.VARIANTS.values()} >= set(algorithms.names())
    shown = scales.variants(("pendulum_2d", "stop"))
    assert {settings["name"] for settings in shown.values()} == set(algorithms.names())


def test_the_registry_is_not_changed_by_asking():
    before = {name: dict(settings) for name, settings in scales.VARIANTS.items()}
    scales.configuration(scales.get("quick"), ("rope_3d", "stop"), "PODS 500", 0)
    assert before == scales.VARIANTS


def test_an_unknown_scale_names_the_closest():
    with pytest.raises(InputError, match="did you mean 'quick'"):
        scales.get("quik")
