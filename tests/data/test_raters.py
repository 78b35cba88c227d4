"""Raters: their laws, their answers, their mistakes, and controls of the same rate."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from problems import random_law

from helpers.data import raters
from helpers.data.label_noise import label_noise_transition
from helpers.data.subsets import keep_samples
from helpers.streams import random_stream


def test_rater_law_has_the_rate_asked_for_and_looks_at_the_image(rated):
    data, law = rated
    q = raters.rater_mistakes(law, data.y)
    assert np.allclose(law.sum(1), 1) and law.min() >= 0 and q.mean() == pytest.approx(0.177, abs=1e-9)
    assert (q > 0.5).mean() > 0.02 and (q < 0.05).mean() > 0.2  # hard images and easy ones: 10% and 37%


@pytest.mark.parametrize("rate", [0.01, 0.95])
def test_rater_law_refuses_a_rate_it_cannot_reach(rated, rate):
    data, _ = rated
    with pytest.raises(ValueError, match=r"rate=.*must be in"):
        raters.rater_law(keep_samples(data, np.arange(data.n) < 200), data, rate)


@given(st.integers(0, 50), st.floats(0, 1))
def test_the_dial_keeps_the_transition_matrix_and_scales_the_deviations(seed, dial):
    law, true = random_law(seed, n=60)
    mixed = raters.mixed_rater_law(law, true, dial)
    matrix = raters.rater_class_means(law, true)
    assert np.allclose(raters.rater_class_means(mixed, true), matrix) and np.allclose(mixed.sum(1), 1)
    assert np.allclose(mixed - matrix[true], dial * (law - matrix[true]))


def test_ask_draws_from_the_law_and_raters_are_independent_given_the_image():
    """Shares of 20,000 draws of one law: a standard error of .0035 at most, so .015 is over four of them."""
    law = np.tile([0.5, 0.3, 0.2, 0.0], (20_000, 1))
    first, second = raters.ask_raters(law, 2, 1)
    for labels in (first, second):
        assert np.allclose(np.bincount(labels, minlength=4) / 20_000, law[0], atol=0.015)
    assert np.mean((first == 0) & (second == 0)) == pytest.approx(0.25, abs=0.015)
    assert np.array_equal(raters.ask_raters(law, 1, 1)[0], first) and not np.array_equal(raters.ask_raters(law, 1,
                                                                                                           2)[0], first)


def test_aggregate_is_the_majority_and_breaks_ties_evenly():
    ratings = np.array([[0, 1, 2], [0, 1, 1], [0, 2, 1]])
    assert raters.aggregate_ratings(ratings, 0).tolist() == [0, 1, 1]
    ties = np.tile([[0], [1], [2]], (1, 3000))
    assert np.allclose(np.bincount(raters.aggregate_ratings(ties, 0)) / 3000, 1 / 3, atol=0.04)  # 4.6 standard errors


def test_worst_is_the_last_wrong_answer():
    ratings, true = np.array([[0, 1, 2, 1], [0, 0, 1, 0], [0, 0, 0, 2]]), np.zeros(4, int)
    assert raters.worst_ratings(ratings, true).tolist() == [0, 1, 1, 2]


@given(st.integers(0, 30), st.booleans())
def test_permuted_keeps_counts_and_places(seed, wrong_only):
    rng = random_stream(seed, "labels of a test")
    true, observed = np.arange(90) % 3, rng.integers(0, 3, 90)
    moved = raters.permute_ratings(true, observed, rng, wrong_only=wrong_only)
    for y in range(3):
        assert np.array_equal(np.sort(moved[true == y]), np.sort(observed[true == y]))
    assert not wrong_only or np.array_equal(moved == true, observed == true)


def test_loosened_keeps_what_it_says(rated):
    data, law = rated
    noisy = raters.with_ratings(data, raters.ask_raters(law, 1, 0)[0])
    counts = {keep: label_noise_transition(data.y, raters.loosen_ratings(noisy, keep, 1).y_obs, 10)[1]
              for keep in raters.KEEPS}
    made = {keep: raters.loosen_ratings(noisy, keep, 1) for keep in raters.KEEPS}
    assert all(m.flipped.sum() == noisy.flipped.sum() for m in made.values())
    assert np.array_equal(made["image"].y_obs, noisy.y_obs)
    assert np.array_equal(made["places"].flipped, noisy.flipped)
    assert not np.array_equal(made["places"].y_obs, noisy.y_obs)
    for keep in ("places", "class"):
        assert np.array_equal(counts[keep], counts["image"])
    assert not np.array_equal(made["class"].flipped, noisy.flipped)
    symmetric = counts["rate"] / counts["rate"].sum(1, keepdims=True)
    assert raters.rater_competitors(symmetric).mean() > 7  # of 9; some 20 mistakes a class
    with pytest.raises(ValueError, match="keep='all'"):
        raters.loosen_ratings(noisy, "all", 0)


def test_mistake_bounds_hold_the_truth_and_can_be_empty():
    law, true = random_law(19, n=30_000)
    q, ratings = raters.rater_mistakes(law, true), raters.ask_raters(law, 3, 0)
    half = lambda values: values >= 0.5  # noqa: E731
    low, high = raters.rater_mistake_bounds(true, ratings, lambda values: values, half)
    assert low < q[half(q)].sum() / q.sum() < high and high - low < 0.8
    alone = raters.rater_mistake_bounds(true, ratings, lambda values: values, lambda values: values >= 0)
    assert alone == pytest.approx((1, 1))
    never_together = np.where(np.arange(3)[:, None] == np.arange(30) % 3, 1, 0)  # each image wrong for one rater
    with pytest.raises(ValueError, match="moments"):
        raters.rater_mistake_bounds(np.zeros(30, int), never_together, np.ones_like, half)


def test_transition_interval_covers_and_is_exact_at_the_ends():
    """Of 1000 draws of a row with T = .1, the 95% interval of Clopper and Pearson misses at most 5%, and some."""
    rng = random_stream(0, "rows of a test")
    counts = np.stack([[100 - wrong, wrong] for wrong in rng.binomial(100, 0.1, 1000)])
    interval = raters.rater_transition_interval(counts)
    covered = (interval[:, 1, 0] <= 0.1) & (interval[:, 1, 1] >= 0.1)
    assert 0.94 < covered.mean() < 1
    ends = raters.rater_transition_interval(np.array([[10, 0], [0, 10]]))
    assert ends[0, 1, 0] == 0 and ends[0, 0, 1] == 1 and ends[0, 1, 1] == pytest.approx(1 - 0.025**0.1)


def test_competitors_of_known_matrices():
    k = 10
    symmetric = 0.8 * np.eye(k) + 0.2 / 9 * (1 - np.eye(k))
    pair = 0.8 * np.eye(k) + 0.2 * np.roll(np.eye(k), 1, 1)
    assert raters.rater_competitors(symmetric) == pytest.approx(np.full(k, 9))
    assert raters.rater_competitors(pair) == pytest.approx(np.ones(k))
    assert np.isnan(raters.rater_competitors(np.eye(3))).all()


LAW, TRUE = np.full((4, 2), 0.5), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("law", "true", "name"), [
    (LAW + 0.1, TRUE, "law"), (LAW * [[3, -1]], TRUE, "law"), (LAW[:0], TRUE[:0], "law"), (LAW, TRUE - 1, "true"),
    (LAW, TRUE + 1, "true"), (LAW, TRUE[:3], "true")])
def test_a_law_has_chances_and_true_classes_are_among_its_columns(law, true, name):
    for function in (raters.rater_mistakes, raters.readable_by_raters, raters.worst_rating_law):
        with pytest.raises(ValueError, match=f"^{name}="):
            function(law, true)


@pytest.mark.parametrize(("true", "ratings", "name"), [
    (TRUE, np.stack([TRUE] * 2), "ratings.shape"), (TRUE, np.stack([TRUE - 1] * 3), "ratings"),
    (TRUE - 1, np.stack([TRUE] * 3), "true"), (TRUE[:3], np.stack([TRUE] * 3), "ratings")])
def test_three_raters_rate_every_image(true, ratings, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        raters.joint_rater_mistakes(true, ratings)
