"""ELR on images: settings, changes of the recipe, the published table, a recorded cell."""

import numpy as np
import pytest

from helpers.data.images import load_digits
from helpers.experiments import elr as runs
from helpers.training.losses import ELR
from helpers.training.models import SmallCNN


def test_changes_of_the_recipe_and_runs_that_repeat(ten_digits):
    small = ten_digits.subset(100)
    one, two = (runs.elr_run(small, 0.4, ELR(), 3, epochs=2) for _ in range(2))
    assert one.times.tolist() == [0, 1, 2] and np.array_equal(one.margins, two.margins)
    assert one.config["recipe"]["lr"] == runs.SMALL["ten digits"][1].lr and "ELR" in one.config["recipe"]["loss"]


def test_settings(ten_digits, monkeypatch):
    make, recipe = runs.setting(ten_digits)
    model = make(0)
    assert isinstance(model, SmallCNN) and model.layers[-1].out_features == 10 and recipe.epochs == 40
    assert (runs.PAPER.lr_at(39), runs.PAPER.lr_at(40), runs.PAPER.lr_at(80)) == pytest.approx((2e-2, 2e-4, 2e-6))
    with pytest.raises(ValueError, match="data\\.name"):
        runs.setting(load_digits())
    stand_in = type("Data", (), {"name": "CIFAR-10", "image_shape": (3, 32, 32), "n_classes": 10})()
    for chosen, is_small in (("quick", True), ("full", False)):
        monkeypatch.setattr(runs, "profile", lambda chosen=chosen: chosen)
        make, recipe = runs.setting(stand_in)
        assert (recipe == runs.PAPER) != is_small and isinstance(make(0), SmallCNN) == is_small


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
