"""The recorded stopping rules, on numbers that can be reckoned by hand."""

import pandas as pd
import pytest

from helpers.experiments.comparison_tables import ELSEWHERE, compare_recorded_stops
from helpers.reading.comparison import paired_difference

CURVES = {(0.1, 0): (0.5, 0.2, 0.3), (0.1, 1): (0.5, 0.3, 0.2), (0.1, 2): (0.5, 0.1, 0.4),
          (0.4, 0): (0.4, 0.5, 0.5), (0.4, 1): (0.3, 0.5, 0.5), (0.4, 2): (0.4, 0.5, 0.5)}


def recorded():
    rows = []
    for (rate, seed), errors in CURVES.items():
        cell = {"seed": seed, "flip_rate": rate}
        rows += [cell | {"kind": "curve", "method": "", "epoch": 2.0 * k, "value": error}
                 for k, error in enumerate(errors)]
        stop = cell | {"kind": "stop", "clean_labels": 0, "noisy_labels": 0, "knows_rate": False}
        rows += [stop | {"method": "plateau", "epoch": 4.0, "value": errors[2], "knows_rate": True},
                 stop | {"method": "noisy validation", "epoch": 2.0, "value": 0.25 + 0.01 * seed, "noisy_labels": 7},
                 cell | {"kind": "score", "method": "a score", "value": 0.8}]
    return pd.DataFrame(rows)


def test_rules_are_paired_with_blind_and_keep_what_they_read():
    found = compare_recorded_stops(recorded().sample(frac=1, random_state=0), 0.1)
    # leaving out seed 2 the two others tie between the second and the third epoch: the first of them
    assert found.costs["blind"].tolist() == pytest.approx([0, 10, 0])
    assert found.oracle.tolist() == pytest.approx([20, 20, 10])
    assert found.costs["never"].tolist() == found.costs["plateau"].tolist() == pytest.approx([10, 0, 30])
    assert found.costs["noisy validation"].tolist() == pytest.approx([5, 6, 17])
    row = found.table.loc["noisy validation"]
    assert (row["noisy labels"], row["clean labels"], row["knows rate"], row["stops at"]) == (7, 0, False, 2)
    assert found.table.loc["plateau", "knows rate"] and found.table.loc["plateau", "stops at"] == 4
    assert (row["minus blind"], row["minus blind ±"]) == pytest.approx(paired_difference([5, 6, 17], [0, 10, 0]))


def test_the_second_control_has_seen_the_other_rates_only():
    assert compare_recorded_stops(recorded(), 0.1).costs[ELSEWHERE].tolist() == pytest.approx([30, 30, 40])  # epoch 0
    assert compare_recorded_stops(recorded(), 0.4).table.loc[ELSEWHERE, "stops at"] == 2


def test_a_damaged_recording_is_refused():
    table = recorded()
    with pytest.raises(ValueError, match="flip_rate"):
        compare_recorded_stops(table, 0.2)
    with pytest.raises(ValueError, match="column"):
        compare_recorded_stops(table.drop(columns="epoch"), 0.1)
    with pytest.raises(ValueError, match="two flip rates"):
        compare_recorded_stops(table[table.flip_rate == 0.1], 0.1)
    with pytest.raises(ValueError, match="one error for each seed and epoch"):
        compare_recorded_stops(table.drop(index=0), 0.1)
    with pytest.raises(ValueError, match="one error for each seed and epoch"):
        compare_recorded_stops(pd.concat([table, table.iloc[:1]]), 0.1)
    rule = table.index[(table.method == "plateau") & (table.flip_rate == 0.1)]
    with pytest.raises(ValueError, match=r"plateau.*one recorded epoch for each seed"):
        compare_recorded_stops(table.drop(index=rule[0]), 0.1)
    table.loc[rule[0], "value"] = 0.123
    with pytest.raises(ValueError, match=r"plateau.*error of the common runs"):
        compare_recorded_stops(table, 0.1)
