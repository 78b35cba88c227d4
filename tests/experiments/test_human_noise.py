"""Runs on human labels: a recorded cell, what is missing, and held-out images."""

import numpy as np
import pytest

from helpers.data import raters
from helpers.data.cifar10n import CIFAR10N_VARIABLE, KINDS
from helpers.data.datasets import CIFAR10_VARIABLE
from helpers.data.subsets import hold_out
from helpers.experiments import human_noise as people
from helpers.streams import random_stream
from helpers.sweeps.tables import load_table
from helpers.training.loop import fit
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe


@pytest.fixture
def fake_files(tmp_path, monkeypatch):
    """CIFAR-10 and its human labels in small: 200 images of random pixels with a bright stripe at the true class."""
    rng, n = random_stream(0, "fake CIFAR-10"), 200
    arrays = {}
    for part, size in (("train", n), ("test", 40)):
        y = np.arange(size) % 10
        x = rng.integers(0, 120, (size, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(x, y):
            image[3 * label: 3 * label + 3] = 250
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(tmp_path / "cifar.npz", **arrays)
    true = arrays["y_train"]
    noisy = np.where(rng.random((5, n)) < 0.3, (true + 1) % 10, true)
    np.savez(tmp_path / "labels.npz", clean_label=true, **dict(zip(KINDS.values(), noisy)))
    monkeypatch.setenv(CIFAR10_VARIABLE, str(tmp_path / "cifar.npz"))
    monkeypatch.setenv(CIFAR10N_VARIABLE, str(tmp_path / "labels.npz"))


def test_cifar10n_cell_at_tiny_scale(fake_files):
    settings = {"n_train": 120, "width": 4, "epochs": 3, "n_val": 40}
    rows = {keep: people.cifar10n_cell("random1", keep, 0, **settings) for keep in raters.KEEPS}
    for row in rows.values():
        assert all(type(value) is float for value in row.values())
        assert {"read truly", "best", "last", "noisy validation"} <= set(row) and 0.1 < row["flip rate"] < 0.5
    assert rows["image"] == people.cifar10n_cell("random1", "image", 0, **settings)
    assert rows["image"] != people.cifar10n_cell("worst", "image", 0, **settings)
    with pytest.raises(ValueError, match="side"):
        people.cifar10n_cell("random1", "image", 0, side=20, **settings)


def test_a_robust_loss_runs_on_the_same_images_and_pays_for_its_labels(fake_files):
    settings = {"n_train": 120, "width": 4, "epochs": 3, "n_val": 40, "lr": 0.05}
    rows = {loss: people.human_loss_cell("worst", loss, 0, **settings) for loss in people.LOSSES}
    plain, elr = rows.values()
    assert plain["flip rate"] == elr["flip rate"] and plain != elr
    row = people.cifar10n_cell("worst", "image", 0, **settings)
    assert row["best"] == plain["best"] and row["last"] == plain["last"]
    assert row["noisy validation"] == plain["stopped"]
    for one in rows.values():
        assert one["last"] <= one["best"] and one["stopped"] <= one["best"] and one["stop"] in (0, 1, 2, 3)
    settings.pop("lr")
    step = people.human_step_cell("worst", "ELR", 0.05, **settings)
    assert 0 <= step["held_out_error"] <= 1
    assert people.human_step_cell("worst", "ELR", 1e9, **settings)["held_out_error"] == 1
    with pytest.raises(ValueError, match="loss"):
        people.human_loss_cell("worst", "MAE", 0)


def test_the_chosen_steps_are_those_of_the_recording():
    tried, made = load_table("human_steps").table, load_table("human_losses").made
    assert set(tried.lr) == set(people.STEPS) and people.STEP_SEED not in made["grid"]["seed"]
    best = tried.loc[tried.groupby(["kind", "loss"]).held_out_error.idxmin()]
    assert {(row.kind, row.loss): row.lr for row in best.itertuples()} == people.CHOSEN_STEPS
    recorded = load_table("human_losses").table.groupby(["kind", "loss"]).lr.unique()
    assert {key: steps.tolist() for key, steps in recorded.items()} == {k: [v] for k, v in people.CHOSEN_STEPS.items()}


def test_counts_of_the_labels_alone(fake_files):
    """Against a count by hand, and what permutation within classes must give: the product of the class means."""
    file = people.load_cifar10n()
    true = file["clean_label"]
    three = np.stack([file[f"random_label{k}"] for k in (1, 2, 3)]) != true
    shared = {row["statistic"]: row for row in people.human_count_cell("three people", draws=20)}
    assert shared["all wrong"]["people"] == pytest.approx(three.all(0).mean())
    assert shared["any wrong"]["people"] == pytest.approx(three.any(0).mean())
    right = [np.prod([1 - row[true == y].mean() for row in three]) for y in range(10)]
    assert shared["any wrong"]["permuted"] == pytest.approx(1 - np.mean(right))
    one = {row["statistic"]: row["people"] for row in people.human_count_cell("worst")}
    assert one["wrong"] == pytest.approx((file["worse_label"] != true).mean())
    flows = [value for name, value in one.items() if " to " in name]
    assert len(flows) == 5 and flows == sorted(flows, reverse=True)
    assert one["wrong classes, mean"] == pytest.approx(1)  # the file's wrong labels are the next class
    with pytest.raises(ValueError, match="labels"):
        people.human_count_cell("nobody")


def test_cifar10n_cell_says_what_is_missing(monkeypatch):
    monkeypatch.delenv(CIFAR10_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=CIFAR10_VARIABLE):
        people.cifar10n_cell("worst", "image", 0)


def test_noise_run_is_fit_on_the_held_out_data(rated):
    """Nothing but `fit` on `hold_out`: the same margins, at the same epochs."""
    data, law = rated
    noisy, recipe = raters.with_ratings(data, raters.ask_raters(law, 1, 0)[0]), Recipe(epochs=2, lr=0.1)
    record, held = people.human_noise_run(noisy, 3, width=4, recipe=recipe, n_val=100), hold_out(noisy, 100)
    again = fit(SmallCNN(held.image_shape, width=4, seed=3, n_outputs=10), held, recipe, 3, record_at=record.times,
                n_val=100)
    assert np.allclose(record.margins, again.margins, atol=1e-3)
