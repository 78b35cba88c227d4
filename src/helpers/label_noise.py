"""Label noise: observed labels that are wrong at a known rate."""

from dataclasses import replace

import numpy as np

from helpers import checks
from helpers.signal_noise import random_stream


def flip_labels(labels, rate, seed, *, draw="bernoulli", classes=None, stream="label noise"):
    """Symmetric noise: a share `rate` of the labels, each moved to one of the other classes with equal chances.

    Parameters
    ----------
    labels : (n,) true labels, of two classes or more.
    rate : share of wrong labels, in [0, 1 - 1/K) for K classes: the true class stays the most likely one.
    seed, stream : an integer >= 0 and the name of the stream of random numbers.
    draw : "bernoulli" flips each label independently with probability `rate`, as the theory does; "exact" flips
        round(rate * n) of them, chosen at random.
    classes : all classes; by default those among `labels`.

    Returns the observed labels (n,), in the dtype of `labels`. Raises ValueError.
    """
    labels = np.asarray(labels)
    checks.require(labels.ndim == 1 and labels.size > 0, "labels.shape", labels.shape, "(n,), not empty")
    classes = np.unique(labels if classes is None else np.asarray(classes))
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


def realised_rate(labels, observed):
    """The share of labels that really are wrong."""
    labels, observed = np.asarray(labels), np.asarray(observed)
    checks.require(labels.shape == observed.shape and labels.size > 0, "observed.shape", observed.shape,
                   f"{labels.shape}, not empty")
    return float(np.mean(labels != observed))


def add_label_noise(data, rate, seed, draw="bernoulli"):
    """A copy of the images `data` whose observed labels, of training and of test images, are symmetrically wrong.

    The test images' labels are drawn afresh, from a stream of their own. The rate asked for and the one realised on the
    training set go into `noise`. Pixels are shared with `data`, not copied.
    """
    y_obs = flip_labels(data.y, rate, seed, draw=draw, stream="label noise, training")
    y_test_obs = flip_labels(data.y_test, rate, seed, draw=draw, stream="label noise, test")
    noise = {"flip_rate": float(rate), "realised_flip_rate": realised_rate(data.y, y_obs), "draw": draw}
    return replace(data, y_obs=y_obs, y_test_obs=y_test_obs, noise=noise)
