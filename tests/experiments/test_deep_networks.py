"""Runs of VGG and ResNet: three ways to measure, recorded cells, every setting."""

import itertools

import numpy as np
import pytest
import torch
from problems import random_record
from torch import nn

from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import ClassConditionalNoise
from helpers.experiments import deep_networks as runs
from helpers.experiments.deep_networks import (
    CHOSEN_STEPS,
    NETWORKS,
    STEPS,
    deep_cell,
    deep_class_mean,
    deep_measured_three_ways,
    deep_run,
)
from helpers.experiments.settings import SETTINGS, Setting, setting, setting_epochs
from helpers.record import Record
from helpers.sweeps import load_table, sweep
from helpers.training.models import Dropout, SmallVGG, scale_model_weights
from helpers.training.recipe import Recipe

SHAPE = (1, 8, 8)


def test_three_ways_agree_where_nothing_differs(few_digits, monkeypatch):
    """With no dropout and a step too small to move, all three measurements are one: the order of images is right."""
    still = Setting("still", SmallVGG, Recipe(epochs=3, lr=1e-12, batch_size=50), n_val=100)
    monkeypatch.setitem(SETTINGS, ("deep_networks", "VGG", "handwritten digits", "quick"), still)
    monkeypatch.setenv("SIGNAL_FIRST_PROFILE", "quick")
    _, ways = deep_measured_three_ways(few_digits, "VGG", 0.3, [0, 1], dropout=0.0)
    assert np.isnan(ways["during the epoch"][:, 0]).all() and list(ways) == list(runs.WAYS)
    assert 0 < ways["dropout off"].mean() < 1
    assert np.array_equal(ways["dropout off"], ways["dropout on"])
    assert np.array_equal(ways["dropout off"][:, 1:], ways["during the epoch"][:, 1:])


def test_three_ways_leave_the_run_as_it_is(few_digits):
    noisy = add_label_noise(few_digits, 0.2, seed=3)
    record, ways = deep_measured_three_ways(few_digits, "VGG", 0.2, [3])
    assert np.array_equal(record.margins, deep_run(noisy, "VGG", 3).margins)
    assert not np.array_equal(ways["dropout off"], ways["dropout on"])
    model = setting("deep_networks", noisy, network="VGG").network(noisy, 3).eval()
    runs._Watcher(noisy, 3).at_epoch(0, model)
    assert not any(layer.training for layer in model.modules())
    assert all(layer.generator is None for layer in model.modules() if isinstance(layer, Dropout))


def test_mean_of_class_takes_classes_apart():
    record = random_record(np.random.default_rng(0))
    values = np.broadcast_to(np.where(record.flipped, 10, 0) + record.y, record.margins.shape)
    for label, which in itertools.product((-1, 1), ("clean", "noisy")):
        assert np.all(deep_class_mean(record, values, label, which) == (10 if which == "noisy" else 0) + label)
    clean = Record(record.times, record.y, record.y, record.margins)
    assert np.isnan(deep_class_mean(clean, values, 1, "noisy")).all()
    with pytest.raises(ValueError, match="label=0"):
        deep_class_mean(record, values, 0, "noisy")


def test_cell_gives_rows_to_a_sweep(monkeypatch):
    monkeypatch.delenv("SIGNAL_FIRST_CIFAR10", raising=False)
    grid = {"network": list(NETWORKS), "flip_rate": [0.0, 0.2], "seed": [1]}
    cells = [dict(zip(grid, cell)) | {"n_train": 100, "epochs": 3, "size": "quick"}
             for cell in itertools.product(*grid.values())]
    table = sweep(deep_cell, cells, progress=False)
    assert len(table) == 4 * 4 and set(table.epoch) == {0, 1, 2, 3}
    flipped = table.flip_rate > 0
    assert table[flipped].noisy_true.notna().all() and table[~flipped].noisy_true.isna().all()
    assert (table.best >= table["last"]).all() and (table.seconds > 0).all()
    other = deep_cell("VGG", 0.4, 1, flip_minus=0.1, n_train=100, size="quick", init_scale=0.5, ten=True, epochs=3)
    assert len(other) == 4 and other.clean_loss.iloc[0] > 2  # log 10


@pytest.mark.parametrize("network", NETWORKS)
def test_validation_is_charged_to_the_training_set(few_digits, network):
    noisy = add_label_noise(few_digits, 0.3, seed=0)
    record = deep_run(noisy, network, 0, n_val=40, epochs=1)
    assert np.array_equal(record.y_obs[0], noisy.y_obs[:-40]) and record.test_sizes["validation_observed"] == 40
    wrong = record.validation_observed_error[0] * 40 - record.validation_error[0] * 40
    assert np.abs(wrong).max() <= noisy.flipped[-40:].sum() and np.abs(wrong).max() > 0  # their own wrong labels


def test_the_rules_that_validate_stop_a_run_of_their_own(monkeypatch):
    """Without held-out labels they are left out; with them they are judged by the run that trained on fewer images."""
    monkeypatch.delenv("SIGNAL_FIRST_CIFAR10", raising=False)
    options = {"n_train": 400, "epochs": 6, "size": "quick", "lr": 0.05}
    alone, both = deep_cell("ResNet", 0.2, 0, **options), deep_cell("ResNet", 0.2, 0, n_val=100, **options)
    assert not alone.filter(like="validation").columns.any() and alone.plateau_test.equals(both.plateau_test)
    held = deep_run(runs._noisy_images(0.2, 400, 0), "ResNet", 0, n_val=100, epochs=6, size="quick", lr=0.05)
    stop = held.validation_observed_error[0].argmin()
    assert (both.noisy_validation_test == 1 - held.fresh_error[0, stop]).all()
    assert stop > 0 and both.noisy_validation_test[0] != both.test[stop]  # the common run's accuracy there is another


def test_the_chosen_steps_are_those_of_the_recording():
    tried = load_table("deep_steps").table
    assert set(tried.lr) == set(STEPS)
    best = tried.sort_values("lr").groupby(["network", "flip_rate"])["validation error"].idxmin()
    assert tried.loc[best].set_index(["network", "flip_rate"]).lr.to_dict() == CHOSEN_STEPS
    recorded = load_table("deep_networks").table.groupby(["network", "flip_rate"]).lr.unique()
    assert {key: steps.tolist() for key, steps in recorded.items()} == {k: [v] for k, v in CHOSEN_STEPS.items()}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("size", ["quick", "full"])
@pytest.mark.parametrize("name", ["handwritten digits", "CIFAR-10 images"])
def test_every_setting_builds_its_network(name, size, network):
    shape = (1, 8, 8) if name == "handwritten digits" else (3, 32, 32)
    rng = np.random.default_rng(0)
    x = rng.random((4, *shape), np.float32)
    data = LabelledImages(name, ("a", "b"), x, np.array([-1, 1, -1, 1.0]), x, np.array([-1, 1, -1, 1.0]))
    model = setting("deep_networks", data, network=network, size=size).network(data, 0).eval()
    standard = torch.from_numpy(x - x.mean()) / x.std()
    with torch.no_grad():
        f = model(standard)
    assert f.shape == (4, 2) and f.abs().max() < 3
    norms = any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    drops = any(isinstance(layer, Dropout) for layer in model.modules())
    assert (norms, drops) == ((False, True) if network == "VGG" else (True, False))


def test_refusals_name_the_argument(few_digits):
    with pytest.raises(ValueError, match="network='LeNet'"):
        setting("deep_networks", few_digits, network="LeNet")
    with pytest.raises(ValueError, match="network=None"):
        setting("deep_networks", few_digits)
    with pytest.raises(ValueError, match="experiment='deep'"):
        setting("deep", few_digits, network="VGG")
    with pytest.raises(ValueError, match="size='huge'"):
        setting("deep_networks", few_digits, network="VGG", size="huge")
    with pytest.raises(ValueError, match="factor=0"):
        scale_model_weights(SmallVGG(SHAPE, 2), 0)
    with pytest.raises(ValueError, match="image_shape=3"):
        SmallVGG((1, 3, 3), 2)
    assert setting_epochs(5) == [0, 1, 2, 3, 4, 5] and setting_epochs(30)[-1] == 30


def test_unequal_rates_tilt_the_start(few_digits):
    """After one epoch under rates 0.3 and 0.1 the outputs lean toward the class with fewer flips."""
    record = deep_run(add_label_noise(few_digits, ClassConditionalNoise(0.3, 0.1), seed=0), "ResNet", 0, epochs=4)
    plus, minus = (deep_class_mean(record, record.fits_true, label, "clean")[0, 1:].mean() for label in (1, -1))
    assert minus > plus + 0.1
