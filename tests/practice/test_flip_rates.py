"""Estimates of the flip rate: the identity behind their bias, intervals, warnings, and the cautious count."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from helpers.data.datasets import load_digit_classes
from helpers.data.images import class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import SymmetricNoise
from helpers.data.subsets import hold_out
from helpers.intervals import share_interval
from helpers.practice.flip_rates import ASSUMES, COLUMNS, cautious_count, flip_rate_estimates
from helpers.record import UNKNOWN_KIND
from helpers.streams import random_stream
from helpers.training.cross_validation import out_of_fold
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN


@pytest.fixture(scope="module")
def digits():
    data = hold_out(add_label_noise(load_digit_classes(n_train=440), SymmetricNoise(0.2), seed=0), 40)
    record = fit(SmallCNN(data.image_shape, width=8, n_outputs=10), data, Recipe(epochs=8, batch_size=20), 0, n_val=40)
    return data, record, out_of_fold(KNeighborsClassifier(7), data)


def test_contradicted_is_wrong_plus_clean_missed_minus_wrong_fitted(digits):
    """prop-rate-estimates, exactly, at every recorded time, and for the folds."""
    data, record, p = digits
    wrong = data.flipped
    predicted = np.array([class_index(row, 10) for row in record.predictions[0]])
    for said in [*predicted, p.argmax(1)]:
        missed, fitted = (said != data.y_obs) & ~wrong, (said == data.y_obs) & wrong
        assert (said != data.y_obs).sum() == wrong.sum() + missed.sum() - fitted.sum()
    stop = record.validation_observed_error[0].argmin()
    table = flip_rate_estimates(data, record=record, probabilities=p).set_index("method")
    said = predicted[stop]
    bias = ((said != data.y_obs) & ~wrong).mean() - ((said == data.y_obs) & wrong).mean()
    assert table.estimate["training plateau"] - wrong.mean() == pytest.approx(bias)


def test_all_five_estimates_come_with_interval_and_bias(digits):
    data, record, p = digits
    table = flip_rate_estimates(data, record=record, probabilities=p, parts=[p, p])
    assert tuple(table.columns) == COLUMNS and table.method.tolist() == list(ASSUMES)
    assert ((table.low <= table.estimate) & (table.estimate <= table.high)).all() and (table.low > 0).all()
    assert (np.abs(table.estimate - data.flipped.mean())[-2:] < 0.04).all()  # what reads the good classifier
    count = round(float(record.validation_observed_error.min()) * 40)
    level = table.set_index("method").loc["validation level"]
    assert level[["low", "high"]].tolist() == share_interval(count, 40).tolist()
    again = flip_rate_estimates(data, record=record, probabilities=p, parts=[p, p])
    assert again.equals(table) and again.attrs == table.attrs


def test_no_true_label_is_read_to_estimate(digits):
    data, record, p = digits
    blind = replace(data, y=data.y_obs, noise={"kind": UNKNOWN_KIND})
    unseen = flip_rate_estimates(blind, record=record, probabilities=p)
    assert unseen.equals(flip_rate_estimates(data, record=record, probabilities=p))


def test_a_record_alone_gives_two_estimates_and_probabilities_alone_three(digits):
    data, record, p = digits
    assert flip_rate_estimates(data, record=record).method.tolist() == ["training plateau", "validation level"]
    alone = replace(record, validation_observed_error=None)
    assert flip_rate_estimates(data, record=alone, stop=3).method.tolist() == ["training plateau"]
    assert flip_rate_estimates(data, probabilities=p).method.tolist() == list(ASSUMES)[2:]
    with pytest.raises(ValueError, match="stop"):
        flip_rate_estimates(data, record=alone)
    with pytest.raises(ValueError, match="record"):
        flip_rate_estimates(data)


def test_estimates_that_differ_widely_warn_and_the_cautious_count_follows_the_least(digits):
    """A rule that repeats nearly every label beside a classifier that guesses: a count taken from the latter harms."""
    data, record, _ = digits
    guesses = random_stream(0, "guesses").dirichlet(np.ones(10), data.n)
    table = flip_rate_estimates(data, record=record, probabilities=guesses)
    assert table.attrs["spread"] > 2 and "look at some" in table.attrs["warning"]
    far = table.estimate > 2 * table.estimate.min()
    assert far.any() and ((table.warning != "") == far).all()
    assert cautious_count(table, data.n) == int(table.low.min() * data.n) < table.estimate.min() * data.n
    calm = flip_rate_estimates(data, record=record)
    assert (calm.attrs["warning"] == "") == (calm.attrs["spread"] <= 2)


def test_a_count_of_nothing_is_refused(digits):
    data, record, _ = digits
    table = flip_rate_estimates(data, record=record)
    with pytest.raises(ValueError, match="estimates"):
        cautious_count(table.head(0), 10)
    with pytest.raises(ValueError, match="n="):
        cautious_count(table, 0)
    with pytest.raises(ValueError, match="a row for each"):
        flip_rate_estimates(data, probabilities=np.full((3, 10), 0.1))
    with pytest.raises(ValueError, match="same observed labels"):
        flip_rate_estimates(replace(data, y_obs=np.roll(data.y_obs, 1)), record=record)
