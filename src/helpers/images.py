"""Two classes of real images as arrays: scikit-learn's digits, or CIFAR-10 where its files are at hand."""

import os
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from helpers import checks
from helpers.signal_noise import random_stream

CIFAR10_VARIABLE = "SIGNAL_FIRST_CIFAR10"
CIFAR10_CLASSES = ("airplane", "automobile")  # labels 0 and 1
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class LabelledImages:
    """Training and test images of two classes with their true and their observed labels.

    Attributes
    ----------
    name : what to call the data in text and figures.
    classes : the names of the classes -1 and +1, in this order.
    x, x_test : (n, channels, height, width), (n_test, ...) float32 pixels in [0, 1].
    y, y_test : (n,), (n_test,) float64 true labels, -1 or +1.
    y_obs, y_test_obs : observed labels; the true ones unless given. `label_noise.add_label_noise` makes wrong ones.
    noise : how the observed labels came about; `fit` copies it into the Record.
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
        checks.require(len(self.classes) == 2, "classes", self.classes, "two names")
        for name in ("x", "x_test"):
            set_field(name, _pixels(name, getattr(self, name)))
        checks.require(self.x.shape[1:] == self.x_test.shape[1:], "x_test.shape", self.x_test.shape,
                       f"(n_test, {', '.join(map(str, self.x.shape[1:]))}), as x")
        for true, observed, x in (("y", "y_obs", self.x), ("y_test", "y_test_obs", self.x_test)):
            set_field(true, checks.labels(true, getattr(self, true), len(x)).numpy())
            given = getattr(self, true if getattr(self, observed) is None else observed)
            set_field(observed, checks.labels(observed, given, len(x)).numpy())

    @property
    def n(self):
        """Number of training images."""
        return len(self.x)

    @property
    def image_shape(self):
        """(channels, height, width)."""
        return self.x.shape[1:]

    @property
    def flipped(self):
        """(n,) bool: which training images carry a wrong label."""
        return self.y != self.y_obs

    def subset(self, n_train, seed=0):
        """The same data with `n_train` of its training images, drawn at random; the test set is kept whole."""
        n_train = checks.integer("n_train", n_train)
        checks.require(n_train <= self.n, "n_train", n_train, f"an integer from 1 to {self.n}, the images there are")
        chosen = np.sort(random_stream(seed, "subset of images").permutation(self.n)[:n_train])
        return replace(self, x=self.x[chosen], y=self.y[chosen], y_obs=self.y_obs[chosen])


def load_images():
    """CIFAR-10's airplanes and automobiles where SIGNAL_FIRST_CIFAR10 names its files, else scikit-learn's digits.

    Raises ValueError, saying what to put where, if the variable is set and leads to no CIFAR-10.
    """
    path = os.environ.get(CIFAR10_VARIABLE)
    return load_cifar10_pair(path) if path else load_digits()


def load_digits(n_train=1000, seed=0):
    """scikit-learn's 1,797 images of handwritten digits, 8 by 8 pixels: even digits (-1) against odd ones (+1).

    The data come inside scikit-learn (the test part of UCI's "Optical recognition of handwritten digits") and have no
    split of their own. Ours is drawn at random, so that digits of one writer fall on both sides.
    """
    from sklearn import datasets

    images, digits = datasets.load_digits(return_X_y=True)
    n_train = checks.integer("n_train", n_train)
    checks.require(n_train < len(digits), "n_train", n_train, f"an integer from 1 to {len(digits) - 1}")
    x = (images / 16.0).reshape(-1, 1, 8, 8)  # sixteen grey levels
    y = np.where(digits % 2 == 1, 1.0, -1.0)
    train, test = np.split(random_stream(seed, "split of the digits").permutation(len(y)), [n_train])
    return LabelledImages("handwritten digits", ("even", "odd"), x[train], y[train], x[test], y[test])


def load_cifar10_pair(path):
    """CIFAR-10's first two classes, airplane (-1) and automobile (+1): 10,000 training and 2,000 test images.

    `path` is an .npz file with the arrays x_train, y_train, x_test, y_test (images uint8 (n, 32, 32, 3), labels 0 to
    9), or the folder in which torchvision keeps CIFAR-10 (its `root`, the one that holds cifar-10-batches-py).
    Raises ValueError.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        arrays = _read_torchvision(path)
    else:
        checks.require(path.is_file(), CIFAR10_VARIABLE, str(path), _WANTED)
        arrays = _read_npz(path)
    x_train, y_train = _two_classes("train", arrays["x_train"], arrays["y_train"])
    x_test, y_test = _two_classes("test", arrays["x_test"], arrays["y_test"])
    return LabelledImages("CIFAR-10 images", CIFAR10_CLASSES, x_train, y_train, x_test, y_test)


_WANTED = ("the path of an .npz file with the arrays x_train, y_train, x_test, y_test, or of the folder in which "
           "torchvision keeps CIFAR-10 (torchvision.datasets.CIFAR10(folder, download=True) fills it). Unset it to use "
           "scikit-learn's digits")


def _read_npz(path):
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("one array, no archive")
            return {name: archive[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{CIFAR10_VARIABLE}={str(path)!r}: must be {_WANTED}. Reading it gave {reason}") from error


def _read_torchvision(root):
    from helpers.torchvision_import import import_torchvision

    dataset = import_torchvision().datasets.CIFAR10
    try:
        parts = {part: dataset(str(root), train=part == "train", download=False) for part in ("train", "test")}
    except (RuntimeError, OSError) as error:  # a file is missing, or its checksum is wrong
        raise ValueError(f"{CIFAR10_VARIABLE}={str(root)!r}: must be {_WANTED}. torchvision says: {error}") from error
    images = {f"x_{name}": part.data for name, part in parts.items()}
    return images | {f"y_{name}": np.asarray(part.targets) for name, part in parts.items()}


def _two_classes(part, x, y):
    """Images of the labels 0 and 1 as (n, 3, 32, 32) pixels in [0, 1], and labels -1, +1."""
    x, y = np.asarray(x), np.asarray(y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y  # Keras keeps a column
    images = x.dtype == np.uint8 and x.ndim == 4 and x.shape[1:] == (32, 32, 3)
    checks.require(images, f"x_{part}", f"<{x.dtype} {x.shape}>", "uint8 of shape (n, 32, 32, 3)")
    integers = np.issubdtype(y.dtype, np.integer) and y.shape == (len(x),)
    checks.require(integers, f"y_{part}", f"<{y.dtype} {y.shape}>", f"integers of shape ({len(x)},), one an image")
    strangers = np.setdiff1d(y, np.arange(10)).tolist()
    checks.require(not strangers, f"y_{part}", strangers[:5], "labels 0 to 9")
    checks.require(bool(np.isin((0, 1), y).all()), f"y_{part}", np.unique(y).tolist(), "labels among which are 0 and 1")
    chosen = y < 2
    return x[chosen].transpose(0, 3, 1, 2) / np.float32(255), np.where(y[chosen] == 1, 1.0, -1.0)


def _pixels(name, value):
    pixels = np.ascontiguousarray(value, dtype=np.float32)
    allowed = "(n, channels, height, width), not empty"
    checks.require(pixels.ndim == 4 and pixels.size > 0, f"{name}.shape", pixels.shape, allowed)
    valid = bool(np.isfinite(pixels).all()) and pixels.min() >= 0 and pixels.max() <= 1
    checks.require(valid, name, f"<from {pixels.min()} to {pixels.max()}>", "pixels in [0, 1]")
    return pixels
