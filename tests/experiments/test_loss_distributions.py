"""Runs whose distributions of losses are compared."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.data.datasets import load_digit_classes, load_digits
from helpers.data.noise_kinds import SymmetricNoise
from helpers.experiments import settings
from helpers.experiments.loss_distributions import (
    CHOSEN_STEPS,
    STEP_SEED,
    STEPS,
    loss_cell,
    loss_run,
    loss_runs,
    step_cell,
)
from helpers.sweeps.grid import sweep
from helpers.sweeps.tables import load_table


def test_runs_on_training_and_on_test_images():
    """Both Records, ten classes and two; the test Record's true error is the one that fit measures."""
    for data, k in ((load_digit_classes(n_train=100), 10), (load_digits(n_train=100), 2)):
        small = replace(data, x_test=data.x_test[:60], y_test=data.y_test[:60], y_test_obs=data.y_test_obs[:60])
        train, test = loss_runs(small, SymmetricNoise(0.3), range(2), epochs=3, width=4)
        assert test.margins.shape == (2, len(train.times), 60) and train.margins.shape[2] == 100
        assert test.flipped.any(1).all() and not np.array_equal(test.flipped[0], test.flipped[1])
        np.testing.assert_allclose(1 - test.fits_true.mean(-1), train.fresh_error)
        np.testing.assert_allclose(1 - test.fits_observed.mean(-1), train.observed_error)
        again, _ = loss_run(small, SymmetricNoise(0.3), 1, epochs=3, width=4)
        assert np.array_equal(again.margins[0], train.margins[1]) and (k > 2) == (train.predictions is not None)


def test_validation_labels_come_out_of_the_training_set():
    """With n_val, the last training images are held out with their observed labels; the test set stays whole."""
    data = load_digit_classes(n_train=100)
    train, test = loss_run(data, SymmetricNoise(0.3), 0, n_val=30, epochs=2, width=4)
    plain, whole = loss_run(data, SymmetricNoise(0.3), 0, epochs=2, width=4)
    assert train.y.shape == (1, 70) and plain.y.shape == (1, 100)
    assert np.array_equal(train.y_obs, plain.y_obs[:, :70]) and np.array_equal(test.y_obs, whole.y_obs)
    assert train.test_sizes["validation_observed"] == 30 and train.test_sizes["fresh"] == len(data.y_test)
    assert (train.validation_error != train.validation_observed_error).any()


def test_a_step_is_chosen_without_true_labels_on_a_seed_of_its_own(monkeypatch):
    """The held-out error is that of observed labels; a run that diverges loses; seeds of recordings are others."""
    narrow = {key: replace(found, width=4) for key, found in settings.SETTINGS.items()}
    monkeypatch.setattr(settings, "SETTINGS", narrow)
    options = {"n_train": 150, "epochs": 2}
    found = step_cell("ten digits", "pair", 0.3, 0.05, **options)
    rows = loss_cell("ten digits", "pair", 0.3, STEP_SEED, n_test=100, lr=0.05, **options)
    assert found["held_out_error"] == pytest.approx(1 - max(row["validation_noisy"] for row in rows))
    assert rows[0]["images"] == 135 and rows[0]["available"] == 1000 and rows[0]["lr"] == 0.05
    assert step_cell("ten digits", "pair", 0.3, 1e9, **options)["held_out_error"] == 1
    assert STEP_SEED not in load_table("loss_distributions").made["grid"]["seed"]


def test_the_chosen_steps_are_those_of_the_recording():
    tried = load_table("loss_steps").table
    assert set(tried.lr) == set(STEPS)
    best = tried.loc[tried.groupby(["dataset", "kind", "rate"]).held_out_error.idxmin()]
    assert {(row.dataset, row.kind, row.rate): row.lr for row in best.itertuples()} == CHOSEN_STEPS
    recorded = load_table("loss_distributions").table.groupby(["dataset", "kind", "rate"]).lr.unique()
    assert {key: steps.tolist() for key, steps in recorded.items()} == {k: [v] for k, v in CHOSEN_STEPS.items()}


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
