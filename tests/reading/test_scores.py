"""Scores of trust beyond the training loss."""

import numpy as np
import pytest

from helpers.reading.scores import (
    adjusted_confidence_scores,
    area_under_margin_scores,
    score_auc,
    score_class_thresholds,
    score_confident_joint,
    score_confident_learning,
    self_confidence_scores,
)
from helpers.record import Record
from helpers.streams import random_stream

# Six samples of class 0 and four of class 1 as observed; sample 5 and sample 9 are taken for the other class.
P1 = np.array([0.1, 0.2, 0.1, 0.2, 0.1, 0.9, 0.9, 0.8, 0.7, 0.1])
P, LABELS = np.stack([1 - P1, P1], 1), np.repeat([0, 1], [6, 4])


def test_confidence_and_thresholds_by_hand():
    assert self_confidence_scores(P, LABELS) == pytest.approx([0.9, 0.8, 0.9, 0.8, 0.9, 0.1, 0.9, 0.8, 0.7, 0.1])
    thresholds = score_class_thresholds(P, LABELS)
    assert thresholds == pytest.approx([4.4 / 6, 2.5 / 4])
    assert adjusted_confidence_scores(P, LABELS)[[0, 9]] == pytest.approx([0.9 - 4.4 / 6, 0.1 - 2.5 / 4])


def test_confident_learning_counts_and_drops_by_hand():
    joint = score_confident_joint(P, LABELS)
    assert joint == pytest.approx(np.array([[0.5, 0.1], [0.1, 0.3]]))
    kept = score_confident_learning(P, LABELS)
    assert np.flatnonzero(~kept).tolist() == [5, 9]


def test_samples_of_which_nothing_is_confident_are_not_counted():
    p = np.array([0.05, 0.1, 0.45, 0.9, 0.9, 0.6])  # sample 2: below .8 for class 0, below .8 for class 1
    joint = score_confident_joint(np.stack([1 - p, p], 1), np.repeat([0, 1], 3))
    assert joint == pytest.approx(np.array([[0.5, 0], [0, 0.5]]))


@pytest.mark.parametrize("classes", [2, 4])
def test_with_true_probabilities_the_joint_estimates_the_rate_and_the_flips_are_found(classes):
    """A model that is nearly sure of the true class; flips at rate 0.3, 3,000 samples: both to 0.03."""
    rng = random_stream(0, f"confident learning, {classes}")
    true = rng.integers(classes, size=3000)
    labels = np.where(rng.random(3000) < 0.3, (true + rng.integers(1, classes, 3000)) % classes, true)
    logits = 6 * np.eye(classes)[true] + rng.standard_normal((3000, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert 1 - np.trace(score_confident_joint(p, labels)) == pytest.approx(0.3, abs=0.03)
    assert (score_confident_learning(p, labels) == (labels == true)).mean() > 0.97
    assert score_confident_joint(p, labels).sum(1) == pytest.approx(np.bincount(labels) / 3000)


def test_area_under_margin_is_the_mean_over_epochs():
    margins = np.array([[[0.0, 0], [1, 2], [3, 2]]])  # epochs 0, 1, 3; epoch 2 lies between
    record = Record([0, 1, 3], np.ones((1, 2)), np.ones((1, 2)), margins)
    assert area_under_margin_scores(record)[0] == pytest.approx([2, 2])
    assert area_under_margin_scores(record, until=np.array([1]))[0] == pytest.approx([1, 2])
    assert area_under_margin_scores(record, until=np.array([0]))[0] == pytest.approx([1, 2])  # the first epoch at least


def test_auc_is_one_for_scores_that_tell_all_and_half_for_ties():
    flipped = np.array([[True, False, False], [False, True, False]])
    assert score_auc(~flipped, flipped).tolist() == [1, 1]
    assert score_auc(np.zeros((2, 3)), flipped).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="shape of trust"):
        score_auc(np.zeros(3), flipped)


def test_labels_must_be_positions_of_classes_that_are_there():
    with pytest.raises(ValueError, match="whole numbers, where"):
        self_confidence_scores(P, LABELS.astype(float))
    with pytest.raises(ValueError, match="each of them present"):
        score_confident_joint(P, np.zeros(10, int))


def test_confident_joint_counts_by_the_thresholds_of_the_classes():
    """By hand: the thresholds are 0.85 and 0.3, so that 0.35 for class 1 counts, and 0.6 for class 0 does not."""
    p = np.array([0.05, 0.35, 0.05, 0.4, 0.4, 0.1])  # of class 1
    labels = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(score_class_thresholds(np.stack([1 - p, p], 1), labels), [0.85, 0.3])
    np.testing.assert_allclose(score_confident_joint(np.stack([1 - p, p], 1), labels), [[1 / 3, 1 / 6], [1 / 6, 1 / 3]])
