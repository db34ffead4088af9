import pytest
from flax.traverse_util import flatten_dict

from configs import pods as pods_config
from configs import rope
from pods_jax import InputError, algorithms, envs
from pods_jax.reproduction import scales, tuning
from pods_jax.runs.configuration import check, merged


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(scales.SCALES))
def test_every_training_of_every_scale_is_a_valid_configuration(name):
    scale = scales.get(name)
    for row in (*scale.rows, scales.SHEET):
        for variant, settings in scales.variants(row).items():
            config = scales.configuration(scale, row, variant, seed=1)
            assert config["algorithm"]["name"] == settings["name"]
            # The check makes the environment, which takes a while; settings of the others are checked below.
            if row in (scale.rows[0], scales.SHEET) and variant not in scales.TUNING:
                assert check(config).seed == 1


@pytest.mark.parametrize("variant", scales.TUNING)
def test_settings_that_are_tried_are_valid_and_differ_in_one_from_the_usual(variant):
    baseline = variant.split(" (")[0]
    settings, usual = (
        flatten_dict(merged(algorithms.settings(s["name"]), s))
        for s in (scales.TUNING[variant], scales.VARIANTS[baseline])
    )
    differ = [name for name in settings if settings[name] != usual[name]]
    assert len(differ) == (tuning.AS_IT_IS not in variant)
    assert algorithms.make(env=envs.make("pendulum_2d"), **scales.TUNING[variant]).env.name == "pendulum_2d"
    scale = scales.get("cpu")
    config, whole = (scales.configuration(scale, scale.rows[0], name, 0) for name in (variant, baseline))
    assert 0.25 * whole["num_epochs"] < config["num_epochs"] < 0.4 * whole["num_epochs"]
    assert config["num_epochs"] % config["evaluate_every"] == 0


@pytest.mark.parametrize(("row", "config"), [(("rope_3d", "stop"), rope), (("pendulum_3d", "stop"), pods_config)])
def test_pods_is_compared_with_the_settings_that_users_are_given(row, config):
    given = config.get_config().algorithm.to_dict() | {"batch_size": 500}
    compared = scales.configuration(scales.get("cpu"), row, "PODS 500", 0)["algorithm"]
    assert merged(algorithms.settings("pods"), compared) == given


@pytest.mark.parametrize("environment", scales.IN_SPACE)
def test_what_is_chosen_for_an_environment_yields_to_what_makes_a_variant(environment):
    scale, row = scales.get("cpu"), (environment, "stop")
    as_printed = scales.configuration(scale, row, "Algorithm 1", 0)["algorithm"]
    usual, as_it_is, tried = (
        scales.configuration(scale, row, variant, 0)["algorithm"]
        for variant in ("SAC", f"SAC ({tuning.AS_IT_IS})", "SAC (loss.discount 0.99)")
    )
    assert as_printed["regression"]["gradient_steps"] == 50
    assert usual == as_it_is
    assert (usual["loss"]["discount"], tried["loss"]["discount"]) == (0.95, 0.99)


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
