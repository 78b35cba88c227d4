"""The paper's image experiment: its cells at a size that a test can afford, and what is measured of the maps."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.experiments import paper_images as runs
from helpers.sweeps import load_table, sweep
from helpers.training import checkpoints

TINY = {"n_train": 60, "width": 2, "epochs": 3, "precision": "float32"}


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    monkeypatch.delenv("SIGNAL_FIRST_CIFAR10", raising=False)


def test_the_wrong_labels_are_counted_exactly():
    data = runs.paper_images(0.2, 3, n_train=60)
    assert data.flipped.sum() == 12 and data.n_classes == 10
    assert runs.paper_images(0.2, 3, n_train=60, n_outputs=2).n_classes == 2
    with pytest.raises(ValueError, match=r"n_outputs=3"):
        runs.paper_images(0.2, 3, n_outputs=3)


def test_cells_give_rows_to_a_sweep():
    explained = {"per_group": 3, "n_background": 2}
    table = sweep(runs.paper_image_cell, [{"flip_rate": rate, "seed": 1} | TINY | explained for rate in (0.0, 0.2)],
                  progress=False)
    assert table.epoch.tolist() == [0, 1, 2, 3] * 2
    flipped = table.flip_rate > 0
    assert table["noisy fits"].notna().equals(flipped) and table["clean fits"].notna().all()
    assert table["all logged"].isna().equals(table.epoch == 0)
    # two kinds of samples and one of labels: prop-two-labels, on the page
    share = table[flipped]
    np.testing.assert_allclose(share["all fits"], 0.8 * share["clean fits"] + 0.2 * share["noisy fits"], atol=1e-9)
    assert table.filter(like="effective share").notna().all(axis=None) and (table.seconds > 0).all()


def test_a_step_is_judged_by_observed_labels_alone(monkeypatch):
    row = runs.paper_step_cell(0.01, 0.2, 100, n_val=20, **TINY)
    assert 0 <= row["validation error"] <= 1 and row["epoch"] in (0, 3)

    def diverged(*_, **__):
        raise FloatingPointError
    monkeypatch.setattr(runs, "paper_image_run", diverged)
    assert runs.paper_step_cell(10.0, 0.2, 100, n_val=20, **TINY)["validation error"] == 1


def test_the_larger_of_equally_good_steps_is_chosen():
    rows = [(0.2, 0.01, 0.3), (0.2, 0.02, 0.3), (0.2, 0.05, 0.5), (0.0, 0.01, 0.1), (0.0, 0.02, 0.2)]
    steps = pd.DataFrame(rows, columns=["flip_rate", "lr", "validation error"])
    assert (runs.chosen_step(0.2, steps), runs.chosen_step(0.0, steps)) == (0.02, 0.01)
    with pytest.raises(ValueError, match=r"flip_rate=0\.3"):
        runs.chosen_step(0.3, steps)
    with pytest.raises(ValueError, match=r"flip_rate=0\.3"):
        runs.paper_image_cell(0.3, 0, **TINY)


def test_a_killed_cell_resumes(monkeypatch, tmp_path):
    """The folder of checkpoints, which `make record` names, is used, and holds the finished run."""
    monkeypatch.setenv("SIGNAL_FIRST_CHECKPOINTS", str(tmp_path))
    data = runs.paper_images(0.2, 1, n_train=60)
    recipe = runs.Recipe(epochs=2, batch_size=60)
    first, _ = runs.paper_image_run(data, 1, recipe, width=2)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_, **__: pytest.fail("trained again"))
    again, _ = runs.paper_image_run(data, 1, recipe, width=2)
    assert np.array_equal(first.margins, again.margins) and checkpoints.checkpoint_folder() == tmp_path


def test_outline_is_one_for_the_edges_themselves():
    rng = np.random.default_rng(0)
    images = rng.random((2, 3, 8, 8))
    edges = np.hypot(runs.sobel(images.mean(1), axis=1), runs.sobel(images.mean(1), axis=2))
    np.testing.assert_allclose(runs.outline(-edges, images), 1)
    assert np.abs(runs.outline(rng.normal(size=(200, 8, 8)), rng.random((200, 3, 8, 8))).mean()) < 5 / (200 * 64) ** 0.5


def test_the_chosen_steps_are_those_of_the_recording():
    steps = load_table("paper_steps").table
    assert runs.CHOSEN_STEPS == {rate: runs.chosen_step(rate, steps) for rate in sorted(steps.flip_rate.unique())}
