"""Chapter 10: what it says of the recorded photographs."""

import numpy as np
import pytest

from helpers.reading.comparison import IN_SAMPLE, OUT_OF_SAMPLE, paired_difference
from helpers.sweeps.tables import load_table

RATES = (0.1, 0.2, 0.3, 0.4)
NETWORK, NEIGHBOURS, LINEAR, LEARNT, AREA = OUT_OF_SAMPLE


@pytest.fixture(scope="module")
def scores():
    rows = load_table("comparisons").table.query("kind == 'score'")
    return {rate: rows[rows.flip_rate == rate].pivot(index="seed", columns="method", values="value") for rate in RATES}


def minus_loss(found, name):
    assert len(found) == 10
    return paired_difference(found[name], found[IN_SAMPLE])


@pytest.mark.parametrize(("name", "above", "below"), [
    (NETWORK, [0.1, 0.2], [0.3, 0.4]), (LEARNT, [0.1, 0.2], [0.4]), (NEIGHBOURS, [], RATES),
    (LINEAR, [], [0.2, 0.3, 0.4]), (AREA, [], [0.2, 0.3, 0.4]), ("loss at the last epoch", [], RATES)])
def test_photographs_where_a_score_is_surely_above_or_below_the_loss_at_the_stop(scores, name, above, below):
    pairs = {rate: minus_loss(found, name) for rate, found in scores.items()}
    assert [rate for rate, (mean, half) in pairs.items() if mean - half > 0] == above
    assert [rate for rate, (mean, half) in pairs.items() if mean + half < 0] == list(below)


def test_photographs_sizes_of_the_differences(scores):
    near = [minus_loss(found, NEIGHBOURS)[0] for found in scores.values()]
    assert np.round([max(near), min(near)], 2).tolist() == [-0.13, -0.16]
    assert np.round([minus_loss(found, NETWORK)[0] for found in scores.values()], 2).tolist() == [
        0.04, 0.04, -0.01, -0.07]
    corrected = [(found[LEARNT] - found[NETWORK]).mean() for found in scores.values()]
    assert min(corrected) > 0 and max(corrected) < 0.01


def test_photographs_no_score_wins_at_each_rate(scores):
    best = [found.mean().idxmax() for found in scores.values()]
    assert best == [LEARNT, LEARNT, IN_SAMPLE, IN_SAMPLE]


def test_photographs_neighbours_are_the_worst_out_of_fold(scores):
    for found in scores.values():
        mean = found.mean()
        assert mean[NEIGHBOURS] < min(mean[NETWORK], mean[LINEAR])
        assert sum(paired_difference(found[NEIGHBOURS], found[NETWORK])) < 0
