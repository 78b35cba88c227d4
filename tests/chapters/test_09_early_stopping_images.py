"""Chapter 9: what it says of the recorded photographs."""

import numpy as np
import pytest

from helpers.experiments.comparison_tables import ELSEWHERE, compare_recorded_stops
from helpers.reading.comparison import BLIND, paired_difference
from helpers.sweeps.tables import load_table

RATES = (0.1, 0.2, 0.3, 0.4)
BY_ITSELF = ("deepest misfit", "widest losses", "clearest split", "first lull")


@pytest.fixture(scope="module")
def photographs():
    table = load_table("comparisons").table
    return {rate: compare_recorded_stops(table, rate) for rate in RATES}


def difference(found, name, base=BLIND):
    return paired_difference(found.costs[name], found.costs[base])


def above(found, name):
    mean, half = difference(found, name)
    return mean - half > 0


def test_photographs_no_rule_is_surely_below_blind(photographs):
    for found in photographs.values():
        assert len(found.costs) == 10 and len(found.costs.columns) == 18
        assert all(sum(difference(found, name)) >= 0 for name in found.costs)
        assert (found.costs >= 0)[[BLIND, "never", ELSEWHERE, *BY_ITSELF]].all(axis=None)  # no stop below the oracle


def test_photographs_the_epoch_from_other_rates_does_as_well(photographs):
    assert not any(above(found, ELSEWHERE) for found in photographs.values())
    assert all(above(found, "never") for found in photographs.values())


@pytest.mark.parametrize(("name", "where"), [
    ("clean validation", [0.1]), ("noisy validation", [0.1, 0.4]), ("plateau", [0.1, 0.2]),
    ("plateau, rate by network out of fold", [0.4]), ("plateau, rate by nearest neighbours out of fold", RATES),
    ("plateau, rate by linear model out of fold", RATES), ("plateau, told -0.05", RATES),
    ("plateau, told -0.1", RATES)])
def test_photographs_where_a_rule_is_surely_above_blind(photographs, name, where):
    assert [rate for rate in RATES if above(photographs[rate], name)] == list(where)


def test_photographs_rules_that_see_only_the_training_run_are_above_in_15_of_16_cases(photographs):
    assert sum(above(found, name) for found in photographs.values() for name in BY_ITSELF) == 15


def test_photographs_what_a_wrong_guess_of_the_rate_does(photographs):
    low = [difference(found, f"plateau, told {off}")[0] for found in photographs.values() for off in ("-0.05", "-0.1")]
    assert 4.5 < min(low) and max(low) < 10.5  # "five to ten points"
    high = {rate: difference(found, "plateau, told +0.05", "plateau") for rate, found in photographs.items()}
    assert [rate for rate in RATES if sum(high[rate]) < 0] == [0.1, 0.2, 0.3]
    assert round(difference(photographs[0.4], "plateau, told +0.1")[0]) == 22


def test_photographs_what_the_estimates_cost(photographs):
    near, linear = ([difference(found, f"plateau, rate by {model} out of fold")[0] for found in photographs.values()]
                    for model in ("nearest neighbours", "linear model"))
    assert np.round([min(near), max(near)]).tolist() == [3, 12]
    assert round(min(linear)) == 3 and 14 < max(linear) < 15
    assert round(difference(photographs[0.4], "plateau, rate by network out of fold")[0], 1) == 7.6


def test_photographs_labels_that_the_rules_read(photographs):
    table = photographs[0.2].table
    assert table["clean labels"].loc["clean validation"] == 600 == table["noisy labels"].loc["noisy validation"]
    assert set(table.index[table["knows rate"]]) == {"plateau", *(f"plateau, told {off}" for off in
                                                                  ("-0.1", "-0.05", "+0.05", "+0.1"))}
