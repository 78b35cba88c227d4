"""Tables of suspects are read against the data that they were made of, or refused."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from suspect_tables import animals, ranked

from helpers.practice.matching import READ_CSV, matched_samples


def shuffled(data, seed=1):
    return data.keep(np.random.default_rng(seed).permutation(data.n))


def through_csv(table, **options):
    return pd.read_csv(io.StringIO(table.to_csv(index=False)), **options)


def test_a_table_of_these_data_is_read_by_sample():
    data = animals(files=False)
    assert matched_samples(ranked(data, [4, 0, 7]), data).tolist() == [4, 0, 7]


@pytest.mark.parametrize("read", [lambda table: table, through_csv])
def test_data_in_another_order_are_matched_by_file(read):
    data = animals()
    other = shuffled(data)
    table = read(ranked(data, [4, 0, 7]))
    assert [other.files[i] for i in matched_samples(table, other)] == [data.files[i] for i in (4, 0, 7)]


def test_other_data_without_names_of_files_are_refused():
    data = animals(files=False)
    for other in (shuffled(data), animals(files=False, seed=1), data.keep(np.arange(6))):
        with pytest.raises(ValueError, match=r"made of other data.*must be made of these data.*`find_suspects`"):
            matched_samples(ranked(data, [4, 0]), other)


def test_a_table_from_a_csv_file_without_names_is_read_where_its_observed_labels_agree():
    data = animals(files=False)
    assert matched_samples(through_csv(ranked(data, [4, 0])), data).tolist() == [4, 0]
    labels = np.roll(data.y, 1)
    with pytest.raises(ValueError, match=r"row 0='dog': must be 'cat', the observed label of sample 4"):
        matched_samples(through_csv(ranked(data, [4, 0])), replace(data, y=labels, y_obs=labels))


def test_a_file_that_the_data_lack_is_named():
    data = animals()
    with pytest.raises(ValueError, match=r"'cat/0.png'.*1 of 2 are not"):
        matched_samples(ranked(data, [4, 0]), data.keep(np.arange(1, data.n)))


def test_an_observed_label_that_has_changed_since_is_refused():
    data = animals()
    labels = data.y_obs.copy()
    labels[4] = 2
    with pytest.raises(ValueError, match=r"row 1='dog': must be 'eel'.*before labels were changed"):
        matched_samples(ranked(data, [0, 4]), replace(data, y=labels, y_obs=labels))


@pytest.mark.parametrize(("change", "told"), [
    ({"sample": [4, 4], "file": None}, "names a sample once"),
    ({"sample": [4, 9], "file": None}, r"\[9\].*from 0 to 8"),
    ({"sample": [4.0, -1.0], "file": None}, "whole numbers"),
    ({"file": ["dog/4.png", "dog/4.png"]}, "names a sample once")])
def test_samples_that_are_none_or_doubled_are_refused(change, told):
    data = animals()
    table = ranked(data, [4, 1], signed=False).assign(**change)
    with pytest.raises(ValueError, match=told):
        matched_samples(table, data)


def test_a_missing_column_is_named():
    data = animals()
    with pytest.raises(ValueError, match=r"with observed, score: see `suspects`"):
        matched_samples(ranked(data).drop(columns=["observed", "score"]), data, columns=("score",))


def test_names_of_classes_that_a_csv_file_changes_are_read_as_the_error_says():
    data = animals(classes=("01", "NA", "3"), files=False)
    table = ranked(data, [0, 1, 2])
    with pytest.raises(ValueError, match="dtype="):
        matched_samples(through_csv(table), data)
    text = table.to_csv(index=False)
    read = eval(READ_CSV, {"pandas": pd, "path": io.StringIO(text)})
    assert matched_samples(read, data).tolist() == [0, 1, 2]


def test_lines_of_a_file_are_no_names_by_which_other_data_are_matched():
    """"row 7" is another sample in another file."""
    data = animals()
    one = replace(data, files=tuple(f"row {i + 2}" for i in range(data.n)))
    assert matched_samples(ranked(one, [4, 0]), one).tolist() == [4, 0]
    with pytest.raises(ValueError, match="made of other data"):
        matched_samples(ranked(one, [4, 0]), one.keep(np.arange(data.n) != 1))
