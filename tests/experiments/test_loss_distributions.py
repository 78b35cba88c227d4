"""Runs whose distributions of losses are compared."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.data.datasets import load_digit_classes
from helpers.data.images import load_digits
from helpers.data.noise_kinds import Symmetric
from helpers.experiments import settings
from helpers.experiments.loss_distributions import loss_cell, loss_run, loss_runs
from helpers.sweeps.grid import sweep


def test_runs_on_training_and_on_test_images():
    """Both Records, ten classes and two; the test Record's true error is the one that fit measures."""
    for data, k in ((load_digit_classes(n_train=100), 10), (load_digits(n_train=100), 2)):
        small = replace(data, x_test=data.x_test[:60], y_test=data.y_test[:60], y_test_obs=data.y_test_obs[:60])
        train, test = loss_runs(small, Symmetric(0.3), range(2), epochs=3, width=4)
        assert test.margins.shape == (2, len(train.times), 60) and train.margins.shape[2] == 100
        assert test.flipped.any(1).all() and not np.array_equal(test.flipped[0], test.flipped[1])
        np.testing.assert_allclose(1 - test.fits_true.mean(-1), train.fresh_error)
        np.testing.assert_allclose(1 - test.fits_observed.mean(-1), train.observed_error)
        again, _ = loss_run(small, Symmetric(0.3), 1, epochs=3, width=4)
        assert np.array_equal(again.margins[0], train.margins[1]) and (k > 2) == (train.predictions is not None)


def test_loss_cell_gives_rows_for_a_recorded_table(tmp_path, monkeypatch):
    grid = {"dataset": ["ten digits", "even or odd"], "kind": ["pair"], "rate": [0.3], "seed": [0]}
    narrow = {key: replace(found, width=4) for key, found in settings.SETTINGS.items()}
    monkeypatch.setattr(settings, "SETTINGS", narrow)
    table = sweep(_small_cell, grid, store=tmp_path)
    assert set(table.dataset) == {"ten digits", "even or odd"} and (table.groupby("dataset").epoch.max() == 2).all()
    assert ((table.purity_gain <= table.ks + 1e-9) & table.test_ks.between(0, 1)).all()
    assert table.filter(like="accuracy").to_numpy().min() >= 0 and not table.isna().any().any()
    for variable, dataset in (("SIGNAL_FIRST_MNIST", "MNIST"), ("SIGNAL_FIRST_CIFAR10", "CIFAR-10")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(ValueError, match=variable):
            loss_cell(dataset, "pair", 0.3, 0)
    with pytest.raises(ValueError, match="kind="):
        loss_cell("ten digits", "odd", 0.3, 0)


def _small_cell(dataset, kind, rate, seed):
    return loss_cell(dataset, kind, rate, seed, n_train=150, epochs=2)
