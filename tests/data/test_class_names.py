"""Order of classes, what is no set of classes, and draws within each class."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers.data.class_names import draw_per_class, drawn_test_share, ordered_class_names, require_classes


@pytest.mark.parametrize(("names", "ordered"), [
    ("b a c", "a b c"), ("10 9 2", "2 9 10"), ("1e2 -3 0.5", "-3 0.5 1e2"), ("10 9 x", "10 9 x"),
    ("nan 10 9", "10 9 nan"),
    ("a a b", "a b")])
def test_numbers_are_in_the_order_of_their_size_and_words_in_that_of_the_alphabet(names, ordered):
    assert ordered_class_names("label", names.split()) == tuple(ordered.split())


def test_a_number_written_in_two_ways_is_refused():
    with pytest.raises(ValueError, match=r"label=\['01', '1'\]"):
        ordered_class_names("label", ["1", "01", "2"])


def test_one_class_or_as_many_as_samples_are_no_classes():
    require_classes("labels", "ab", 2), require_classes("labels", "abc", 4)
    for found, n in (("a", 5), ("", 0), ("abc", 3)):
        with pytest.raises(ValueError, match="labels="):
            require_classes("labels", found, n)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 0.999), st.integers(0, 99))
def test_of_each_class_the_share_is_drawn_and_one_sample_stays(labels, share, seed):
    index = np.array(labels)
    drawn = draw_per_class(index, share, seed)
    for one in set(labels):
        size = labels.count(one)
        assert drawn[index == one].sum() == min(round(share * size), size - 1)


def test_a_draw_depends_on_the_seed_and_takes_from_the_whole_class():
    index = np.repeat([0, 1], 50)
    draws = [draw_per_class(index, 0.2, seed) for seed in range(200)]
    assert np.array_equal(draws[0], draw_per_class(index, 0.2, 0)) and not np.array_equal(draws[0], draws[1])
    often = np.mean(draws, 0)
    assert abs(often.mean() - 0.2) < 1e-12 and often.min() > 0.05 and often.max() < 0.4


def test_a_share_too_small_for_any_sample_is_refused_and_none_is_drawn_of_share_zero():
    assert not drawn_test_share(np.repeat([0, 1], 3), 0.0, 0).any()
    with pytest.raises(ValueError, match=r"test_share=0\.1"):
        drawn_test_share(np.repeat([0, 1], 3), 0.1, 0)
