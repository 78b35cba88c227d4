"""Kinds of label noise: what a label turns into, with what probability, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binom, truncnorm

from helpers.data.array_files import CIFAR10_CLASSES
from helpers.data.datasets import CIFAR100_CLASSES, load_digits
from helpers.data.images import LabelledImages, class_index
from helpers.data.label_noise import add_label_noise, label_noise_transition
from helpers.data.noise_kinds import (
    AsymmetricCIFAR10Noise,
    AsymmetricCIFAR100Noise,
    ClassConditionalNoise,
    HumanLabelNoise,
    InstanceDependentNoise,
    PairFlipNoise,
    SymmetricNoise,
    SymmetricRedrawNoise,
    TransitionNoise,
    draw_by_noise_kind,
)
from helpers.streams import random_stream


def images(classes, n=4_000, pixels=1, seed=0):
    """Images of random pixels whose labels are the classes in turn."""
    k, rng = len(classes), np.random.default_rng(seed)
    index = np.arange(n) % k
    y = np.where(index == 1, 1.0, -1.0) if k == 2 else index
    x = rng.random((n, 1, 1, pixels))
    return LabelledImages("made", classes, x, y, x[: n // 2], y[: n // 2])


LETTERS = ("a", "b", "c", "d")
MATRIX = TransitionNoise(((0.7, 0.1, 0.2, 0.0), (0.0, 1.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25), (0.0, 0.0, 0.9, 0.1)))
KINDS = [(SymmetricNoise(0.3), LETTERS), (SymmetricNoise(0.3), ("no", "yes")), (SymmetricRedrawNoise(0.4), LETTERS),
         (PairFlipNoise(0.45), LETTERS), (PairFlipNoise(0.2), ("no", "yes")),
         (AsymmetricCIFAR10Noise(0.4), CIFAR10_CLASSES),
         (AsymmetricCIFAR100Noise(0.4), CIFAR100_CLASSES), (MATRIX, LETTERS),
         (ClassConditionalNoise(0.3, 0.1), ("no", "yes"))]


@pytest.mark.parametrize(("noise", "classes"), KINDS)
def test_transition_matrices_are_row_stochastic_and_take_names_or_numbers(noise, classes):
    matrix = noise.transition_matrix(classes)
    k = len(classes)
    assert matrix.shape == (k, k) and matrix.min() >= 0
    assert np.allclose(matrix.sum(1), 1, rtol=0, atol=1e-12)
    assert np.array_equal(noise.transition_matrix(k), matrix)
    assert hash(noise) == hash(type(noise)(**vars(noise))) and noise == type(noise)(**vars(noise))


@pytest.mark.parametrize(("noise", "classes"), KINDS)
def test_bernoulli_labels_follow_the_transition_matrix(noise, classes):
    """Each count of (true, observed) lies in its binomial law's central interval; all miss at a rate below 1e-5.

    Counts of probability 0 are 0, those of probability 1 are complete: the interval is then a point.
    """
    data = images(classes, 20_000)
    noisy = add_label_noise(data, noise, seed=5)
    k, matrix = len(classes), noise.transition_matrix(classes)
    for y, y_obs in ((noisy.y, noisy.y_obs), (noisy.y_test, noisy.y_test_obs)):
        estimate, counts = label_noise_transition(y, y_obs, k)
        sizes = counts.sum(1, keepdims=True)
        low, high = binom.interval(1 - 1e-5 / k**2 / len(KINDS) / 2, sizes, np.clip(matrix, 0, 1))
        assert ((low <= counts) & (counts <= high))[matrix > 0].all() and (counts[matrix == 0] == 0).all()
        assert np.allclose(estimate, counts / sizes) and np.allclose(estimate.sum(1), 1) and counts.sum() == len(y)
    expected = np.mean(1 - np.diag(matrix))  # classes of equal size, up to one image
    assert noisy.noise["expected_flip_rate"] == pytest.approx(expected, abs=1e-3)
    assert noisy.noise["realised_flip_rate"] == noisy.flipped.mean()
    assert noisy.noise["kind"] == noise.kind and noisy.noise["flip_rate"] == pytest.approx(noise.rate)
    assert noisy.noise["noise_seed"] == 5 and noisy.noise["draw"] == "bernoulli"


@pytest.mark.parametrize(("noise", "classes"), KINDS)
def test_exact_labels_have_the_counts_of_the_transition_matrix(noise, classes):
    """4,000 images: n_class T_ij is an integer for all these matrices but for rounding, so counts are exact."""
    noisy = add_label_noise(images(classes), noise, seed=1, draw="exact")
    wanted = 4_000 / len(classes) * noise.transition_matrix(classes)
    _, counts = label_noise_transition(noisy.y, noisy.y_obs, len(classes))
    if isinstance(noise, SymmetricNoise):  # exact in its total only
        assert noisy.flipped.sum() == 1_200
    else:
        assert np.array_equal(counts, np.rint(wanted))


def test_exact_counts_that_are_no_integers_are_rounded_within_each_class():
    """Seven images of each class, a third each: counts 3, 2, 2 in some order, never 2, 2, 2."""
    third = TransitionNoise(np.full((3, 3), 1 / 3))
    noisy = add_label_noise(images(LETTERS[:3], 21), third, seed=0, draw="exact")
    _, counts = label_noise_transition(noisy.y, noisy.y_obs, 3)
    assert np.array_equal(np.sort(counts, axis=1), [[2, 2, 3]] * 3)


@pytest.mark.parametrize(("noise", "classes"), KINDS)
@pytest.mark.parametrize("draw", ["bernoulli", "exact"])
def test_seeds_reproduce_labels_and_draw_different_ones(noise, classes, draw):
    data = images(classes, 2_000)
    first, again, other = (add_label_noise(data, noise, seed=seed, draw=draw) for seed in (0, 0, 1))
    assert np.array_equal(first.y_obs, again.y_obs) and np.array_equal(first.y_test_obs, again.y_test_obs)
    assert first.noise == again.noise and not np.array_equal(first.y_obs, other.y_obs)
    test_flips = first.y_test != first.y_test_obs  # from a stream of their own
    assert not np.array_equal(first.flipped[: len(data.y_test)], test_flips)
    assert first.y_obs.dtype == data.y.dtype and np.shares_memory(first.x, data.x) and not data.flipped.any()


@settings(deadline=None, max_examples=50)
@given(k=st.integers(2, 8), n=st.integers(1, 60), seed=st.integers(0, 2**32),
       draw=st.sampled_from(["bernoulli", "exact"]))
def test_only_possible_labels_are_drawn_whatever_the_matrix(k, n, seed, draw):
    rng = np.random.default_rng(seed)
    matrix = rng.random((k, k)) * (rng.random((k, k)) < 0.5) + 1e-12 * np.eye(k)  # no row of zeros
    matrix = TransitionNoise(matrix / matrix.sum(1, keepdims=True)).transition_matrix(k)
    index = rng.integers(0, k, n)
    observed = draw_by_noise_kind(matrix[index], index, random_stream(seed, "test"), draw=draw)
    assert observed.shape == (n,) and (matrix[index, observed] > 0).all()
    if draw == "exact":
        counts = np.bincount(index * k + observed, minlength=k * k).reshape(k, k)
        assert (np.abs(counts - np.bincount(index, minlength=k)[:, None] * matrix) < 1).all()


class Ends:
    """Stands for a generator: uniform numbers at the ends of [0, 1), where rounding could pick an impossible class."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def random(self, n):
        return np.full(n, self.numbers.pop(0))


@pytest.mark.parametrize("level", [0.0, np.nextafter(1, 0)])
def test_the_ends_of_the_interval_pick_possible_classes(level):
    rows = np.array([[0.0, 0.3, 0.3, 0.4, 0.0], [0.0, 0.9, 0.1, 0.0, 0.0], [0.1, 0.1, 0.8, 0.0, 0.0]])
    index = np.array([1, 1, 2])
    observed = draw_by_noise_kind(rows, index, Ends(0.0, level))
    assert (observed != index).all() and (rows[np.arange(3), observed] > 0).all()


@pytest.mark.parametrize("kind", [SymmetricRedrawNoise, PairFlipNoise, AsymmetricCIFAR10Noise])
def test_draws_of_one_seed_are_nested_in_the_rate(kind):
    data = images(CIFAR10_CLASSES)
    low, high = (add_label_noise(data, kind(rate), seed=0) for rate in (0.1, 0.4))
    assert low.flipped.sum() < high.flipped.sum() and not (low.flipped & ~high.flipped).any()
    assert np.array_equal(low.y_obs[low.flipped], high.y_obs[low.flipped])


def test_a_number_and_symmetric_noise_are_the_same_labels():
    for data in (images(LETTERS), load_digits()):
        number, kind = (add_label_noise(data, noise, seed=3) for noise in (0.2, SymmetricNoise(0.2)))
        assert np.array_equal(number.y_obs, kind.y_obs) and np.array_equal(number.y_test_obs, kind.y_test_obs)
        assert number.noise.items() <= kind.noise.items()
        assert ("kind" in number.noise) == (data.n_classes > 2)


def test_redraw_leaves_a_share_of_the_labels_true():
    """40% redrawn from ten classes are 36% wrong, and 40% to another class 40%."""
    assert np.mean(1 - np.diag(SymmetricRedrawNoise(0.4).transition_matrix(10))) == pytest.approx(0.36)
    assert np.mean(1 - np.diag(SymmetricNoise(0.4).transition_matrix(10))) == pytest.approx(0.40)


def test_asymmetric_cifar10_flips_the_five_classes_of_the_papers_and_a_fifth_of_all_labels():
    matrix = AsymmetricCIFAR10Noise(0.4).transition_matrix(CIFAR10_CLASSES)
    flips = {(CIFAR10_CLASSES[i], CIFAR10_CLASSES[j]) for i, j in zip(*np.nonzero(matrix)) if i != j}
    assert flips == {("truck", "automobile"), ("bird", "airplane"), ("cat", "dog"), ("dog", "cat"), ("deer", "horse")}
    assert np.mean(1 - np.diag(matrix)) == pytest.approx(0.2)
    order = CIFAR10_CLASSES[::-1]
    assert np.array_equal(AsymmetricCIFAR10Noise(0.4).transition_matrix(order), matrix[::-1, ::-1])
    noisy = add_label_noise(images(CIFAR10_CLASSES), AsymmetricCIFAR10Noise(0.4), seed=0, draw="exact")
    assert noisy.noise["realised_flip_rate"] == pytest.approx(0.2) and noisy.noise["flip_rate"] == 0.4


def test_asymmetric_cifar100_stays_within_blocks_of_five():
    matrix = AsymmetricCIFAR100Noise(0.3).transition_matrix(100)
    i, j = np.nonzero(matrix - np.diag(np.diag(matrix)))
    assert np.array_equal(i // 5, j // 5) and np.array_equal((i + 1) % 5, j % 5) and len(i) == 100
    assert np.array_equal(matrix[i, j], np.full(100, 0.3))


def test_pair_flips_go_to_the_next_class_and_round_the_end():
    matrix = PairFlipNoise(0.45).transition_matrix(3)
    assert np.allclose(matrix, [[0.55, 0.45, 0], [0, 0.55, 0.45], [0.45, 0, 0.55]])


def test_class_conditional_rates_belong_to_their_signs():
    noisy = add_label_noise(images(("no", "yes")), ClassConditionalNoise(flip_plus=0.3, flip_minus=0.1), seed=0,
                            draw="exact")
    assert noisy.flipped[noisy.y > 0].mean() == pytest.approx(0.3)
    assert noisy.flipped[noisy.y < 0].mean() == pytest.approx(0.1)


def test_instance_dependent_rates_have_the_truncated_normal_mean():
    """Over 20,000 images the share of wrong labels has a deviation below sqrt(.25 / 20000) = .0035: 5 of them."""
    data = images(LETTERS, 20_000, pixels=16)
    for rate in (0.05, 0.2, 0.4):
        noisy = add_label_noise(data, InstanceDependentNoise(rate), seed=0)
        mean = truncnorm.mean(-rate / 0.1, (1 - rate) / 0.1, loc=rate, scale=0.1)
        assert noisy.noise["realised_flip_rate"] == pytest.approx(mean, abs=5 * 0.0035)
        assert noisy.noise["expected_flip_rate"] == pytest.approx(mean, abs=5 * 0.1 / 20_000**0.5)
        assert noisy.noise["flip_rate"] == rate and noisy.noise["kind"] == "instance-dependent"


def test_instance_dependent_labels_are_decided_by_the_image():
    """Two labellings with other dice agree on the wrong class more often than chance, as the image favours one class.

    The rows are recomputed here from the definition: W_y of its stream, softmax over the other classes.
    """
    data, noise = images(LETTERS, 400, pixels=16), InstanceDependentNoise(0.4)
    index = class_index(data.y, 4)
    rows = noise.rows(data.x, index, LETTERS, seed=0)
    assert np.allclose(rows.sum(1), 1) and rows.min() >= 0
    q = 1 - rows[np.arange(400), index]
    for i in range(8):
        w = random_stream(0, f"label noise, directions of class {index[i]}").standard_normal((16, 4))
        weight = np.exp(data.x[i].ravel() @ w)
        weight[index[i]] = 0
        other = np.arange(4) != index[i]
        assert np.allclose(rows[i, other], (q[i] * weight / weight.sum())[other], rtol=1e-6)
    test_rows = noise.rows(data.x, index, LETTERS, 0, ", test")  # other rates, the same directions
    assert not np.allclose(rows, test_rows)
    assert np.allclose(rows * (1 - test_rows[np.arange(400), index])[:, None] * np.logical_not(np.eye(4)[index]),
                       test_rows * q[:, None] * np.logical_not(np.eye(4)[index]))


def test_centred_instance_noise_does_not_see_the_mean_image():
    data = images(LETTERS, 400, pixels=16)
    bright = LabelledImages("", LETTERS, data.x / 2 + 0.5, data.y, data.x_test / 2 + 0.5, data.y_test)
    half = LabelledImages("", LETTERS, data.x / 2, data.y, data.x_test / 2, data.y_test)
    for centred, same in ((True, True), (False, False)):
        first, second = (add_label_noise(d, InstanceDependentNoise(0.4, centred=centred), seed=0) for d in (bright,
                                                                                                            half))
        assert np.array_equal(first.y_obs, second.y_obs) == same


def test_images_of_unknown_truth_get_no_noise():
    unknown = LabelledImages("web", LETTERS, np.zeros((4, 1, 1, 1)), np.arange(4), np.zeros((4, 1, 1, 1)), np.arange(4),
                             noise={"kind": "unknown"})
    for noise in (0.1, PairFlipNoise(0.1), HumanLabelNoise(np.arange(4))):
        with pytest.raises(ValueError, match=r"data='web'.*true labels, .* are known"):
            add_label_noise(unknown, noise, seed=0)


def test_noise_replaces_the_observed_labels_and_starts_from_the_true_ones():
    data = images(LETTERS)
    twice = add_label_noise(add_label_noise(data, 0.5, seed=7), PairFlipNoise(0.2), seed=1)
    assert np.array_equal(twice.y_obs, add_label_noise(data, PairFlipNoise(0.2), seed=1).y_obs)


@pytest.mark.parametrize(("make", "name"), [
    (lambda: SymmetricNoise(1.0), "rate=1.0"), (lambda: SymmetricNoise(0.75).transition_matrix(4), "rate=0.75"),
    (lambda: SymmetricNoise("0.2"), "rate"), (lambda: SymmetricRedrawNoise(1.0), "rate"),
    (lambda: PairFlipNoise(0.5), "rate=0.5"),
    (lambda: AsymmetricCIFAR10Noise(-0.1), "rate"), (lambda: AsymmetricCIFAR100Noise(0.5), "rate"),
    (lambda: AsymmetricCIFAR10Noise(0.1).transition_matrix(LETTERS), "classes=.*airplane"),
    (lambda: AsymmetricCIFAR10Noise(0.1).transition_matrix(4), "classes=4.*airplane"),
    (lambda: AsymmetricCIFAR100Noise(0.1).transition_matrix(10), "classes=10.*100"),
    (lambda: ClassConditionalNoise(0.1, 0.5), "flip_minus=0.5"),
    (lambda: ClassConditionalNoise(0.5, 0.1), "flip_plus=0.5"),
    (lambda: ClassConditionalNoise(0.1, 0.1).transition_matrix(3), "classes=3.*two"),
    (lambda: TransitionNoise(((0.5, 0.4), (0.5, 0.5))), "matrix=.*sum to 0.9"),
    (lambda: TransitionNoise(((0.5, 0.500001), (0.5, 0.5))), "matrix=.*sum to"),
    (lambda: TransitionNoise(((1.5, -0.5), (0.5, 0.5))), "matrix=.*from -0.5"),
    (lambda: TransitionNoise(((1.0, 0.0),)), "matrix.shape"),
    (lambda: TransitionNoise(((np.nan, 1), (0, 1))), "matrix"),
    (lambda: MATRIX.transition_matrix(3), "classes=3.*4 classes"), (lambda: MATRIX.transition_matrix(1), "classes=1"),
    (lambda: InstanceDependentNoise(0.0), "rate"), (lambda: InstanceDependentNoise(1.0), "rate"),
    (lambda: InstanceDependentNoise(0.2, std=0.0), "std"),
    (lambda: add_label_noise(images(LETTERS), InstanceDependentNoise(0.2), seed=0, draw="exact"), "draw='exact'"),
    (lambda: add_label_noise(images(LETTERS), PairFlipNoise(0.2), seed=0, draw="poisson"), "draw='poisson'"),
    (lambda: add_label_noise(images(LETTERS), PairFlipNoise(0.2)), "seed=None"),
    (lambda: add_label_noise(images(LETTERS), 0.2), "seed=None"),
    (lambda: add_label_noise(images(LETTERS), 0.75, seed=0), "noise=0.75"),
    (lambda: add_label_noise(images(LETTERS), "pair", seed=0), "noise='pair'"),
    (lambda: add_label_noise(images(LETTERS), ClassConditionalNoise(0.1, 0.1), seed=0), "classes")])
def test_bad_kinds_of_noise_are_named(make, name):
    with pytest.raises(ValueError, match=name):
        make()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_matrix_may_be_rounded_as_its_kind_of_float_is(dtype):
    """Rows are divided by their sums; three roundings of a row are within 2e-3 for 16 bits."""
    given = np.array([[0.9, 0.1], [0.2, 0.8]], dtype)
    matrix = TransitionNoise(given).transition_matrix(2)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-15)
    np.testing.assert_allclose(matrix, [[0.9, 0.1], [0.2, 0.8]], atol=2 * np.finfo(dtype).eps)
