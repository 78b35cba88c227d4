"""ELR on images: settings, changes of the recipe, the published table, a recorded cell."""

import numpy as np
import pandas as pd
import pytest

from helpers.data.datasets import load_digits
from helpers.data.images import LabelledImages
from helpers.experiments import elr as runs
from helpers.experiments.settings import setting
from helpers.sweeps.tables import load_table
from helpers.training.elr_plus import ELRPlus
from helpers.training.losses import ELRLoss
from helpers.training.models import SmallCNN


def test_changes_of_the_recipe_and_runs_that_repeat(ten_digits):
    small = ten_digits.subset(100)
    one, two = (runs.elr_run(small, 0.4, ELRLoss(), 3, epochs=2) for _ in range(2))
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


@pytest.mark.parametrize("loss", runs.METHODS)
def test_a_cell_of_the_recorded_table(loss):
    rows = runs.elr_cell(loss, "symmetric 0.4", 0, n_train=200, side=8, width=4, epochs=2, lr=0.03)
    assert [row["epoch"] for row in rows] == [0, 1, 2] and {row["step"] for row in rows} == {0.03}
    for row in rows:
        assert row["noisy observed"] + row["noisy true"] + row["noisy other"] == pytest.approx(1)
        assert row["clean true"] + row["clean other"] == pytest.approx(1) and 0 <= row["accuracy"] <= 1
        for count, share in ((20, row["observed validation"]), (180, row["flip rate"])):  # held out, trained on
            assert count * share == pytest.approx(round(count * share))


def test_bad_cells_are_named():
    for arguments, name in ((("KL", "symmetric 0.4"), "loss='KL'"), (("ELR", "pair 0.4"), "noise='pair 0.4'")):
        with pytest.raises(ValueError, match=name):
            runs.elr_cell(*arguments, 0, n_train=200, side=8, epochs=1, lr=0.1)


def test_the_recipe_is_the_released_one_in_shares():
    recipe = runs.elr_recipe(200, 0.02, 32)
    assert (recipe.milestones, recipe.decay, recipe.batch_size, recipe.weight_decay) == ((150,), 0.1, 128, 5e-4)
    assert recipe.augment and recipe.padding == 4 and recipe.momentum == 0.9
    assert runs.elr_recipe(40, 0.02, 16).milestones == (30,) and runs.elr_recipe(40, 0.02, 16).padding == 2


def test_each_method_differs_from_elr_plus_or_cross_entropy_in_one_part():
    recipe = runs.elr_recipe(200, 0.02, 32)
    losses = runs.elr_losses(45_000, recipe)
    assert tuple(losses) == runs.METHODS and losses["ELR+"] == ELRPlus()
    parts = ("strength", "average", "mixup", "networks", "tested")
    differs = lambda one, two: [part for part in parts if getattr(one, part) != getattr(two, part)]  # noqa: E731
    without = [differs(losses["ELR+"], losses[f"ELR+ without {name}"]) for name in ("the term", *runs.INGREDIENTS)]
    assert without == [["strength"], ["mixup"], ["average"], ["networks"]]
    plain = ELRPlus(strength=0.0, mixup=0.0, networks=1)
    added = [differs(plain, losses[f"cross-entropy with {name}"]) for name in runs.INGREDIENTS]
    assert added == [["mixup"], ["tested"], ["networks"]]
    asymmetric = runs.elr_losses(45_000, recipe, **runs.ASYMMETRIC)
    assert asymmetric["ELR"] == ELRLoss(strength=1.0, momentum=0.9) and asymmetric["ELR+"].momentum == 0.9


def test_steps_are_chosen_by_the_observed_validation_labels_of_their_own_seeds():
    rows = [("pair", "ELR", step, seed, epoch, value)
            for step, values in ((0.03, (0.2, 0.5, 0.3)), (0.1, (0.4, 0.1, 0.1)))
            for seed in (100, 101) for epoch, value in enumerate(values)]
    steps = pd.DataFrame(rows, columns=["noise", "loss", "step", "seed", "epoch", "observed validation"])
    assert runs.chosen_steps(steps) == {"pair": {"ELR": 0.03}}
    with pytest.raises(ValueError, match=r"noise='symmetric 0\.8'"):
        runs.elr_cell("ELR", "symmetric 0.8", 0, n_train=200, side=8, epochs=1)


def test_held_out_labels_are_charged(ten_digits):
    small = ten_digits.subset(100)
    record = runs.elr_run(small, 0.4, "cross-entropy with mixup", 3, n_val=20, epochs=1)
    assert record.margins.shape[-1] == 80 and record.test_sizes["validation"] == 20
    assert "mixup=1.0" in record.config["recipe"]["loss"]
    with pytest.raises(ValueError, match="loss='KL'"):
        runs.elr_run(small, 0.4, "KL", 3)


def test_the_scale_is_made_of_the_recipes(ten_digits):
    recorded = load_table("elr")
    scale = runs.elr_scale(recorded.table, recorded.made, ten_digits, n_val=100)
    made = recorded.made["grid"]
    published, recorded, page = (scale[name] for name in ("published, ELR+", "recorded here", "on this page"))
    assert published["steps"] == "70,400" and published["step size"] == "0.02; 0.1 times it from epoch 150"
    n = made["n_train"][0]
    assert recorded["images"] == f"{n - n // 10:,}" and recorded["epochs"] == str(made["epochs"][0])
    assert (page["images"], page["held out, noisy labels"], page["crops and mirror images"]) == ("900", "100", "no")
