"""The posterior over true classes: against the model it assumes, where it is right, and where it says it fails."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from helpers.practice import posterior as module
from helpers.practice.posterior import fit_label_pool, label_posterior, pool_probabilities
from helpers.streams import random_stream

K = 4


def drawn(n, transition, seed=0, noise=1.0, sharp=5.0):
    """True classes, observed labels, and two classifiers: one hesitant by a power of 1/3, one of pure noise."""
    rng = random_stream(seed, "drawn classifiers")
    q = softmax(sharp * np.eye(K)[rng.integers(K, size=n)] + noise * rng.standard_normal((n, K)), axis=1)
    true = (rng.random(n)[:, None] > q.cumsum(1)).sum(1)
    observed = (rng.random(n)[:, None] > np.array(transition)[true].cumsum(1)).sum(1)
    hesitant = softmax(np.log(q) / 3, axis=1)
    return true, observed, q, hesitant, softmax(rng.standard_normal((n, K)), axis=1)


SYMMETRIC = module._symmetric(0.3, K)
SKEWED = np.array([[0.6, 0.4, 0, 0], [0, 1, 0, 0], [0.1, 0, 0.7, 0.2], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("transition", [SYMMETRIC, SKEWED])
def test_powers_and_transition_are_found_where_the_model_holds(transition):
    _, observed, _, hesitant, noise = drawn(6000, transition)
    found = fit_label_pool({"hesitant": hesitant, "noise": noise}, observed)
    assert found.powers[0] == pytest.approx(3, rel=0.25) and found.powers[1] < 0.1
    assert np.abs(found.transition - transition).max() < 0.06


def test_the_posterior_is_bayes_rule_and_calibrated():
    """Against the formula with the true q and T, and the share of wrong labels among those that it doubts."""
    true, observed, q, hesitant, _ = drawn(6000, SKEWED)
    found = label_posterior(pool_probabilities([hesitant], observed), observed)
    exact = q * SKEWED[:, observed].T
    exact /= exact.sum(1, keepdims=True)
    assert np.abs(found - exact).mean() < 0.02
    wrong = 1 - found[np.arange(6000), observed]
    assert wrong.mean() == pytest.approx((true != observed).mean(), abs=0.02)
    doubted = wrong > 0.5
    assert (true != observed)[doubted].mean() == pytest.approx(wrong[doubted].mean(), abs=0.06)


def test_a_second_view_ranks_better_than_either():
    true, observed, _, hesitant, _ = drawn(3000, SYMMETRIC, noise=3.0, sharp=3.0)
    rng = random_stream(5, "two views")
    views = [softmax(np.log(hesitant) + rng.standard_normal((3000, K)), axis=1) for _ in range(2)]
    rank = lambda parts: roc_auc_score(true != observed, 1 - label_posterior(  # noqa: E731
        pool_probabilities(parts, observed), observed)[np.arange(3000), observed])
    assert rank(views) > max(rank(views[:1]), rank(views[1:])) + 0.005


def test_a_rule_that_repeats_the_labels_finds_nothing():
    _, observed, *_ = drawn(2000, SYMMETRIC)
    memorised = 0.98 * np.eye(K)[observed] + 0.005
    found = label_posterior(pool_probabilities([memorised], observed), observed)
    assert (1 - found[np.arange(2000), observed]).mean() < 0.01


def test_margins_move_the_observed_class_and_leave_the_others_in_proportion():
    _, observed, _, hesitant, noise = drawn(500, SYMMETRIC)
    plain = pool_probabilities({"a": hesitant, "b": noise}, observed)
    rows = np.arange(500)
    for sign in (-1, 1):
        moved = pool_probabilities({"a": hesitant, "b": noise}, observed, margins=np.full(500, 4.0 * sign), of="a")
        change = np.sign(moved[rows, observed] - plain[rows, observed])
        undecided = np.abs(plain[rows, observed] - 0.5) < 0.4
        assert undecided.sum() > 20 and (change[undecided] == sign).all()
    unweighted = pool_probabilities({"b": noise, "a": hesitant}, observed, margins=np.full(500, -4.0), of="b")
    assert np.abs(unweighted - plain).max() < 0.3  # the part of power near 0 lends its margins none


def test_a_class_that_nobody_is_observed_as_gets_the_prior_row():
    _, observed, _, hesitant, _ = drawn(800, np.array([[0, 0.5, 0.25, 0.25]] + [[0.0] * i + [1] + [0] * (3 - i)
                                                                                for i in (1, 2, 3)], float))
    assert 0 not in observed
    found = label_posterior(pool_probabilities([hesitant], observed), observed)
    assert np.isfinite(found).all() and np.allclose(found.sum(1), 1)


@pytest.mark.parametrize(("arguments", "message"), [
    (([], [0]), "parts"), (([[[0.5, 0.6]]], [0]), "rows that sum to 1"),
    (([[[0.5, 0.5]]], [2]), "positions from 0 to 1"),
    (([[[0.5, 0.5]]], [0, 1]), "1 whole numbers"), (([[[0.5, 0.5]]], [0.0]), "whole numbers"),
    (([[[0.5, 0.5]], [[0.2, 0.3, 0.5]]], [0]), "one shape"), (([[[np.nan, 0.5]]], [0]), "finite")])
def test_what_is_no_probability_or_no_label_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        pool_probabilities(*arguments)


def test_a_part_that_is_not_there_is_refused():
    p = {"net": [[0.6, 0.4], [0.3, 0.7]]}
    with pytest.raises(ValueError, match="of='other'"):
        pool_probabilities(p, [0, 1], margins=[0.0, 0.0], of="other")
    with pytest.raises(ValueError, match="no margins"):
        pool_probabilities(p, [0, 1], of="net")
    with pytest.raises(ValueError, match=r"margins\.shape"):
        pool_probabilities(p, [0, 1], margins=[0.0])
