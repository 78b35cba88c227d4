"""A class of one or two samples: refused before anything is trained."""

import pytest
from sklearn.neighbors import KNeighborsClassifier
from suspect_tables import animals

from helpers.practice.find import find_suspects
from helpers.training.cross_validation import out_of_fold
from helpers.training.recipe import Recipe


def with_eels(count):
    data = animals(18)
    eels = [i for i in range(18) if data.y_obs[i] == 2]
    return data.keep([i for i in range(18) if i not in eels[count:]])


def never(data, seed):
    raise AssertionError("a network was made")


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_of_one_or_two_samples_is_named_before_training(count):
    data, said = with_eels(count), rf"^data=.*{count} of class 'eel'.*must be data with 3 samples or more"
    with pytest.raises(ValueError, match=said):
        out_of_fold(never, data, recipe=Recipe(epochs=1), folds=2)
    with pytest.raises(ValueError, match=said):
        find_suspects(data, KNeighborsClassifier(2), folds=2)


@pytest.mark.parametrize("count", [0, 3])
def test_three_samples_are_enough_and_a_class_may_have_none(count):
    assert out_of_fold(KNeighborsClassifier(2), with_eels(count), folds=2).shape == (12 + count, 3)
