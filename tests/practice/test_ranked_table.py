"""The table of suspects: its columns, its order, what it reads, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from helpers.data.datasets import load_digit_classes
from helpers.data.images import LabelledFeatures, class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import SymmetricNoise
from helpers.data.subsets import hold_out
from helpers.practice.fingerprint import fingerprint
from helpers.practice.ranked_table import COLUMNS, suspects
from helpers.reading.scores import area_under_margin_scores
from helpers.record import UNKNOWN_KIND
from helpers.training.cross_validation import out_of_fold
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN


@pytest.fixture(scope="module")
def digits():
    data = add_label_noise(load_digit_classes(n_train=330), SymmetricNoise(0.2), seed=0)
    data = hold_out(replace(data, files=tuple(f"{i}.png" for i in range(330))), 30)
    record = fit(SmallCNN(data.image_shape, width=8, n_outputs=10), data, Recipe(epochs=6, batch_size=20), 0, n_val=30)
    return data, record, out_of_fold(KNeighborsClassifier(7), data)


def test_the_table_ranks_all_samples_with_their_evidence(digits):
    data, record, p = digits
    table = suspects(data, {"neighbours": p}, record=record)
    assert tuple(table.columns) == COLUMNS and table.attrs["data"] == fingerprint(data)
    assert sorted(table["sample"]) == list(range(data.n)) and (np.diff(table.score) <= 0).all()
    rows, stop = table["sample"].to_numpy(), record.validation_observed_error[0].argmin()
    labels = class_index(data.y_obs, 10)
    assert table.file.tolist() == [data.files[i] for i in rows]
    assert table.observed.tolist() == [data.classes[labels[i]] for i in rows]
    assert np.array_equal(table["loss at stop"], record.losses[0, stop][rows])
    assert np.array_equal(table["margin area"], area_under_margin_scores(record)[0][rows])
    assert np.allclose(table["confidence out of fold"], p[rows, labels[rows]])


def test_most_of_its_head_is_wrong_and_its_suggestions_are_true(digits):
    data, record, p = digits
    head = suspects(data, p, record=record).head(int(data.flipped.sum()))
    at = head["sample"].to_numpy()
    assert data.flipped[at].mean() > 0.85
    found = head.suggested.to_numpy()[data.flipped[at]]
    assert (found == np.array(data.classes)[data.y[at][data.flipped[at]]]).mean() > 0.8


def test_no_true_label_is_read(digits):
    data, record, p = digits
    blind = replace(data, y=data.y_obs, noise={"kind": UNKNOWN_KIND})
    seen, unseen = (suspects(one, p, record=record) for one in (data, blind))
    assert seen.equals(unseen) and seen.attrs == unseen.attrs


def test_equal_scores_stand_in_the_order_of_the_data():
    data = LabelledFeatures("equals", ("a", "b"), np.zeros((6, 1)), [-1, 1, -1, 1, -1, 1])
    table = suspects(data, np.full((6, 2), 0.5))
    assert table["sample"].tolist() == sorted(range(6), key=lambda i: -table.set_index("sample").score[i])
    assert table["margin area"].isna().all() and table["loss at stop"].isna().all() and table.file.isna().all()


def test_without_held_out_labels_the_loss_is_read_where_the_network_agrees_with_the_pool(digits):
    data, record, p = digits
    alone = replace(record, validation_observed_error=None)
    agreed = (record.predictions[0] == p.argmax(1)).mean(1)
    table = suspects(data, p, record=alone).sort_values("sample")
    assert any(np.array_equal(table["loss at stop"], record.losses[0, t])
               for t in np.flatnonzero(agreed > agreed.max() - 0.02) if record.times[t] > 0)
    last = suspects(data, p, record=alone, stop=len(record.times) - 1).sort_values("sample")
    assert np.array_equal(last["loss at stop"], record.losses[0, -1])


def test_what_belongs_to_other_samples_is_refused(digits):
    data, record, p = digits
    with pytest.raises(ValueError, match="a row for each training sample"):
        suspects(data, p[:-1])
    with pytest.raises(ValueError, match="same observed labels"):
        suspects(replace(data, y_obs=np.roll(data.y_obs, 1)), p, record=record)
    with pytest.raises(ValueError, match="network"):
        suspects(data, {"neighbours": p}, network="trees")
    with pytest.raises(ValueError, match="stop"):
        suspects(data, p, record=record, stop=99)
    with pytest.raises(ValueError, match="data"):
        suspects(data.x, p)
