"""The fingerprint changes with what a table of suspects is read from, and with nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.data.images import LabelledFeatures
from helpers.practice.fingerprint import fingerprint

DATA = LabelledFeatures("rows", ("a", "b", "c"), np.arange(8.0).reshape(4, 2), [0, 1, 2, 1], files=("p", "q", "r", "s"))


@pytest.mark.parametrize("change", [
    {"x": DATA.x + 1}, {"y_obs": [0, 1, 2, 2]}, {"classes": ("a", "b", "d")}, {"files": ("p", "q", "r", "t")},
    {"files": None}, {"x": DATA.x[::-1]}])
def test_other_samples_labels_classes_or_names_are_another_fingerprint(change):
    assert fingerprint(replace(DATA, **change)) != fingerprint(DATA)


def test_true_labels_test_set_and_name_do_not_count():
    other = replace(DATA, name="others", y=[1, 1, 2, 1], y_obs=DATA.y_obs, x_test=DATA.x, y_test=DATA.y)
    assert fingerprint(other) == fingerprint(DATA) and len(fingerprint(DATA)) == 64


def test_arrays_are_refused():
    with pytest.raises(ValueError, match="data"):
        fingerprint(DATA.x)
