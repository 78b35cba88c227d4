"""Label noise: observed labels that are wrong at a known rate. Its kinds are in `helpers.data.noise_kinds`."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int64, Real
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledData, class_index, class_labels, labels_as_index
from helpers.data.noise_kinds import (
    HumanLabelNoise,
    InstanceDependentNoise,
    MatrixNoise,
    SymmetricNoise,
    draw_by_noise_kind,
)
from helpers.entry import entry
from helpers.streams import random_stream

Labelled = TypeVar("Labelled", bound=LabelledData)


@entry(own=("labels", "classes"))
def flip_labels(labels: ArrayLike, rate: float, seed: int, *, draw: str = "bernoulli",
                classes: ArrayLike | None = None, stream: str = "label noise") -> Real[np.ndarray, " n"]:
    """Symmetric noise: a share `rate` of the labels, each moved to one of the other classes with equal chances.

    Parameters
    ----------
    labels
        true labels, of two classes or more.
    rate
        share of wrong labels, in [0, 1 - 1/K) for K classes: the true class stays the most likely one.
    seed, stream
        an integer >= 0 and the name of the stream of random numbers.
    draw
        "bernoulli" flips each label independently with probability `rate`, as the theory does; "exact" flips round(rate
        * n) of them, chosen at random.
    classes
        all classes; by default those among `labels`.

    Returns
    -------
    observed
        the observed labels, in the dtype of `labels`.

    Raises
    ------
    ValueError
        If there are fewer than two classes, a label is none of them, or the rate is out of range.
    """
    labels = np.asarray(labels)
    checks.require(labels.ndim == 1 and labels.size > 0, "labels.shape", labels.shape, "(n,), not empty")
    if classes is not None:
        classes = np.asarray(classes)
        checks.require(classes.ndim == 1, "classes.shape", classes.shape, "(K,)")
    classes = np.unique(labels if classes is None else classes)
    checks.require(len(classes) >= 2, "classes", classes.tolist(), "two classes or more")
    strangers = np.setdiff1d(labels, classes).tolist()
    checks.require(not strangers, "labels", strangers[:5], f"among the classes {classes.tolist()}")
    rate = checks.real("rate", rate, 0.0, 1.0 - 1.0 / len(classes), open_high=True)
    checks.one_of("draw", draw, ("bernoulli", "exact"))
    rng = random_stream(seed, stream)
    chosen = rng.random(len(labels)) < rate
    if draw == "exact":
        chosen = np.isin(np.arange(len(labels)), rng.permutation(len(labels))[: round(rate * len(labels))])
    step = rng.integers(1, len(classes), len(labels))  # 1 to K - 1 places on, cyclically: never back to the true class
    other = classes[(np.searchsorted(classes, labels) + step) % len(classes)]
    return np.where(chosen, other, labels)


def realised_label_noise_rate(labels: ArrayLike, observed: ArrayLike) -> float:
    """The share of labels that really are wrong."""
    labels, observed = np.asarray(labels), np.asarray(observed)
    checks.require(labels.shape == observed.shape and labels.size > 0, "observed.shape", observed.shape,
                   f"{labels.shape}, not empty")
    return float(np.mean(labels != observed))


@entry
def add_label_noise(data: Labelled, noise: float | MatrixNoise | InstanceDependentNoise | HumanLabelNoise, *,
                    seed: int | None = None, draw: str = "bernoulli") -> Labelled:
    """A copy of `data` whose observed labels, of training and of test samples, are wrong at random.

    The test samples' labels are drawn afresh, from a stream of their own; human labels leave them true. Pixels are
    shared with `data`, not copied.

    Parameters
    ----------
    data
        images, or rows of features. Noise is put on the true labels: observed labels that they have are replaced.
    noise
        a number, the rate of symmetric noise, or one of the kinds: `SymmetricNoise`, `SymmetricRedrawNoise`,
        `PairFlipNoise`, `AsymmetricCIFAR10Noise`, `AsymmetricCIFAR100Noise`, `ClassConditionalNoise`,
        `TransitionNoise`, `InstanceDependentNoise`, `HumanLabelNoise`.
    seed
        an integer >= 0; only `HumanLabelNoise` need none.
    draw
        "bernoulli", each image by itself, or "exact" counts: round(rate * n) wrong labels of symmetric noise, and
        n_class T_ij, rounded, of noise with a transition matrix. Instance-dependent noise has no exact draw.

    Returns
    -------
    noisy
        the same samples; their field `noise` says what was done. A number on two classes gives flip_rate (asked for),
        realised_flip_rate (on the training set) and draw. All else gives also kind, expected_flip_rate (the mean over
        the training images of the probability of a wrong label: what a requested rate means depends on the kind) and
        noise_seed; human labels give kind, source and realised_flip_rate.

    Raises
    ------
    ValueError
        If the noise does not fit the classes, or nobody knows the true labels of `data`.

    Examples
    --------
    >>> from helpers.data import PairFlipNoise, add_label_noise, load_digit_classes
    >>> noisy = add_label_noise(load_digit_classes(), PairFlipNoise(0.2), seed=0)
    >>> round(noisy.noise["realised_flip_rate"], 3)
    0.19
    >>> noisy.y[noisy.flipped][:4].tolist(), noisy.y_obs[noisy.flipped][:4].tolist()
    ([3, 4, 4, 2], [4, 5, 5, 3])
    """
    checks.instance("data", data, LabelledData)
    known = data.truth_known and data.n_test_known == data.n_test
    checks.require(known, "data", data.name, "data whose true labels, of training and of test samples, are known")
    if isinstance(noise, HumanLabelNoise):
        return _human(data, noise)
    kind = noise
    if isinstance(noise, float):
        kind = SymmetricNoise(checks.real("noise", noise, 0.0, 1.0 - 1.0 / data.n_classes, open_high=True))
    y_obs, expected = _observe(kind, data, data.x, data.y, "training", seed, draw)
    y_test_obs = _observe(kind, data, data.x_test, data.y_test, "test", seed, draw)[0] if data.n_test else None
    rates = {"flip_rate": float(kind.rate), "realised_flip_rate": realised_label_noise_rate(data.y, y_obs),
             "draw": draw}
    if kind is noise or data.n_classes > 2:
        rates |= {"kind": kind.kind, "expected_flip_rate": expected, "noise_seed": int(seed)}
    return replace(data, y_obs=y_obs, y_test_obs=y_test_obs, noise=rates)


@entry(own=("y", "y_obs"))
def label_noise_transition(y: ArrayLike, y_obs: ArrayLike,
                           n_classes: int) -> tuple[Float[np.ndarray, "K K"], Int64[np.ndarray, "K K"]]:
    """How often each class was observed as each.

    Parameters
    ----------
    y, y_obs
        true and observed labels, -1 and +1 for two classes, 0 to K - 1 for more.
    n_classes
        K.

    Returns
    -------
    matrix, counts
        counts[i, j] images of the class at position i are observed as that at j; the matrix is counts over the sums of
        its rows, row-stochastic: the maximum likelihood estimate of T.

    Raises
    ------
    ValueError
        If a class has no image, or a label is of no class.
    """
    true, observed = (labels_as_index(name, value, n_classes) for name, value in (("y", y), ("y_obs", y_obs)))
    fits = true.ndim == 1 and true.shape == observed.shape
    checks.require(fits, "y_obs.shape", observed.shape, f"(n,) as y, which has {true.shape}")
    counts = np.bincount(true * n_classes + observed, minlength=n_classes**2).reshape(n_classes, n_classes)
    sizes = counts.sum(1, keepdims=True)
    missing = np.flatnonzero(sizes == 0).tolist()
    checks.require(not missing, "y", f"<no image of the classes {missing[:5]}>", "labels among which is every class")
    return counts / sizes, counts


def _observe(kind: MatrixNoise | InstanceDependentNoise, data: LabelledData, x: np.ndarray, y: np.ndarray, part: str,
             seed: int, draw: str) -> tuple[Real[np.ndarray, " n"], float]:
    """Observed labels of one part of the data, and the expected share of wrong ones."""
    k, stream = data.n_classes, f"label noise, {part}"
    index = class_index(y, k)
    if isinstance(kind, SymmetricNoise):
        y_obs = flip_labels(y, kind.rate, seed, draw=draw, classes=class_labels(np.arange(k), k), stream=stream)
        return y_obs, float(kind.rate)
    if isinstance(kind, InstanceDependentNoise):
        checks.one_of("draw", draw, ("bernoulli",))  # each image has a law of its own
        rows = kind.rows(x, index, data.classes, seed, f", {part}", data.x.mean(0, keepdims=True))
    else:
        rows = kind.rows(x, index, data.classes, seed)
    observed = draw_by_noise_kind(rows, index, random_stream(seed, stream), draw=draw)
    return class_labels(observed, k), float(np.mean(1 - rows[np.arange(len(index)), index]))


def _human(data: Labelled, noise: HumanLabelNoise) -> Labelled:
    labels = np.asarray(noise.labels)
    checks.require(labels.shape == data.y.shape, "labels.shape", labels.shape,
                   f"{data.y.shape}: one a training image, in the order of the file, before any subset is taken")
    observed = replace(data, y_obs=labels, y_test_obs=data.y_test)
    rate = realised_label_noise_rate(observed.y, observed.y_obs)
    return replace(observed, noise={"kind": noise.kind, "source": noise.source, "realised_flip_rate": rate})
