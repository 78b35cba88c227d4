"""One call from labelled data to ranked suspects: what it trains, what it refuses before, and what it finds."""

from functools import partial

import numpy as np
import pytest
import torch
from columns import images
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from suspect_tables import rows
from torch import nn

from helpers.data.images import LabelledFeatures
from helpers.data.label_noise import add_label_noise
from helpers.practice import find
from helpers.practice.find import find_suspects
from helpers.practice.fingerprint import fingerprint
from helpers.training.loop import Recipe

SHORT = Recipe(epochs=4, lr=0.05, batch_size=20)
EVIDENCE = ["loss at stop", "confidence out of fold", "margin area"]


@pytest.fixture(scope="module")
def noisy():
    """Images of three classes, a fifth of their labels wrong; no test set."""
    made = add_label_noise(images(n=150, n_test=3), 0.2, seed=0)
    return type(made)("columns", made.classes, made.x, made.y, y_obs=made.y_obs, noise=made.noise,
                      files=tuple(f"{i}.png" for i in range(made.n)))


@pytest.fixture(scope="module")
def table(noisy):
    return find_suspects(noisy, recipe=Recipe(epochs=15, lr=0.05, batch_size=20))


def mlp(data, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(data.x[0].size, 16), nn.ReLU(), nn.Linear(16, data.n_classes))


def test_a_row_for_each_sample_with_all_evidence_and_the_fingerprint(noisy, table):
    assert table.columns.tolist()[:5] == ["sample", "file", "observed", "suggested", "score"]
    assert sorted(table["sample"]) == list(range(noisy.n)) and set(table["file"]) == set(noisy.files)
    assert table[EVIDENCE].notna().all().all() and table.attrs["data"] == fingerprint(noisy)
    assert (np.diff(table["score"]) <= 0).all()


def test_wrong_labels_come_first_with_their_true_class_suggested(noisy, table):
    n_wrong = int(noisy.flipped.sum())
    top = table[:n_wrong]
    assert noisy.flipped[top["sample"]].mean() >= 0.8
    true = [noisy.classes[noisy.y[i]] for i in table["sample"]]
    changed = table["suggested"] != table["observed"]  # elsewhere the label is more likely right than wrong
    assert changed.sum() >= n_wrong / 2 and (table["suggested"] == true)[changed].mean() >= 0.9


def test_no_true_label_is_read(noisy):
    from dataclasses import replace

    blind = replace(noisy, y=noisy.y_obs, noise={"kind": "unknown"})
    first, second = (find_suspects(data, recipe=SHORT, folds=2) for data in (noisy, blind))
    assert np.array_equal(first["score"], second["score"]) and np.array_equal(first["sample"], second["sample"])


def test_the_seed_decides(noisy):
    tables = [find_suspects(noisy, mlp, SHORT, folds=2, seed=seed) for seed in (0, 0, 1)]
    assert tables[0].equals(tables[1]) and not tables[0]["score"].equals(tables[2]["score"])


def test_the_recipe_is_trained_once_for_the_stop_once_on_all_and_once_for_each_fold(noisy, monkeypatch):
    seen = []
    fit, folds = find.fit, find.out_of_fold

    def counted(model, data, recipe, seed, **options):
        seen.append((data.n, options.get("n_val", 0), len(options["record_at"])))
        return fit(model, data, recipe, seed, **options)

    monkeypatch.setattr(find, "fit", counted)
    monkeypatch.setattr(find, "out_of_fold", lambda model, data, **options: seen.append(options["folds"]) or folds(
        model, data, **options))
    find_suspects(noisy, mlp, SHORT, n_val=30, folds=3)
    assert seen[:2] == [(120, 30, 4), (150, 0, 4)]
    assert seen[2:] == [3, 3]  # the network's, and the neighbours'


def test_features_go_through_a_classifier_of_scikit_learn(monkeypatch):
    data = rows(120, p=3)
    x = data.x + 2 * data.y[:, None]
    y_obs = np.where(np.arange(120) % 7, data.y, -data.y)
    data = LabelledFeatures("lengths", data.classes, x, y_obs, noise={"kind": "unknown"})
    table = find_suspects(data)
    assert table["loss at stop"].isna().all() and table["file"].isna().all()
    assert (table["sample"][:18] % 7 == 0).mean() > 0.9
    other = find_suspects(data, LogisticRegression(C=0.01))
    assert not np.array_equal(other["score"], table["score"])


def test_features_go_through_a_network(noisy):
    data = rows(60)
    table = find_suspects(data, mlp, SHORT, folds=2)
    assert len(table) == 60 and table[EVIDENCE].notna().all().all()


@pytest.mark.parametrize(("arguments", "told"), [
    (("photos",), r"data='photos': must be LabelledData, such as load_folder\(path\)"),
    ((None, mlp(images(), 0), SHORT), "make_network=.*not a network, since each fold trains another"),
    ((None, lambda: None, SHORT), "make_network=.*cannot be called so"),
    ((None, nn.Linear(2, 2).forward, SHORT), "make_network=.*cannot be called so"),
    ((None, "resnet", SHORT), "make_network='resnet'"),
    ((None, lambda data, seed: 3, SHORT), "make_network='<returns int>'"),
    ((None, partial(lambda made, data, seed: made, mlp(images(), 0)), SHORT), "returns the same network again"),
    ((None, mlp), "recipe=None: must be a Recipe where make_network is given"),
    ((None, mlp, {"epochs": 3}), "recipe=.*a Recipe"),
    ((None, LogisticRegression(), SHORT), "recipe=.*None where a scikit-learn classifier"),
    ((None, LinearSVC()), "predict_proba")])
def test_what_cannot_work_is_refused_before_anything_is_trained(noisy, monkeypatch, arguments, told):
    for name in ("fit", "out_of_fold"):
        monkeypatch.setattr(find, name, lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=told):
        find_suspects(*(noisy if argument is None and i == 0 else argument for i, argument in enumerate(arguments)))


@pytest.mark.parametrize("options", [{"n_val": 0}, {"n_val": 150}, {"folds": 1}, {"seed": -1}, {"device": "gpu"}])
def test_options_out_of_range_are_refused(noisy, monkeypatch, options):
    monkeypatch.setattr(find, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=f"^{next(iter(options))}="):
        find_suspects(noisy, **options)


def test_features_by_default_have_no_recipe():
    with pytest.raises(ValueError, match="as for features by default"):
        find_suspects(rows(), recipe=SHORT)
