"""Suspects relabelled and dropped: what the cleaned data hold, and the list of changes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from suspect_tables import animals, ranked, rows

from helpers.practice.cleaning import clean_labels


def test_the_first_rows_get_the_suggestion_and_the_next_are_dropped():
    data = animals()
    cleaned, changes = clean_labels(data, ranked(data, [4, 0, 7, 2]), relabel=2, drop=1)
    assert cleaned.files == tuple(file for i, file in enumerate(data.files) if i != 7)
    assert cleaned.y_obs.tolist() == [1, 1, 2, 0, 2, 2, 0, 2]
    assert np.array_equal(cleaned.x, np.delete(data.x, 7, 0))
    assert changes.values.tolist() == [[4, "dog/4.png", "dog", "relabel", "eel", 0.99],
                                       [0, "cat/0.png", "cat", "relabel", "dog", pytest.approx(0.6633, abs=1e-3)],
                                       [7, "dog/7.png", "dog", "drop", "", pytest.approx(0.3367, abs=1e-3)]]


def test_the_data_that_went_in_are_as_they_were():
    data = animals()
    before = data.y_obs.copy()
    clean_labels(data, ranked(data), relabel=3)
    assert np.array_equal(data.y_obs, before)


def test_where_nobody_knows_the_truth_it_repeats_the_new_labels():
    cleaned, _ = clean_labels(animals(), ranked(animals()), relabel=2)
    assert np.array_equal(cleaned.y, cleaned.y_obs) and not cleaned.truth_known


def test_known_true_labels_stay_and_the_realised_rate_follows():
    data = animals(noise={"realised_flip_rate": 0.0})
    data = replace(data, y_obs=np.where(np.arange(9) == 4, 0, data.y))
    table = ranked(data, [4])
    assert table["suggested"].tolist() == ["dog"]
    cleaned, _ = clean_labels(data, table, relabel=1)
    assert np.array_equal(cleaned.y, data.y) and not cleaned.flipped.any()
    assert (data.noise["realised_flip_rate"], cleaned.noise["realised_flip_rate"]) == (1 / 9, 0)


def test_the_test_set_stays():
    more = animals(seed=2)
    data = animals(x_test=more.x, y_test=more.y)
    cleaned, _ = clean_labels(data, ranked(data), drop=2)
    assert np.array_equal(cleaned.x_test, data.x_test) and cleaned.n == 7


def test_two_classes_of_features_are_relabelled():
    data = rows()
    cleaned, changes = clean_labels(data, ranked(data, [0, 1, 2]), relabel=1, drop=1)
    assert cleaned.y_obs.tolist() == [1.0, -1.0] + [1.0, -1.0] * 4 + [1.0]
    assert changes["label"].tolist() == ["long", ""] and changes["file"].isna().all()


def test_shares_count_the_training_samples():
    data = animals(20)
    cleaned, changes = clean_labels(data, ranked(data), relabel=0.1, drop=0.25)
    assert changes["decision"].tolist() == ["relabel"] * 2 + ["drop"] * 5 and cleaned.n == 15


@pytest.mark.parametrize("wrong", [-1, 1.5, 1.0, True, "3", 10])
@pytest.mark.parametrize("name", ["drop", "relabel"])
def test_numbers_that_are_no_count_and_no_share_are_refused(name, wrong):
    data = animals()
    with pytest.raises(ValueError, match=f"{name}="):
        clean_labels(data, ranked(data), **{name: wrong})


def test_more_changes_than_the_table_has_rows_are_refused():
    data = animals()
    with pytest.raises(ValueError, match=r"relabel \+ drop=4: must be at most 3"):
        clean_labels(data, ranked(data, [0, 1, 2]), relabel=2, drop=2)


def test_a_class_that_would_be_left_without_samples_is_named():
    data = animals()
    for counts in ({"drop": 3}, {"relabel": 3}):
        with pytest.raises(ValueError, match="no sample is left of the class cat>"):
            clean_labels(data, ranked(data, [0, 3, 6]), **counts)


def test_changes_can_be_carried_out_again():
    data = animals()
    cleaned, changes = clean_labels(data, ranked(data), relabel=2, drop=2)
    again, same = clean_labels(data, changes)
    assert np.array_equal(again.y_obs, cleaned.y_obs) and again.files == cleaned.files
    pd.testing.assert_frame_equal(same, changes)


def test_a_decision_to_keep_or_to_relabel_as_it_is_changes_nothing():
    data = animals()
    table = ranked(data, [0, 4, 7]).assign(decision=["keep", "relabel", "relabel"], label=["cat", "dog", "eel"])
    cleaned, changes = clean_labels(data, table)
    assert changes["sample"].tolist() == [7] and np.flatnonzero(cleaned.y_obs != data.y_obs).tolist() == [7]


@pytest.mark.parametrize(("column", "value", "told"), [("decision", "remove", r"row 1='remove'.*'keep', 'drop'"),
                                                       ("label", "cow", r"row 1='cow'.*cat, dog, eel")])
def test_decisions_that_are_none_are_refused(column, value, told):
    data = animals()
    table = ranked(data, [0, 4]).assign(decision="relabel", label=["dog", "eel"])
    table.loc[1, column] = value
    with pytest.raises(ValueError, match=told):
        clean_labels(data, table)


def test_numbers_beside_decisions_are_refused():
    data = animals()
    with pytest.raises(ValueError, match="0 where the table holds decisions"):
        clean_labels(data, ranked(data, [0]).assign(decision="drop", label=""), drop=1)


def test_a_table_of_other_data_is_not_applied():
    data = animals(files=False)
    with pytest.raises(ValueError, match="made of other data"):
        clean_labels(data.keep(np.arange(data.n)[::-1]), ranked(data), drop=1)


def test_a_table_that_begins_with_the_least_suspect_is_refused():
    data = animals()
    with pytest.raises(ValueError, match=r"table\['score'\].*most suspect first"):
        clean_labels(data, ranked(data).sort_values("score"), drop=1)


def test_a_number_that_two_classes_are_is_refused():
    """Read from a CSV file without their types, 01 and 1 are one number."""
    data = animals(classes=("01", "1", "eel"))
    table = ranked(data, [2]).assign(suggested=[1])
    with pytest.raises(ValueError, match=r"\['01', '1'\] are the same number"):
        clean_labels(data, table, relabel=1)
