"""Comparisons: the controls are always there, labels are counted, differences are paired."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from helpers.reading.comparison import (
    CE_LAST,
    CE_STOPPED,
    IN_SAMPLE,
    OUT_OF_SAMPLE,
    STOPPED,
    TO_THE_END,
    Stop,
    blind,
    compare_losses,
    compare_retraining,
    compare_scores,
    compare_steps,
    compare_stops,
    never,
    paired_difference,
    paired_difference_over_images,
    stops_to_compare,
    verdict_table,
    with_intervals,
)
from helpers.record import Record
from helpers.streams import random_stream


def some_errors(runs=6, times=9, name="errors"):
    return random_stream(0, name).random((runs, times))


def test_blind_reads_the_other_runs_only():
    error = some_errors()
    chosen = blind(error)
    for run in range(6):
        assert chosen[run] == np.delete(error, run, 0).mean(0).argmin()
    error[2] = 1 - error[2]  # whatever happens in a run, its own time stays
    assert blind(error)[2] == chosen[2]
    grouped = blind(error, groups=[0, 0, 1, 1, 2, 2])
    assert grouped[3] == error[[0, 1, 4, 5]].mean(0).argmin()
    with pytest.raises(ValueError, match="two runs"):
        blind(error[:1])


def test_stops_are_compared_with_blind_and_never_and_with_no_oracle():
    error, times = some_errors(), np.arange(9) * 10
    rules = [Stop("early", np.ones(6, int)), Stop("told", np.full(6, 2), knows_rate=True, noisy_labels=30)]
    found = compare_stops(error, times, rules)
    assert list(found.table.index) == ["blind", "never", "early", "told"] == list(found.costs)
    row = found.table.loc["told"]
    assert row["noisy labels"] == 30 and row["clean labels"] == 0 and row["knows rate"] and row["stops at"] == 20
    assert found.table.loc["early", "regret"] == pytest.approx(100 * (error[:, 1] - error.min(1)).mean())
    gap = 100 * (error[:, 2] - error[np.arange(6), blind(error)])
    assert row["minus blind"] == pytest.approx(gap.mean())
    assert row["minus blind ±"] == pytest.approx(t.ppf(0.975, 5) * gap.std(ddof=1) / 6**0.5)
    assert (found.table.loc["blind", ["minus blind", "minus blind ±"]] == 0).all()
    assert found.oracle == pytest.approx(100 * error.min(1)) and "oracle" not in found.table.index
    text = with_intervals(found.table).loc["told"]
    assert text["regret"] == f"{row['regret']:.1f} ± {row['regret ±']:.1f}" and "regret ±" not in text
    assert (error.argmin(1) != never(error)).any() and (never(error) == 8).all()


def test_names_that_are_taken_or_double_are_refused():
    error = some_errors()
    for names in (["blind"], ["oracle"], ["a", "a"]):
        with pytest.raises(ValueError, match="unlike names"):
            compare_stops(error, np.arange(9), [Stop(name, np.zeros(6, int)) for name in names])
    with pytest.raises(ValueError, match="of 6 runs"):
        compare_stops(error, np.arange(9), [Stop("a", np.zeros(5, int))])


def test_a_rule_with_runs_of_its_own_pays_for_training_on_fewer_samples():
    error, own = some_errors(), some_errors(name="fewer")
    rule = Stop("validation", own.argmin(1), noisy_labels=30, error=own, times=np.arange(9) / 2)
    found = compare_stops(error, np.arange(9), [rule])
    assert found.costs["validation"].to_numpy() == pytest.approx(100 * (own.min(1) - error.min(1)))


def test_runs_of_a_unit_are_averaged_before_the_interval():
    error, units = some_errors(), [0, 1, 2, 0, 1, 2]
    found = compare_stops(error, np.arange(9), [], units=units)
    cost = 100 * (error[:, -1] - error.min(1))
    assert found.costs["never"].to_numpy() == pytest.approx((cost[:3] + cost[3:]) / 2)
    assert len(found.oracle) == 3


def test_rules_that_validate_stop_the_runs_that_held_labels_out():
    rng = random_stream(0, "runs")
    y, y_obs = np.ones((3, 8)), np.tile([1, 1, 1, 1, 1, 1, -1, -1], (3, 1))
    full = Record(np.arange(5), y, y_obs, rng.standard_normal((3, 5, 8)), fresh_error=rng.random((3, 5)))
    less = Record(np.arange(5), y[:, 2:], y_obs[:, 2:], rng.standard_normal((3, 5, 6)), fresh_error=rng.random((3, 5)),
                  validation_error=rng.random((3, 5)), validation_observed_error=rng.random((3, 5)),
                  test_sizes={"validation": 2, "validation_observed": 2})
    rules = {rule.name: rule for rule in stops_to_compare(full, 0.25, less)}
    assert (rules["noisy validation"].chosen == less.validation_observed_error.argmin(1)).all()
    assert rules["noisy validation"].noisy_labels == 2 == rules["clean validation"].clean_labels
    assert rules["noisy validation"].error is less.fresh_error and rules["plateau"].error is None
    assert [name for name, rule in rules.items() if rule.knows_rate] == ["plateau"]


def test_paired_differences_know_the_pairs():
    a = some_errors()[0]
    mean, half = paired_difference(a + 0.1, a)
    assert mean == pytest.approx(0.1) and half == pytest.approx(0)
    with pytest.raises(ValueError, match="shape"):
        paired_difference(a, a[1:])


def test_the_interval_over_images_covers_the_difference():
    rng, covered = random_stream(0, "images"), 0
    for seed in range(100):
        both = rng.random((2, 400)) < np.array([[0.2], [0.15]])
        mean, low, high = paired_difference_over_images(*both, seed=seed)
        assert low <= mean <= high
        covered += low <= 0.05 <= high
    assert covered >= 88  # 95 in the mean, standard deviation 2.2
    same = rng.random((3, 400)) < 0.2
    assert paired_difference_over_images(same, same) == (0, 0, 0)


def test_retraining_losses_and_scores_demand_their_baselines():
    values = {name: some_errors(name=name)[0] for name in (TO_THE_END, STOPPED, "retrained", CE_LAST, CE_STOPPED, "ELR",
                                                           IN_SAMPLE, *OUT_OF_SAMPLE)}
    chosen = lambda *names: {name: values[name] for name in names}  # noqa: E731
    table = compare_retraining(chosen(TO_THE_END, STOPPED, "retrained"))
    assert table.loc["retrained", "minus stopped"] == pytest.approx(
        100 * (values["retrained"] - values[STOPPED]).mean())
    with pytest.raises(ValueError, match="missing: stopped, not retrained"):
        compare_retraining(chosen(TO_THE_END, "retrained"))
    with pytest.raises(ValueError, match="missing: cross-entropy, stopped by the same rule"):
        compare_losses(chosen(CE_LAST, "ELR"))
    with pytest.raises(ValueError, match="missing: cross-entropy with mixup"):
        compare_losses(chosen(CE_LAST, CE_STOPPED, "ELR"), ingredients=["mixup"])
    assert compare_losses(chosen(CE_LAST, CE_STOPPED, "ELR")).loc[CE_STOPPED, "minus stopped"] == 0
    with pytest.raises(ValueError, match="missing: confident learning"):
        compare_scores({name: values[name] for name in (IN_SAMPLE, *OUT_OF_SAMPLE) if name != "confident learning"})
    scores = compare_scores(chosen(IN_SAMPLE, *OUT_OF_SAMPLE))
    assert scores.loc[IN_SAMPLE, "value"] == pytest.approx(values[IN_SAMPLE].mean())


def test_steps_of_an_advantage_add_up():
    errors = {TO_THE_END: [0.3, 0.4, 0.35], STOPPED: [0.2, 0.25, 0.2], "selected": [0.18, 0.25, 0.19]}
    steps = compare_steps(errors)
    assert steps.share.sum() == pytest.approx(1) and list(steps.index) == [STOPPED, "selected"]
    assert steps.saves.sum() == pytest.approx(100 * (np.mean(errors[TO_THE_END]) - np.mean(errors["selected"])))
    with pytest.raises(ValueError, match="first"):
        compare_steps({"selected": [1.0], TO_THE_END: [1.0], STOPPED: [1.0]})
    assert isinstance(steps, pd.DataFrame)


@pytest.mark.parametrize(("mean", "holds"), [(2.0, (True, False, False, True)), (0.0, (False, False, True, True)),
                                             (-2.0, (False, True, True, False))])
def test_a_verdict_is_of_the_whole_interval(mean, holds):
    sides = ("above", "below", "not above", "not below")
    table = verdict_table({side: ((mean, 1.0), side, 0.0) for side in sides})
    assert tuple(table.holds) == holds
    assert table.loc["not below", "falsified if"] == "the interval is wholly below 0"
    with pytest.raises(ValueError, match="side"):
        verdict_table({"a": ((0.0, 1.0), "near", 0.0)})
