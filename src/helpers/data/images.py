"""Real images of two classes or more as arrays, with their true and their observed labels."""

import os
from dataclasses import dataclass, field, replace

import numpy as np

from helpers import checks
from helpers.data.array_files import CIFAR10_CLASSES, CIFAR10_SPEC, pixels_from_bytes, read_arrays
from helpers.streams import random_stream

CIFAR10_VARIABLE = "SIGNAL_FIRST_CIFAR10"


@dataclass(frozen=True)
class LabelledImages:
    """Training and test images of K >= 2 classes with their true and their observed labels.

    Two classes have the labels -1 and +1 (float64), more have the labels 0 to K - 1 (int64): the position of the name
    in `classes`. `class_index` and `class_labels` change one into the other.

    Attributes
    ----------
    name : what to call the data in text and figures.
    classes : (K,) names; with two, those of the classes -1 and +1, in this order.
    x, x_test : (n, channels, height, width), (n_test, ...) float32 pixels in [0, 1].
    y, y_test : (n,), (n_test,) true labels.
    y_obs, y_test_obs : observed labels; the true ones unless given. `label_noise.add_label_noise` makes wrong ones.
    noise : how the observed labels came about; `fit` copies it into the Record. Where noise["kind"] is "unknown" nobody
        knows the true labels of the training set: y repeats y_obs there, and `flipped` says nothing.
    """

    name: str
    classes: tuple
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    y_obs: np.ndarray = None
    y_test_obs: np.ndarray = None
    noise: dict = field(default_factory=dict)

    def __post_init__(self):
        set_field = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 (frozen)
        set_field("classes", _class_names(self.classes))
        for name in ("x", "x_test"):
            set_field(name, _pixels(name, getattr(self, name)))
        checks.require(self.x.shape[1:] == self.x_test.shape[1:], "x_test.shape", self.x_test.shape,
                       f"(n_test, {', '.join(map(str, self.x.shape[1:]))}), as x")
        for true, observed, x in (("y", "y_obs", self.x), ("y_test", "y_test_obs", self.x_test)):
            set_field(true, _labels(true, getattr(self, true), len(x), self.n_classes))
            given = getattr(self, true if getattr(self, observed) is None else observed)
            set_field(observed, _labels(observed, given, len(x), self.n_classes))

    @property
    def n(self):
        """Number of training images."""
        return len(self.x)

    @property
    def n_classes(self):
        """K, the number of classes."""
        return len(self.classes)

    @property
    def image_shape(self):
        """(channels, height, width)."""
        return self.x.shape[1:]

    @property
    def flipped(self):
        """(n,) bool: which training images carry a wrong label. Nothing is known of it for noise of unknown kind."""
        return self.y != self.y_obs

    def subset(self, n_train, *, seed=0):
        """The same data with `n_train` of its training images, drawn at random; the test set is kept whole.

        The draw depends on n, n_train and the seed alone: data that differ in their labels have the same subset. A
        realised rate in `noise` becomes that of the subset.
        """
        n_train = checks.integer("n_train", n_train)
        checks.require(n_train <= self.n, "n_train", n_train, f"an integer from 1 to {self.n}, the images there are")
        chosen = np.sort(random_stream(seed, "subset of images").permutation(self.n)[:n_train])
        y, y_obs = self.y[chosen], self.y_obs[chosen]
        return replace(self, x=self.x[chosen], y=y, y_obs=y_obs, noise=_rate_again(self.noise, y, y_obs))


def shrunk(data, side):
    """`data` with images of side by side pixels, each the mean of a square. ValueError unless side divides the old."""
    old = data.image_shape[1]
    side = checks.integer("side", side)
    checks.require(old % side == 0, "side", side, f"a divisor of {old}, the side of the images")
    small = lambda x: x.reshape(*x.shape[:2], side, old // side, side, old // side).mean((3, 5))  # noqa: E731
    return replace(data, x=small(data.x), x_test=small(data.x_test))


def class_index(y, n_classes):
    """The labels `y`, an array of any shape, as int64 positions 0 to n_classes - 1 in the list of classes.

    Two classes: -1 becomes 0 and +1 becomes 1. More: integers 0 to n_classes - 1, whatever their dtype. ValueError.
    """
    return _index("y", np.asarray(y), checks.integer("n_classes", n_classes, 2))


def _index(name, y, n_classes):
    allowed = (-1, 1) if n_classes == 2 else np.arange(n_classes)
    text = "labels -1 or +1, of two classes" if n_classes == 2 else f"whole numbers from 0 to {n_classes - 1}"
    checks.require(y.dtype.kind in "iuf", name, f"<{y.dtype}>", text)
    strangers = np.setdiff1d(y, allowed).tolist()
    checks.require(not strangers, name, strangers[:5], text)
    return (y > 0).astype(np.int64) if n_classes == 2 else y.astype(np.int64)


def class_labels(index, n_classes):
    """Labels of the positions `index`: the inverse of `class_index`. Two classes give float64 -1 and +1."""
    n_classes, index = checks.integer("n_classes", n_classes, 2), np.asarray(index)
    text = f"integers from 0 to {n_classes - 1}"
    checks.require(np.issubdtype(index.dtype, np.integer), "index", f"<{index.dtype}>", text)
    strangers = np.setdiff1d(index, np.arange(n_classes)).tolist()
    checks.require(not strangers, "index", strangers[:5], text)
    return np.where(index == 1, 1.0, -1.0) if n_classes == 2 else index.astype(np.int64)


def as_two_classes(data, negative, positive):
    """Two classes out of many: -1 for `negative`, +1 for `positive`, each a name or a tuple of names of data.classes.

    Only images stay whose true and whose observed class are among those named. An image whose wrong label points
    outside is left out, so take the two classes first and add the noise then, unless it is the noise of the file. The
    realised rate in `noise` becomes that of the images that stay. Raises ValueError.
    """
    groups = [names if isinstance(names, tuple) else (names,) for names in (negative, positive)]
    for name, group in zip(("negative", "positive"), groups):
        checks.require(len(group) > 0, name, group, f"a class or several of {', '.join(map(str, data.classes))}")
        for one in group:
            checks.one_of(name, one, data.classes)
    both = set(groups[0]) & set(groups[1])
    checks.require(not both, "positive", sorted(both), "classes that are not in `negative`")
    sign = np.array([-1.0 if one in groups[0] else 1.0 if one in groups[1] else 0.0 for one in data.classes])
    y, y_obs, y_test, y_test_obs = (sign[class_index(labels, data.n_classes)]
                                    for labels in (data.y, data.y_obs, data.y_test, data.y_test_obs))
    kept, kept_test = y * y_obs != 0, y_test * y_test_obs != 0
    classes = tuple(", ".join(map(str, group)) for group in groups)
    wanted = f"images with the classes {' and '.join(classes)}, for training and for testing"
    checks.require(kept.any() and kept_test.any(), "data", data.name, wanted)
    y, y_obs = y[kept], y_obs[kept]
    return LabelledImages(f"{data.name}: {classes[0]} against {classes[1]}", classes, data.x[kept], y,
                          data.x_test[kept_test], y_test[kept_test], y_obs, y_test_obs[kept_test],
                          _rate_again(data.noise, y, y_obs))


def load_images():
    """CIFAR-10's airplanes and automobiles where SIGNAL_FIRST_CIFAR10 names its files, else scikit-learn's digits.

    Raises ValueError, saying what to put where, if the variable is set and leads to no CIFAR-10.
    """
    path = os.environ.get(CIFAR10_VARIABLE)
    return load_cifar10_pair(path) if path else load_digits()


def load_digits(*, n_train=1000, seed=0):
    """scikit-learn's 1,797 images of handwritten digits, 8 by 8 pixels: even digits (-1) against odd ones (+1).

    The data come inside scikit-learn (the test part of UCI's "Optical recognition of handwritten digits") and have no
    split of their own. Ours is drawn at random, so that digits of one writer fall on both sides.
    """
    x, digits, x_test, digits_test = digit_arrays(n_train, seed)
    y, y_test = (np.where(part % 2 == 1, 1.0, -1.0) for part in (digits, digits_test))
    return LabelledImages("handwritten digits", ("even", "odd"), x, y, x_test, y_test)


def digit_arrays(n_train, seed):
    """Images, digits 0 to 9, test images and their digits: scikit-learn's digits, split at random."""
    from sklearn import datasets

    images, digits = datasets.load_digits(return_X_y=True)
    n_train = checks.integer("n_train", n_train)
    checks.require(n_train < len(digits), "n_train", n_train, f"an integer from 1 to {len(digits) - 1}")
    x = (images / 16.0).reshape(-1, 1, 8, 8)  # sixteen grey levels
    train, test = np.split(random_stream(seed, "split of the digits").permutation(len(digits)), [n_train])
    return x[train], digits[train], x[test], digits[test]


def load_cifar10_pair(path):
    """CIFAR-10's first two classes, airplane (-1) and automobile (+1): 10,000 training and 2,000 test images.

    `path` is an .npz file with the arrays x_train, y_train, x_test, y_test (images uint8 (n, 32, 32, 3), labels 0 to
    9), or the folder in which torchvision keeps CIFAR-10 (its `root`, the one that holds cifar-10-batches-py).
    Raises ValueError.
    """
    arrays = read_arrays(path, CIFAR10_SPEC)
    parts = [part for name in ("train", "test") for part in _first_two(arrays, name)]
    return LabelledImages("CIFAR-10 images", CIFAR10_CLASSES[:2], *parts)


def _first_two(arrays, part):
    """Images of the labels 0 and 1 as (n, 3, 32, 32) pixels in [0, 1], and labels -1, +1."""
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    checks.require(bool(np.isin((0, 1), y).all()), f"y_{part}", np.unique(y).tolist(), "labels among which are 0 and 1")
    chosen = y < 2
    return pixels_from_bytes(x[chosen]), np.where(y[chosen] == 1, 1.0, -1.0)


def _class_names(classes):
    names = tuple(classes) if np.iterable(classes) and not isinstance(classes, str) else ()
    checks.require(len(names) >= 2 and len(set(names)) == len(names), "classes", classes, "two different names or more")
    return names


def _labels(name, value, n, n_classes):
    if n_classes == 2:
        return checks.labels(name, value, n).numpy()
    return _index(name, checks.vectors(name, value, n).numpy(), n_classes)


def _rate_again(noise, y, y_obs):
    """`noise` with the realised rate of other images, where it has one."""
    return noise | {"realised_flip_rate": float(np.mean(y != y_obs))} if "realised_flip_rate" in noise else noise


def _pixels(name, value):
    pixels = np.ascontiguousarray(value, dtype=np.float32)
    allowed = "(n, channels, height, width), not empty"
    checks.require(pixels.ndim == 4 and pixels.size > 0, f"{name}.shape", pixels.shape, allowed)
    low, high = pixels.min(), pixels.max()  # NaN if any pixel is, and then both comparisons are false
    checks.require(bool(low >= 0 and high <= 1), name, f"<from {low} to {high}>", "pixels in [0, 1]")
    return pixels
