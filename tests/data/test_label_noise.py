"""Label noise: who is flipped, how often, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binom, chi2

from helpers.data.datasets import load_digit_classes, load_digits
from helpers.data.label_noise import add_label_noise, flip_labels, label_noise_transition, realised_label_noise_rate
from helpers.data.noise_kinds import HumanLabelNoise

FROZEN = ([6, 8, 11, 19, 22, 24, 26, 30], 46, [0, 1, 4, 6, 7, 9, 10, 13])
SIGNS = np.where(np.arange(2_000) % 2 == 0, 1.0, -1.0)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.45])
def test_bernoulli_flips_have_the_binomial_law(rate):
    """Over 50 seeds the total of flips is Binomial(50 n, rate): within its central 1 - 1e-6 interval."""
    total = sum(int((flip_labels(SIGNS, rate, seed) != SIGNS).sum()) for seed in range(50))
    low, high = binom.interval(1 - 1e-6, 50 * len(SIGNS), rate)
    assert low <= total <= high


def test_bernoulli_counts_vary_like_a_binomial_and_exact_ones_do_not():
    counts = np.array([(flip_labels(SIGNS, 0.2, seed) != SIGNS).sum() for seed in range(200)])
    # (N-1) s^2 / variance is near chi-square with 199 degrees of freedom; its central 1 - 1e-6 interval
    scaled = 199 * counts.var(ddof=1) / (len(SIGNS) * 0.2 * 0.8)
    assert chi2.ppf(5e-7, 199) < scaled < chi2.ppf(1 - 5e-7, 199)
    exact = {int((flip_labels(SIGNS, 0.2, seed, draw="exact") != SIGNS).sum()) for seed in range(20)}
    assert exact == {400}


def test_flips_do_not_depend_on_the_label():
    """Symmetric: both classes are flipped at the same rate, here within 5 standard deviations of the difference."""
    flipped = np.array([flip_labels(SIGNS, 0.3, seed) != SIGNS for seed in range(50)])
    rates = flipped[:, SIGNS > 0].mean(), flipped[:, SIGNS < 0].mean()
    assert abs(rates[0] - rates[1]) < 5 * np.sqrt(2 * 0.3 * 0.7 / (50 * len(SIGNS) / 2))


@settings(deadline=None, max_examples=50)
@given(k=st.integers(2, 12), n=st.integers(1, 200), seed=st.integers(0, 2**32), share=st.floats(0, 0.99),
       draw=st.sampled_from(["bernoulli", "exact"]))
def test_flipped_labels_are_other_classes(k, n, seed, share, draw):
    labels = np.arange(n) % k
    rate = share * (1 - 1 / k)
    observed = flip_labels(labels, rate, seed, draw=draw, classes=range(k))
    assert observed.dtype == labels.dtype and set(observed) <= set(range(k))
    if draw == "exact":
        assert (observed != labels).sum() == round(rate * n)
    assert realised_label_noise_rate(labels, observed) == (observed != labels).mean()


def test_every_other_class_is_equally_likely():
    """A chi-square test over the 3 other classes of 4, at a false alarm rate of 1e-6."""
    labels = np.full(30_000, 2)
    observed = flip_labels(labels, 0.6, 0, classes=range(4))
    counts = np.array([(observed == other).sum() for other in (0, 1, 3)])
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert statistic < chi2.ppf(1 - 1e-6, 2)


def test_same_seed_same_flips_and_streams_are_independent():
    first, again = (flip_labels(SIGNS, 0.2, 3) for _ in range(2))
    assert np.array_equal(first, again)
    for other in (flip_labels(SIGNS, 0.2, 4), flip_labels(SIGNS, 0.2, 3, stream="another")):
        # independent flips differ in a share 2 * .2 * .8 = .32 of the labels; 2,000 labels give a deviation of .0104
        assert abs((first != other).mean() - 0.32) < 5 * 0.0105


def test_larger_rates_flip_more_and_zero_none():
    assert np.array_equal(flip_labels(SIGNS, 0.0, 0), SIGNS)
    assert np.array_equal(flip_labels(SIGNS, 0, 0, draw="exact"), SIGNS)
    low, high = (flip_labels(SIGNS, rate, 0) != SIGNS for rate in (0.1, 0.4))
    assert low.sum() < high.sum() and not (low & ~high).any()  # one draw of uniform numbers serves all rates


def test_images_get_noisy_training_and_test_labels():
    data = load_digits()
    noisy = add_label_noise(data, 0.2, seed=1)
    assert noisy.x is data.x or np.shares_memory(noisy.x, data.x)
    assert np.array_equal(noisy.y, data.y) and np.array_equal(noisy.y_test, data.y_test)
    assert noisy.noise == {"flip_rate": 0.2, "realised_flip_rate": noisy.flipped.mean(), "draw": "bernoulli"}
    for true, observed in ((noisy.y, noisy.y_obs), (noisy.y_test, noisy.y_test_obs)):
        low, high = binom.interval(1 - 1e-6, len(true), 0.2)
        assert low <= (true != observed).sum() <= high
    size = len(noisy.y_test)  # the flips of the test images are not those of the training images again
    assert not np.array_equal(noisy.flipped[:size], noisy.y_test != noisy.y_test_obs)
    assert not data.flipped.any()
    exact = add_label_noise(data, 0.2, seed=1, draw="exact")
    assert exact.noise["realised_flip_rate"] == 0.2


@pytest.mark.parametrize(("change", "name"), [
    ({"rate": 0.5}, "rate"), ({"rate": -0.1}, "rate"), ({"rate": float("nan")}, "rate"), ({"rate": "0.2"}, "rate"),
    ({"draw": "poisson"}, "draw"), ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"), ({"classes": [1]}, "classes"),
    ({"labels": np.ones((2, 2))}, "labels"), ({"labels": np.ones(0)}, "labels"), ({"labels": np.ones(3)}, "classes"),
    ({"classes": [0, 1]}, "labels"), ({"labels": np.array([1.0, np.nan]), "classes": [-1, 1]}, "labels")])
def test_bad_arguments_are_named(change, name):
    arguments = {"labels": SIGNS, "rate": 0.2, "seed": 0} | change
    with pytest.raises(ValueError, match=name):
        flip_labels(**arguments)


def test_rates_above_a_half_need_more_than_two_classes():
    labels = np.arange(1_000) % 10
    assert 0.8 < realised_label_noise_rate(labels, flip_labels(labels, 0.85, 0)) < 0.9
    with pytest.raises(ValueError, match=r"rate=0.9"):
        flip_labels(labels, 0.9, 0)


def test_realised_rate_needs_equal_lengths():
    with pytest.raises(ValueError, match="observed"):
        realised_label_noise_rate(SIGNS, SIGNS[:-1])


def test_two_class_labels_of_the_first_edition_come_out_unchanged():
    """Positions of the flips that chapters 8 to 10 were computed with, frozen before there were K classes."""
    noisy = add_label_noise(load_digits().subset(200), 0.2, seed=0)
    assert np.flatnonzero(noisy.flipped)[:8].tolist() == FROZEN[0] and noisy.flipped.sum() == FROZEN[1]
    assert np.flatnonzero(noisy.y_test != noisy.y_test_obs)[:8].tolist() == FROZEN[2]


def test_human_labels_are_taken_as_given_and_leave_the_test_labels_true():
    data = load_digit_classes()
    given_labels = np.where(np.arange(data.n) % 4 == 0, (data.y + 1) % 10, data.y)
    noisy = add_label_noise(add_label_noise(data, 0.2, seed=0),
                            HumanLabelNoise(given_labels, source="a class of students"))
    assert np.array_equal(noisy.y_obs, given_labels) and np.array_equal(noisy.y_test_obs, data.y_test)
    assert noisy.noise == {"kind": "human", "source": "a class of students", "realised_flip_rate": 0.25}
    with pytest.raises(ValueError, match=r"labels.shape=\(1000,\).*\(50,\).*before any subset"):
        add_label_noise(data.subset(50), HumanLabelNoise(given_labels))
    with pytest.raises(ValueError, match=r"y_obs=\[10"):
        add_label_noise(data, HumanLabelNoise(given_labels + 1))


def test_empirical_transition_counts_by_hand():
    matrix, counts = label_noise_transition([0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 2, 0], 3)
    assert counts.dtype == np.int64 and counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 1]]
    assert np.allclose(matrix, [[1 / 3, 2 / 3, 0], [0, 1, 0], [0.5, 0, 0.5]])
    matrix, counts = label_noise_transition([-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], 2)
    assert counts.tolist() == [[1, 0], [1, 1]]
    for arguments, name in ((([0, 1], [0, 1], 3), r"y=.*no image of the classes \[2\]"),
                            (([0, 1, 2], [0, 1], 3), "y_obs.shape"), (([0, 1, 3], [0, 1, 2], 3), "y=")):
        with pytest.raises(ValueError, match=name):
            label_noise_transition(*arguments)
