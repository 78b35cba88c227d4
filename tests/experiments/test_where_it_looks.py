"""Deletion and transplants in a network that is understood, other settings, and a recorded cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from helpers.data.datasets import load_digit_classes, load_digits
from helpers.experiments.where_it_looks import (
    GROUPS,
    MOMENTS,
    ExplainedRun,
    _weight_distance,
    attribution_cell,
    explained_run,
    survival,
    transplants,
)
from helpers.reading.attribution import attribution_maps
from helpers.record import Record
from helpers.training.recipe import Recipe

# --- a network that is understood: f = 4 (pixel 0) + 2 (pixel 1) + ... , class 1 if positive ---

class Weights(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights))

    def forward(self, x):
        return x.flatten(1) @ self.weight


def known(x, weights, y, wrong, group, background):
    """An Explained of a linear network at all moments."""
    model, x = Weights(weights), torch.tensor(x).reshape(-1, 1, 2, 2)
    base = torch.tensor(background).reshape(-1, 1, 2, 2)
    record = Record(np.arange(2), np.ones((1, 1)), np.ones((1, 1)), np.zeros((1, 2, 1)), config={"classes": 2})
    maps = attribution_maps(model, x, base, y)
    return ExplainedRun(x, np.asarray(x), base, np.array(group), np.array(y), np.array(wrong),
                        dict.fromkeys(MOMENTS, model), dict.fromkeys(MOMENTS, maps), dict.fromkeys(MOMENTS, 0), record,
                        0)


def test_deletion_of_a_known_network():
    """f = 4a + 2b + c - d at (1, 1, 1, 1) is 6, without a 2, without a and b 0: predicted 0 from there on."""
    run = known([[1.0, 1, 1, 1]], [4.0, 2, 1, -1], [1], [0], ["clean"], [[0.0, 0, 0, 0]])
    assert survival(run, "last", range(5))[:, 0].tolist() == [True, True, False, False, False]
    assert survival(run, "last", range(5), keep=True)[:, 0].tolist() == [False, True, True, True, True]
    # of all orders of the four pixels the random one is some order: nothing deleted stays, everything deleted falls
    assert survival(run, "last", [0, 4], order="random")[:, 0].tolist() == [True, False]
    with pytest.raises(ValueError, match="order"):
        survival(run, "last", [1], order="smallest")


def test_transplants_of_a_known_network():
    """The donor's pixel of weight -5 turns the test image of f = 4 over, and not that of f = 6; one that is misread
    anyway and one of the other class are no recipients."""
    x = [[1.0, 0, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    run = known(x, [4.0, 2, 1, -5], [1, 1, 1, 1, 0], [0, 0, 0, 0, 1], ["noisy"] + ["test"] * 4, [[0.0, 0, 0, 0]])
    found = transplants(run, "last", 1)
    assert found[0] == 0.5 and np.isnan(found[1:]).all()
    assert transplants(run, "last", 0)[0] == 0
    own = transplants(run, "last", 1, donors=run.group == "test")
    assert np.isnan(own[[0, 4]]).all()  # the last has no other test image of its class
    assert np.allclose(run.maps_toward("last", run.y), run.maps["last"])
    assert np.allclose(run.maps_toward("last", run.wrong), -run.maps["last"])


def test_more_classes_and_given_recipe():
    data = load_digit_classes(n_train=200)
    run = explained_run(data, 0.3, 1, per_group=6, n_background=4, recipe=Recipe(epochs=3, lr=0.05), width=8)
    assert run.n_classes == 10 and run.predicted("last").shape == (18,)
    assert (run.wrong != run.y).all() and run.wrong.max() <= 9
    toward = run.maps_toward("last", run.wrong)
    assert np.allclose(toward, attribution_maps(run.models["last"], run.x, run.background, run.wrong))
    assert survival(run, "last", [0, 5]).shape == (2, 18) and survival(run, "last", [0]).all()


def test_the_control_with_fresh_flips_changes_nothing_else():
    data = load_digits(n_train=100)
    options = {"per_group": 5, "n_background": 4, "recipe": Recipe(epochs=3, lr=0.05), "width": 4}
    without, with_it = (explained_run(data, 0.2, 0, fresh=fresh, **options) for fresh in (False, True))
    assert set(with_it.maps) == set(MOMENTS) and set(MOMENTS) - set(without.maps) == {"fresh turn", "fresh last"}
    assert all(np.array_equal(without.maps[moment], with_it.maps[moment]) for moment in without.maps)
    assert with_it.epochs["fresh turn"] == with_it.epochs["turn"]
    assert not np.allclose(with_it.maps["fresh last"], with_it.maps["control last"])


def test_runs_refuse():
    data = replace(load_digits(n_train=100), name="other digits")
    with pytest.raises(ValueError, match=r"data\.name"):
        explained_run(data, 0.2, 0)
    with pytest.raises(ValueError, match="network"):
        explained_run(data, 0.2, 0, network="large")
    with pytest.raises(ValueError, match="flip_rate"):
        explained_run(data, 0.0, 0, recipe=Recipe(epochs=1), width=4)


@pytest.mark.parametrize(("network", "method"), [("small", "deep_shap"), ("vgg11", "integrated_gradients")])
def test_attribution_cell(network, method):
    rows = attribution_cell(0.2, 0, n_train=60, per_group=4, n_background=2, network=network, width=4,
                            recipe=Recipe(epochs=2, lr=0.05), method=method)
    assert [row["group"] for row in rows] == list(GROUPS) and len({tuple(row) for row in rows}) == 1
    for row in rows:
        assert row["images"] == 4 and row["pixels"] == 2 and 0 <= row["signed last"] <= 2
        assert 0 < row["signed fresh last"] <= 2 and row["moved fresh last"] > 0
        assert row["transplanted last"] is None or 0 <= row["transplanted last"] <= 1
    assert _weight_distance(nn.Linear(2, 2), nn.Linear(2, 2)) > 0
