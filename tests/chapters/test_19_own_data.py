"""Chapter 19: what a contradiction counts, and the table to decide by."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from helpers.data.label_noise import flip_labels
from helpers.experiments.decisions import NEEDS, NOT_RUN, SETS, STOPPED, WHAT, decision_table
from helpers.experiments.own_data import CLEANLAB, COMBINED
from helpers.experiments.own_tables import BEST, compare_cleaning, compare_rankings
from helpers.streams import random_stream
from helpers.sweeps.tables import load_table

TABLES = ("own_data", "own_human", "loss_distributions", "deep_networks")


def shares(y, observed, predicted):
    """Contradicted, wrong, clean missed and wrong fitted, as numbers of samples."""
    wrong, contradicted = y != observed, predicted != observed
    return contradicted.sum(), wrong.sum(), (contradicted & ~wrong).sum(), (~contradicted & wrong).sum()


@pytest.mark.statement("prop-rate-estimates")
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 40))
def test_prop_rate_estimates_is_an_identity(seed, k, n):
    y, observed, predicted = random_stream(seed, "labels").integers(0, k, (3, n))
    contradicted, wrong, missed, fitted = shares(y, observed, predicted)
    assert contradicted == wrong + missed - fitted
    assert (contradicted >= wrong) == (fitted <= missed)
    assert shares(y, observed, observed)[0] == 0  # memorised


@pytest.mark.statement("prop-rate-estimates")
@pytest.mark.parametrize(("k", "rate"), [(2, 0.2), (3, 0.4), (10, 0.4), (10, 0.85)])
@pytest.mark.parametrize("errors", [0.0, 0.3, 0.9])
def test_prop_rate_estimates_under_symmetric_noise(k, rate, errors):
    n = 400_000
    rng = random_stream(k, "rule")
    y = rng.integers(0, k, n)
    predicted = np.where(rng.random(n) < errors, (y + 1) % k, y)  # fixed before the labels are drawn
    observed = flip_labels(y, rate, seed=1, classes=np.arange(k))
    e = np.mean(predicted != y)
    expected = rate + e * (1 - k * rate / (k - 1))
    assert expected >= rate
    # a mean of n independent zeros and ones: five standard deviations
    assert abs(np.mean(predicted != observed) - expected) < 5 * 0.5 / n**0.5


def tables():
    return [load_table(name).table for name in TABLES]


def test_the_decision_table_has_no_empty_cell():
    found = decision_table(*tables())
    assert list(found.index) == list(NEEDS) and not found.isna().any(axis=None) and (found != "").all(axis=None)
    run = found[list(SETS)] != NOT_RUN
    assert run.any(axis=1).all() and run.any(axis=0).all()


def test_the_decision_table_computes_its_numbers_from_the_runs():
    own, human, losses, deep = tables()
    before = decision_table(own, human, losses, deep)
    own = own.copy()
    own.loc[(own.part == "cleaning") & (own.method == "trained to the end"), "error"] += 0.1
    changed = before != decision_table(own, human, losses, deep)
    assert changed.loc[(WHAT, "never"), "digits"] and changed.sum().sum() == 2  # the digits and the two tables
    assert before.loc[(WHAT, STOPPED), list(SETS)].eq("0, by definition").all()


def averaged(table):
    """Means over the rates, for each data set, seed and method."""
    if "rate" not in table:
        return table
    groups = table.groupby(["dataset", "seed", "part", "method"], sort=False)
    return groups.mean(numeric_only=True).drop(columns="rate").reset_index()


@pytest.mark.statement("obs-own-data")
@pytest.mark.parametrize("name", TABLES[:2])
def test_obs_own_data_rankings(name):
    found = compare_rankings(averaged(load_table(name).table)).set_index("against")
    assert (found.loc[BEST].high >= 0).all() and (found.loc[CLEANLAB].low > 0).all()


@pytest.mark.statement("obs-own-data")
def test_obs_own_data_cleaning():
    own, human = (compare_cleaning(averaged(load_table(name).table)) for name in TABLES[:2])
    own = own[~own.method.isin(["trained to the end", STOPPED])]
    helped = own[(own.method == "combined relabelled") & (own["minus stopped, high"] < 0)]
    assert helped.dataset.tolist() == ["digits, symmetric", "digits, pair"]
    others = pd.concat([own[~own.dataset.str.startswith("digits")],
                        human[~human.method.isin(["trained to the end", STOPPED])]])
    assert len(others) == 16 and ((others["minus stopped, low"] < 0) & (others["minus stopped, high"] > 0)).all()


def test_the_combined_ranking_is_in_every_recorded_cell():
    for table, keys in zip(tables()[:2], (["dataset", "rate", "seed"], ["kind", "seed"])):
        ranks = table[table.part == "ranking"]
        assert ranks.groupby(keys).method.apply(lambda names: (names == COMBINED).sum()).eq(1).all()
