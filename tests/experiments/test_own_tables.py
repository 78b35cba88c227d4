"""Tables made of recorded comparisons, on numbers that can be reckoned by hand."""

import numpy as np
import pandas as pd
import pytest

from helpers.experiments.own_data import AREA, CLEANLAB, CLEANLAB_MEAN, COMBINED, LOSS, NETWORK
from helpers.experiments.own_tables import BEST, compare_cleaning, compare_flip_rates, compare_rankings
from helpers.intervals import t_interval

OFFSETS = {LOSS: -0.3, NETWORK: -0.1, AREA: -0.2, CLEANLAB: -0.1, CLEANLAB_MEAN: 0.02, COMBINED: 0.0}
ERRORS = {"trained to the end": 0.3, "stopped, not retrained": 0.2, "combined dropped": 0.1, "cleanlab dropped": 0.15}


def recorded():
    rows = []
    for dataset in ("a", "b"):
        for seed, wobble in enumerate((0.0, 0.01, 0.05)):
            cell = {"dataset": dataset, "rate": 0.2, "seed": seed, "flip_rate": 0.2 + wobble}
            rows += [cell | {"part": "ranking", "method": name, "auc": 0.9 + offset + wobble * (name == COMBINED),
                             "precision": 0.5} for name, offset in OFFSETS.items()]
            rows += [cell | {"part": "cleaning", "method": name, "error": error + wobble, "changed": 10,
                             "changed_wrong": 0.8} for name, error in ERRORS.items()]
            rows += [cell | {"part": "rate", "method": "posterior", "estimate": 0.25, "low": 0.24, "high": 0.26}]
    return pd.DataFrame(rows)


def test_rankings_are_paired_and_the_best_single_is_the_one_of_the_highest_mean():
    found = compare_rankings(recorded())
    assert found.dataset.unique().tolist() == ["a", "b"] and len(found) == 12
    first = found.iloc[0]
    mean, half = t_interval([0.1, 0.11, 0.15])
    assert first.against == BEST and first.which == NETWORK
    assert (first.difference, first.low, first.high) == pytest.approx((mean, mean - half, mean + half))
    assert first.combined - first.other == pytest.approx(first.difference)
    flat = compare_rankings(recorded(), measure="precision")
    assert np.allclose(flat.difference, 0)


def test_cleaning_differs_from_no_cleaning_and_from_cleanlab():
    found = compare_cleaning(recorded()).set_index(["dataset", "method"])
    one = found.loc["a", "combined dropped"]
    assert one["minus stopped"] == pytest.approx(-0.1) and one["minus cleanlab"] == pytest.approx(-0.05)
    assert one["minus stopped, low"] == pytest.approx(-0.1)
    assert (one.changed, one.changed_wrong) == pytest.approx((10, 0.8))
    assert found.loc["a", "cleanlab dropped"]["minus cleanlab"] == 0  # from itself


def test_flip_rates_have_bias_and_coverage():
    found = compare_flip_rates(recorded())
    assert found.method.tolist() == ["posterior"] * 2
    assert found.difference.tolist() == pytest.approx([0.25 - 0.22] * 2)
    assert found.covered.tolist() == pytest.approx([1 / 3] * 2)


def test_a_table_with_a_missing_value_or_column_is_refused():
    table = recorded()
    holed = table.drop(index=table.index[(table.seed == 1) & (table.method == COMBINED)][0])
    with pytest.raises(ValueError, match="one auc for each seed"):
        compare_rankings(holed)
    with pytest.raises(ValueError, match="column"):
        compare_flip_rates(table.drop(columns="seed"))
    with pytest.raises(ValueError, match="measure"):
        compare_rankings(table, measure="recall")
