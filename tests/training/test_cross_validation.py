"""Cross-validated probabilities: no model has seen the image that it speaks of."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from helpers.data.datasets import load_digits
from helpers.data.images import class_index
from helpers.data.label_noise import add_label_noise
from helpers.training.cross_validation import cross_validation_folds, out_of_fold
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe

DATA = add_label_noise(load_digits(n_train=200), 0.2, seed=0)


def cnn(data, seed):
    return SmallCNN(data.image_shape, width=4, n_outputs=1, seed=seed)


def test_folds_are_of_one_size_and_of_their_seed():
    folds = cross_validation_folds(103, 5, 0)
    assert np.bincount(folds).tolist() == [21, 21, 21, 20, 20]
    assert (folds == cross_validation_folds(103, 5, 0)).all() and (folds != cross_validation_folds(103, 5, 1)).any()
    with pytest.raises(ValueError, match="folds"):
        cross_validation_folds(3, 5, 0)


def test_an_image_never_meets_its_own_label():
    """One neighbour, whose label is copied: in sample it would always be the image's own."""
    p = out_of_fold(KNeighborsClassifier(1), DATA)
    own = p[np.arange(200), class_index(DATA.y_obs, 2)]
    assert set(own) == {0.0, 1.0} and own[DATA.flipped].mean() < 0.4 < 0.6 < own[~DATA.flipped].mean()


def test_a_fold_is_told_the_labels_of_the_other_folds_only():
    p, folds = out_of_fold(DummyClassifier(strategy="prior"), DATA), cross_validation_folds(200, 5, 0)
    for k in range(5):
        share = (DATA.y_obs[folds != k] > 0).mean()
        assert p[folds == k] == pytest.approx(np.tile([1 - share, share], (40, 1)))


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=2000), cnn])
def test_what_is_said_of_a_fold_does_not_depend_on_its_labels(model):
    first = cross_validation_folds(200, 3, 0) == 0
    turned = replace(DATA, y_obs=np.where(first, -DATA.y_obs, DATA.y_obs))
    recipe = None if not callable(model) else Recipe(epochs=2, lr=0.1, batch_size=20)
    one, other = (out_of_fold(model, data, recipe=recipe, folds=3) for data in (DATA, turned))
    assert np.array_equal(one[first], other[first]) and not np.allclose(one[~first], other[~first])


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=2000), cnn])
def test_probabilities_rank_the_flips(model):
    recipe = None if not callable(model) else Recipe(epochs=8, lr=0.1, batch_size=20)
    p = out_of_fold(model, DATA, recipe=recipe, record_at=recipe and range(1, 9), folds=3)
    assert p.shape == (200, 2) and p.sum(1) == pytest.approx(1)
    own = p[np.arange(200), class_index(DATA.y_obs, 2)]
    assert own[~DATA.flipped].mean() > own[DATA.flipped].mean() + 0.1


def test_the_epoch_of_a_fold_is_chosen_by_the_others():
    recipe, epochs = Recipe(epochs=3, lr=0.1, batch_size=20), [1, 3]
    both = out_of_fold(cnn, DATA, recipe=recipe, record_at=epochs, folds=3)
    each = {epoch: out_of_fold(cnn, DATA, recipe=recipe, record_at=[epoch], folds=3) for epoch in epochs}
    folds, observed = cross_validation_folds(200, 3, 0), class_index(DATA.y_obs, 2)
    for k in range(3):
        others = folds != k
        wrong = [(each[epoch].argmax(1) != observed)[others].sum() for epoch in epochs]
        assert both[folds == k] == pytest.approx(each[epochs[int(np.argmin(wrong))]][folds == k])


def test_the_last_epoch_by_default_and_errors_that_say_what_is_wanted():
    recipe = Recipe(epochs=2, lr=0.1, batch_size=20)
    last = out_of_fold(cnn, DATA, recipe=recipe, folds=2)
    assert last == pytest.approx(out_of_fold(cnn, DATA, recipe=recipe, record_at=[2], folds=2))
    with pytest.raises(ValueError, match="a Recipe for a network"):
        out_of_fold(cnn, DATA)
    with pytest.raises(ValueError, match="None for a scikit-learn"):
        out_of_fold(LogisticRegression(), DATA, recipe=recipe)
    with pytest.raises(ValueError, match="from 1 on"):
        out_of_fold(cnn, DATA, recipe=recipe, record_at=[0, 2])
