"""One cell of the comparison of rules and scores."""

import numpy as np
import pandas as pd
import pytest

from helpers.data.datasets import load_digits
from helpers.experiments import comparisons
from helpers.reading.comparison import IN_SAMPLE, OUT_OF_SAMPLE


@pytest.fixture
def few_digits(monkeypatch):
    monkeypatch.setattr(comparisons, "load_two_class_dataset", lambda: load_digits(n_train=200))


def test_a_cell_has_the_curve_the_rules_and_the_scores(few_digits):
    table = pd.DataFrame(comparisons.comparison_cell(0.2, 0, n_train=120, n_val=40, folds=2))
    kinds = {kind: part.set_index("method") for kind, part in table.groupby("kind")}
    assert set(kinds) == {"curve", "stop", "score"} and kinds["curve"].epoch.iloc[[0, -1]].tolist() == [0, 60]
    stops, scores = kinds["stop"], kinds["score"].value
    assert stops.noisy_labels["noisy validation"] == 40 == stops.clean_labels["clean validation"]
    assert {f"plateau, told {off:+g}" for off in comparisons.GUESSES} <= set(stops.index)
    assert stops.knows_rate["plateau"] and not stops.knows_rate["plateau, rate by nearest neighbours out of fold"]
    assert {IN_SAMPLE, *OUT_OF_SAMPLE} <= set(scores.index) and scores.between(0, 1).all()
    assert scores["nearest neighbours out of fold"] > 0.65
    assert np.isin(stops.epoch, kinds["curve"].epoch).all()
