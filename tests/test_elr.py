"""Chapter 16 on images: the runs, how they are read, and what ELR does to wrong-label images."""

import numpy as np
import pytest

from helpers.data.datasets import load_digit_classes
from helpers.data.images import LabelledImages, load_digits
from helpers.experiments import elr as runs
from helpers.experiments.settings import setting
from helpers.sweeps.tables import load_table
from helpers.training.losses import ELR
from helpers.training.models import SmallCNN


@pytest.fixture(scope="module")
def data():
    return load_digit_classes()


@pytest.fixture(scope="module")
def pair(data):
    """{name: Record of two whole runs at nominal rate 0.4}."""
    return {name: runs.elr_runs(data, 0.4, loss, range(2)) for name, loss in runs.LOSSES.items()}


def test_obs_elr_images(pair, data):
    """obs-elr-images at rate 0.4, 2 seeds: 0.85 and 0.10 memorised, last accuracy 0.72 and 0.95 when written."""
    plain, elr = pair["cross-entropy"], pair["ELR"]
    memorised = {name: runs.label_shares(record, "noisy")["observed"] for name, record in pair.items()}
    assert memorised["cross-entropy"][:, -1].min() > 0.7 and memorised["ELR"][:, -1].max() < 0.25
    early = runs.label_shares(plain, "noisy")["true"].max(1)
    assert early.min() > 0.8  # read truly before they are memorised
    assert (plain.fresh_error - elr.fresh_error)[:, -1].min() > 0.15
    assert (elr.fresh_error[:, -1] - elr.fresh_error.min(1)).max() < 0.05
    assert (plain.fresh_error[:, -1] - plain.fresh_error.min(1)).min() > 0.1


def test_obs_elr_images_fails_without_memory_but_not_by_memorising(data, pair):
    """The remark after obs-elr-images: many images end in a third class. 1 seed."""
    record = runs.elr_run(data, 0.4, ELR(strength=3.0, momentum=0.0), 1)
    noisy = runs.label_shares(record, "noisy")
    assert record.fresh_error[0, -1] > pair["ELR"].fresh_error[1, -1] + 0.15
    assert noisy["other"][0, -1] > noisy["observed"][0, -1]


def test_the_two_losses_see_the_same_labels_weights_and_batches(pair):
    plain, elr = pair["cross-entropy"], pair["ELR"]
    assert np.array_equal(plain.y_obs, elr.y_obs) and np.array_equal(plain.margins[:, 0], elr.margins[:, 0])
    assert plain.runs == elr.runs and plain.runs[0]["kind"] == "symmetric redraw"
    # the paper's convention: 0.9 of the nominal rate; standard error of two runs of 1000 labels 0.011, four of them
    assert abs(plain.flipped.mean() - 0.36) < 0.045


def test_label_shares_are_shares_of_their_samples(pair):
    record = pair["cross-entropy"]
    noisy, clean = (runs.label_shares(record, which) for which in ("noisy", "clean"))
    np.testing.assert_allclose(sum(noisy.values()), 1)
    np.testing.assert_allclose(sum(clean.values()), 1)
    chosen, k = record.flipped[0], 5
    assert noisy["observed"][0, k] == pytest.approx((record.predictions[0, k] == record.y_obs[0])[chosen].mean())
    assert noisy["true"][0, k] == pytest.approx((record.predictions[0, k] == record.y[0])[chosen].mean())
    with pytest.raises(ValueError, match="which='wrong'"):
        runs.label_shares(record, "wrong")


def test_changes_of_the_recipe_and_runs_that_repeat(data):
    small = data.subset(100)
    one, two = (runs.elr_run(small, 0.4, ELR(), 3, epochs=2) for _ in range(2))
    assert one.times.tolist() == [0, 1, 2] and np.array_equal(one.margins, two.margins)
    assert one.config["recipe"]["lr"] == setting("elr", data).recipe.lr and "ELR" in one.config["recipe"]["loss"]


def test_settings(data, monkeypatch):
    chosen = setting("elr", data)
    model = chosen.network(data, 0)
    assert isinstance(model, SmallCNN) and model.layers[-1].out_features == 10 and chosen.recipe.epochs == 40
    with pytest.raises(ValueError, match="data\\.name"):
        setting("elr", load_digits())
    x, y = np.zeros((10, 3, 32, 32)), np.arange(10)
    stand_in = LabelledImages("CIFAR-10", tuple("abcdefghij"), x, y, x, y)
    for profile, is_small in (("quick", True), ("full", False)):
        monkeypatch.setenv("SIGNAL_FIRST_PROFILE", profile)
        chosen = setting("elr", stand_in)
        assert (chosen.recipe.epochs == 40) == is_small
        assert isinstance(chosen.network(stand_in, 0), SmallCNN) == is_small
    steps = [chosen.recipe.lr_at(epoch) for epoch in (39, 40, 80)]  # the paper's
    assert steps == pytest.approx((2e-2, 2e-4, 2e-6)) and chosen.recipe.epochs == 120


def test_published_table_is_consistent():
    """Higher noise, lower accuracy; ELR above cross-entropy; in per cent."""
    assert (runs.PUBLISHED.diff().dropna() < 0).all(axis=None) and (runs.PUBLISHED > 50).all(axis=None)
    assert (runs.PUBLISHED["ELR"] > runs.PUBLISHED["cross-entropy"]).all()


@pytest.mark.parametrize("loss", ["cross-entropy", "ELR", "ELR+"])
def test_a_cell_of_the_recorded_table(loss):
    rows = runs.elr_cell(loss, 0.4, 0, n_train=200, width=4, epochs=3)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3] and {row["flip rate"] for row in rows} != {0.4}
    for row in rows:
        assert row["noisy observed"] + row["noisy true"] + row["noisy other"] == pytest.approx(1)
        assert row["clean true"] + row["clean other"] == pytest.approx(1) and 0 <= row["accuracy"] <= 1
    with pytest.raises(ValueError, match="loss='KL'"):
        runs.elr_cell("KL", 0.4, 0)


def test_obs_elr_cifar():
    """3 seeds for each of 3 losses and 4 nominal rates; the numbers of the text beside the observation, too."""
    cells = load_table("elr").table.sort_values("epoch").groupby(["rate", "seed", "loss"])
    last, end = cells.last().accuracy.unstack(), cells.last()["noisy observed"].unstack()
    assert len(last) == 12
    assert (end["ELR"] < 0.7 * end["cross-entropy"]).all() and (end["ELR+"] < end["ELR"]).all()
    assert (last["ELR+"] > last["ELR"]).all() and (last["ELR"] > last["cross-entropy"]).all()
    fall = (cells.accuracy.max() - cells.last().accuracy).unstack()
    assert fall["ELR+"].max() < 0.03 and fall["ELR"].min() > 0.05 and fall["cross-entropy"].min() > 0.1
    truly = cells["noisy true"].max().unstack()["cross-entropy"]
    assert truly.between(0.31, 0.5).all() and end["cross-entropy"].between(0.59, 0.73).all()
    start = load_table("elr").table.query("epoch <= 5")
    assert (start["noisy true"] - start.accuracy).groupby([start.loss, start.epoch]).mean().abs().max() < 0.02
