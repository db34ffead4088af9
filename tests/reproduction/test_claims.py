import pytest

from pods_jax.reproduction import claims, report
from pods_jax.visual.curves import sooner
from tests.records import make_record


def test_the_return_of_pods_is_compared_row_by_row_and_a_failure_says_why():
    records = [make_record(), make_record("SAC", (-20.0, -15.0, -11.0)), make_record("GPS", (-20.0, -9.0, -8.0))]
    against_sac, against_gps = claims.returns(records)
    assert against_sac.holds
    assert against_sac.paper == "-17 against -20"
    assert against_sac.ours == "-10 (one seed) against -11 (one seed)"
    assert not against_gps.holds
    assert "control phase" in against_gps.reason


def test_what_is_fine_tuned_is_compared_too_and_slack_cables_are_named():
    row = {"environment": "payload_2d", "task": "stop_at_origin"}
    records = [make_record(), make_record("PODS fine-tuned", (-20.0, -8.0)), make_record("PPO", (-20.0, -9.0))]
    plain, tuned = claims.returns([record | row for record in records])
    assert not plain.holds
    assert "slack" in plain.reason
    assert tuned.holds
    assert tuned.paper == "not compared"


def test_means_are_over_seeds_and_close_ones_are_said_to_be_close():
    ours = [make_record(seed=seed, returns=(-20.0, -12.0, last)) for seed, last in enumerate((-10.0, -10.2))]
    (claim,) = claims.returns([*ours, make_record("PPO", (-20.0, -12.0, -10.09))])
    assert not claim.holds
    assert claim.ours.startswith("-10.1 (+- 0.1, 2 seeds)")
    assert claim.reason == "they differ by 0.099 %"


def test_times_are_until_the_best_return_of_the_baseline():
    ours = make_record(returns=(-20.0, -12.0, -10.0), seconds=(0.0, 1.0, 2.0))
    slow = make_record("SAC", (-20.0, -11.0, -13.0), seconds=(0.0, 50.0, 100.0))
    assert sooner(ours, slow) == 25.0
    assert sooner(ours, make_record("GPS", (-20.0, -9.0, -8.0))) is None
    (claim,) = claims.times([ours, slow])
    assert claim.holds
    assert claim.paper == "44 times (whole training)"
    (never,) = claims.times([ours, make_record("GPS", (-20.0, -9.0, -8.0))])
    assert not never.holds
    assert never.ours == "never"


@pytest.mark.parametrize(("last", "holds"), [(-9.95, True), (-9.9, False)])
def test_a_setting_that_was_tried_and_is_better_shows(last, holds):
    records = [
        make_record("SAC (as it is)"),
        make_record("SAC (discount 1)", (-20.0, -12.0, last)),
        make_record("SAC (discount 0.95)", (-20.0, -12.0, -11.0)),
        make_record("PPO (as it is)"),  # nothing was tried
    ]
    (claim,) = claims.check("table_tuning", records)
    assert claim.holds == holds
    assert claim.ours == f"-10, of 2 others the best is {last:.5g}, SAC (discount 1)"


@pytest.mark.parametrize(("last", "holds"), [(-10.6, True), (-10.7, False)])
def test_a_baseline_that_gains_little_is_a_straw_man(last, holds):
    optimum = -9.0  # of the records; from -20 to it there are 11 to gain
    claim = claims.fair([make_record("SAC", (-20.0, -12.0, last)), make_record("GPS", (-20.0, -20.0, -20.0))])[0]
    assert claim.holds == holds
    assert claim.ours == f"{100 * (last + 20) / (optimum + 20):.1f} %"
    assert len(claims.fair([make_record("PPO"), make_record("SAC"), make_record("BPTT")])) == 2


def test_an_overview_shows_gaps_and_how_much_sooner_ours_is():
    ours = [make_record(seed=seed) for seed in range(3)]  # -12 after 1 s, -10 after 2 s; the optimum is -9
    slow = [make_record("SAC", (-20.0, -12.0, -11.0), (0.0, 25.0, 2503.0), seed) for seed in range(2)]
    slow += [make_record("SAC", (-20.0, -12.0, -9.5), (0.0, 25.0, 2503.0), 2)]
    better = [make_record("GPS", (-20.0, -9.5, -9.0), seed=seed) for seed in range(3)]
    other = make_record("PPO", (-20.0, -19.0, -18.0)) | {"task": "stop_at_origin"}
    lines = report.overview([*ours, *slow, *better, other], "PODS 500").splitlines()
    assert lines[0] == "| environment / task | best known | PODS 500 | SAC | GPS | PPO |"
    assert lines[2] == "| pendulum_2d / stop | -9 | 11.11 % | 16.67 %, 1250 x | 0.00 %, never |  |"
    assert lines[3] == "| pendulum_2d / stop_at_origin | -9 |  |  |  | 100.00 % |"


@pytest.mark.parametrize(("lowest", "holds"), [(-12.0, True), (-12.5, False)])
def test_a_return_that_falls_is_not_monotone(lowest, holds):
    (claim,) = claims.monotone([make_record(returns=(-20.0, -12.0, lowest, -10.0), seconds=(0, 1, 2, 3))])
    assert claim.holds == holds


def test_figure_3_asks_for_the_orders_and_the_spread_of_bptt():
    records = [make_record(seed=seed, returns=(-20.0, -12.0, last)) for seed, last in enumerate((-10.0, -10.1))]
    records += [make_record("BPTT", (-20.0, -15.0, last), seed=seed) for seed, last in enumerate((-11.0, -19.0))]
    records += [make_record("first order", (-20.0, -18.0, -17.0))]
    assert [claim.holds for claim in claims.orders(records)] == [True, True, True]


def test_batches_of_the_sheet_are_compared_at_the_same_number_of_steps():
    small, large = make_record("PODS 12", (-20.0, -9.0, -8.0)), make_record("PODS 24", (-20.0, -15.0, -7.0))
    large["steps"] = [0, 200, 400]
    (claim,) = claims.sheet([large, small])
    assert claim.holds
    assert claim.ours == "-8 (one seed) against -15 (one seed)"


def test_every_target_survives_records_of_one_variant():
    assert all(claim.holds for target in claims.CLAIMS for claim in claims.check(target, [make_record()]))


def test_text_has_a_line_for_each_claim_and_variant():
    assert report.markdown([report.Claim("a", "b", "c", False, "d")]).splitlines()[2] == "| a | b | c | **no** | d |"
    assert report.markdown([report.Claim("a", "b", "c", True, "d")]).splitlines()[2] == "| a | b | c | yes |  |"
    lines = report.table([make_record(returns=(-20.0, -9.1, -10.0)), make_record(seed=1)]).splitlines()
    cells = "-10 (+- 0, 2 seeds) | 11.11 % (11.11 %) | 1, - | 9.89 % | 200 | 2, 5"
    assert lines[2:] == [f"| pendulum_2d / stop | PODS 500 | {cells} |"]
