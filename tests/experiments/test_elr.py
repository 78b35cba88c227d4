"""ELR on images: settings, changes of the recipe, the published table, a recorded cell."""

import numpy as np
import pytest
from helpers.experiments.settings import setting

from helpers.data.images import LabelledImages, load_digits
from helpers.experiments import elr as runs
from helpers.training.losses import ELR
from helpers.training.models import SmallCNN


def test_changes_of_the_recipe_and_runs_that_repeat(ten_digits):
    small = ten_digits.subset(100)
    one, two = (runs.elr_run(small, 0.4, ELR(), 3, epochs=2) for _ in range(2))
    assert one.times.tolist() == [0, 1, 2] and np.array_equal(one.margins, two.margins)
    assert one.config["recipe"]["lr"] == setting("elr", ten_digits).recipe.lr and "ELR" in one.config["recipe"]["loss"]


def test_settings(ten_digits, monkeypatch):
    chosen = setting("elr", ten_digits)
    model = chosen.network(ten_digits, 0)
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
