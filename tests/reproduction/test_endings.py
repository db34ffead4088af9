import pytest

from pods_jax.reproduction import claims, endings
from tests.records import make_record


def compare(ours, theirs, target="figure_8", quantity="terminal_kinetic_energy", best=None):
    """The claim of a figure about PODS and SAC, each ending with a number."""
    beside = {} if best is None else {"best": {quantity: best}}
    pair = [make_record(**{quantity: ours}) | beside, make_record("SAC", **{quantity: theirs}) | beside]
    (claim,) = claims.check(target, pair)
    return claim


@pytest.mark.parametrize(("energy", "holds"), [(0.011, True), (0.09, False)])
def test_orders_of_magnitude_of_kinetic_energy(energy, holds):
    claim = compare(energy, 0.11)
    assert claim.holds == holds
    assert claim.ours == f"{energy} (one seed) against 0.11 (one seed)"
    assert claim.reason == "not known"


def test_no_policy_is_asked_for_less_than_the_best_actions_take():
    asked_for_too_much = compare(0.5, 0.4, "figure_10", "action_magnitude", best=0.49)
    assert not asked_for_too_much.holds
    assert asked_for_too_much.ours == "0.5 (one seed) against 0.4 (one seed), the best actions 0.49"
    assert asked_for_too_much.reason == endings.NOT_ASKED_FOR
    assert compare(0.5, 0.4, "figure_10", "action_magnitude", best=0.39).reason == "not known"
    assert compare(0.401, 0.4, "figure_10", "action_magnitude").reason == "they differ by 0.25 %"


def test_there_is_a_claim_for_each_row_and_both_baselines():
    pods, sac, ppo = (make_record(name, action_magnitude=0.1) for name in ("PODS 500", "SAC", "PPO"))
    rows = [record | {"task": task} for task in ("stop", "stop_at_origin") for record in (pods, sac, ppo)]
    statements = [claim.statement for claim in claims.check("figure_10", rows)]
    assert len(set(statements)) == len(statements) == 4
