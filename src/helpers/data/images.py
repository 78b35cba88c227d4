"""Images of two classes or more as arrays, with their true and their observed labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Real
from numpy.typing import ArrayLike

from helpers import checks
from helpers.record import KNOWN_TRUTH, UNKNOWN_KIND
from helpers.streams import random_stream


@dataclass(frozen=True)
class LabelledImages:
    """Training and test images of K >= 2 classes with their true and their observed labels.

    Two classes have the labels -1 and +1 (float64), more have the labels 0 to K - 1 (int64): the position of the name
    in `classes`. `class_index` and `class_labels` change one into the other. Anything array-like is taken for an array.

    Attributes
    ----------
    name
        what to call the data in text and figures.
    classes
        the K names; with two, those of the classes -1 and +1, in this order.
    x, x_test
        pixels in [0, 1].
    y, y_test
        true labels.
    y_obs, y_test_obs
        observed labels; the true ones unless given. `add_label_noise` makes wrong ones.
    noise
        how the observed labels came about; `fit` copies it into the Record. A "realised_flip_rate" in it is always that
        of y and y_obs. Where noise["kind"] is "unknown" nobody knows the true labels of the training set: y repeats
        y_obs there, and `flipped` is refused.

    Raises
    ------
    ValueError
        If arrays do not fit together, pixels lie outside [0, 1] or a label is of no class.
    """

    name: str
    classes: tuple
    x: Float32[np.ndarray, "n channels height width"]
    y: Real[np.ndarray, " n"]
    x_test: Float32[np.ndarray, "n_test channels height width"]
    y_test: Real[np.ndarray, " n_test"]
    y_obs: Real[np.ndarray, " n"] | None = None
    y_test_obs: Real[np.ndarray, " n_test"] | None = None
    noise: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
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
        if "realised_flip_rate" in self.noise:  # however these images came about: cut, relabelled, held out
            set_field("noise", self.noise | {"realised_flip_rate": float(np.mean(self.flipped))})

    @property
    def n(self) -> int:
        """Number of training images."""
        return len(self.x)

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.x.shape[1:]

    @property
    def flipped(self) -> Bool[np.ndarray, " n"]:
        """Which training images carry a wrong label. ValueError where nobody knows the true ones."""
        checks.require(self.noise.get("kind") != UNKNOWN_KIND, "noise kind", UNKNOWN_KIND, KNOWN_TRUTH)
        return self.y != self.y_obs

    def keep(self, kept: Bool[np.ndarray, " n"]) -> "LabelledImages":
        """The same data with those training images only for which `kept` is True (see `keep_samples`)."""
        return replace(self, x=self.x[kept], y=self.y[kept], y_obs=self.y_obs[kept])

    def subset(self, n_train: int, *, seed: int = 0) -> "LabelledImages":
        """The same data with `n_train` of its training images, drawn at random; the test set is kept whole.

        The draw depends on n, n_train and the seed alone: data that differ in their labels have the same subset.
        """
        n_train = checks.integer("n_train", n_train)
        checks.require(n_train <= self.n, "n_train", n_train, f"an integer from 1 to {self.n}, the images there are")
        chosen = np.sort(random_stream(seed, "subset of images").permutation(self.n)[:n_train])
        return replace(self, x=self.x[chosen], y=self.y[chosen], y_obs=self.y_obs[chosen])


def shrink_images(data: LabelledImages, side: int) -> LabelledImages:
    """`data` with images of side by side pixels, each the mean of a square. ValueError unless side divides the old."""
    old = data.image_shape[1]
    side = checks.integer("side", side)
    checks.require(old % side == 0, "side", side, f"a divisor of {old}, the side of the images")
    small = lambda x: x.reshape(*x.shape[:2], side, old // side, side, old // side).mean((3, 5))  # noqa: E731
    return replace(data, x=small(data.x), x_test=small(data.x_test))


def class_index(y: ArrayLike, n_classes: int) -> Int64[np.ndarray, "..."]:
    """Labels as positions in the list of classes.

    Two classes: -1 becomes 0 and +1 becomes 1. More: integers 0 to n_classes - 1, whatever their dtype. All other
    labels raise ValueError.
    """
    return _index("y", np.asarray(y), checks.integer("n_classes", n_classes, 2))


def _index(name: str, y: np.ndarray, n_classes: int) -> Int64[np.ndarray, "..."]:
    allowed = (-1, 1) if n_classes == 2 else np.arange(n_classes)
    text = "labels -1 or +1, of two classes" if n_classes == 2 else f"whole numbers from 0 to {n_classes - 1}"
    checks.require(y.dtype.kind in "iuf", name, f"<{y.dtype}>", text)
    strangers = np.setdiff1d(y, allowed).tolist()
    checks.require(not strangers, name, strangers[:5], text)
    return (y > 0).astype(np.int64) if n_classes == 2 else y.astype(np.int64)


def class_labels(index: ArrayLike, n_classes: int) -> Float64[np.ndarray, "..."] | Int64[np.ndarray, "..."]:
    """Labels of the positions `index`: the inverse of `class_index`. Two classes give float64 -1 and +1."""
    n_classes, index = checks.integer("n_classes", n_classes, 2), np.asarray(index)
    text = f"integers from 0 to {n_classes - 1}"
    checks.require(np.issubdtype(index.dtype, np.integer), "index", f"<{index.dtype}>", text)
    strangers = np.setdiff1d(index, np.arange(n_classes)).tolist()
    checks.require(not strangers, "index", strangers[:5], text)
    return np.where(index == 1, 1.0, -1.0) if n_classes == 2 else index.astype(np.int64)


def two_class_images(data: LabelledImages, negative: str | tuple, positive: str | tuple) -> LabelledImages:
    """Two classes out of many: -1 for `negative`, +1 for `positive`.

    Only images stay whose true and whose observed class are among those named. An image whose wrong label points
    outside is left out, so take the two classes first and add the noise then, unless it is the noise of the file.

    Parameters
    ----------
    data
        images of many classes.
    negative, positive
        each a name or a tuple of names of `data.classes`.

    Raises
    ------
    ValueError
        If a class is unknown or on both sides, or no image stays.
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
    return LabelledImages(f"{data.name}: {classes[0]} against {classes[1]}", classes, data.x[kept], y[kept],
                          data.x_test[kept_test], y_test[kept_test], y_obs[kept], y_test_obs[kept_test], data.noise)


def _class_names(classes: Iterable) -> tuple:
    names = tuple(classes) if np.iterable(classes) and not isinstance(classes, str) else ()
    checks.require(len(names) >= 2 and len(set(names)) == len(names), "classes", classes, "two different names or more")
    return names


def _labels(name: str, value: ArrayLike, n: int, n_classes: int) -> Real[np.ndarray, " n"]:
    if n_classes == 2:
        return checks.labels(name, value, n).numpy()
    return _index(name, checks.vectors(name, value, n).numpy(), n_classes)


def _pixels(name: str, value: ArrayLike) -> Float32[np.ndarray, "n channels height width"]:
    pixels = np.ascontiguousarray(value, dtype=np.float32)
    allowed = "(n, channels, height, width), not empty"
    checks.require(pixels.ndim == 4 and pixels.size > 0, f"{name}.shape", pixels.shape, allowed)
    low, high = pixels.min(), pixels.max()  # NaN if any pixel is, and then both comparisons are false
    checks.require(bool(low >= 0 and high <= 1), name, f"<from {low} to {high}>", "pixels in [0, 1]")
    return pixels
