"""Rows of features, no test set, no known truth, and the weights kept where validation says to stop."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from columns import SHORT, small_cnn
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from helpers.data.images import LabelledFeatures
from helpers.data.subsets import hold_out
from helpers.training.batches import standardise
from helpers.training.cross_validation import out_of_fold
from helpers.training.loop import fit
from helpers.training.models import SmallCNN
from helpers.training.predictions import class_probabilities


def rows(n=90):
    rng = np.random.default_rng(0)
    y = np.resize([0, 1, 2], n)
    return LabelledFeatures("rows", ("a", "b", "c"), rng.normal(size=(n, 4)) * [1, 1000, 1, 0] + y[:, None], y,
                            noise={"kind": "unknown"})


def network(data, seed=0):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def test_rows_without_a_test_set_are_trained_on_and_no_error_is_made_up():
    model = network(rows())
    record = fit(model, rows(), SHORT, 0)
    assert record.fresh_error is record.observed_error is record.validation_error is None and not record.test_sizes
    p = class_probabilities(model, rows())
    assert np.array_equal(p.argmax(1), record.predictions[0, -1]) and p.sum(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="hold_out makes"):
        fit(network(rows()), rows(), SHORT, 0, n_val=1)


def test_features_are_standardised_one_by_one():
    x = standardise(rows().x, None)[0][:, :3].astype(float)
    assert np.abs(x.mean(0)).max() < 1e-5 and x.std(0) == pytest.approx(1, abs=1e-4)


def test_held_out_samples_of_unknown_truth_have_an_observed_error_alone():
    held = hold_out(rows(), 20, seed=0)
    record = fit(network(held), held, SHORT, 0, n_val=20)
    assert record.test_sizes == {"validation_observed": 20} and record.validation_error is None


def test_the_weights_of_the_best_recorded_epoch_are_kept(three, tmp_path):
    model, place = small_cnn(three), tmp_path / "run.pt"
    record = fit(model, three, SHORT, 0, n_val=20, keep="stopped", checkpoint=place)
    errors = record.validation_observed_error[0]
    epoch = record.config["kept_epoch"]
    assert epoch == 1 + errors[1:].argmin()
    p = class_probabilities(model, three)
    assert np.array_equal(p.argmax(1), record.predictions[0, epoch])
    again = small_cnn(three)
    fit(again, three, SHORT, 0, n_val=20, keep="stopped", checkpoint=place)
    assert np.array_equal(class_probabilities(again, three), p)
    with pytest.raises(ValueError, match="n_val=0"):
        fit(small_cnn(three), three, SHORT, 0, keep="stopped")


@pytest.mark.parametrize(("model", "recipe"), [(KNeighborsClassifier(3), None), (network, SHORT)])
def test_out_of_fold_takes_rows_and_never_reads_a_test_set(model, recipe):
    p = out_of_fold(model, rows(), recipe=recipe, folds=3)
    assert p.shape == (90, 3) and p.sum(1) == pytest.approx(1)


def test_out_of_fold_refuses_a_network_that_is_made_already(three):
    for model in (small_cnn(three), SmallCNN, KNeighborsClassifier):
        with pytest.raises(ValueError, match="model="):
            out_of_fold(model, three, recipe=SHORT)


def test_a_dataset_of_torch_is_read_first(three, monkeypatch):
    stand_in = SimpleNamespace(labelled_dataset=lambda dataset: replace(three, name="read"))
    monkeypatch.setitem(sys.modules, "helpers.data.own_arrays", stand_in)
    assert fit(small_cnn(three), [(0, 0)], SHORT, 0).config["data"] == "read"
    with pytest.raises(ValueError, match="data=3"):
        fit(small_cnn(three), 3, SHORT, 0)
