"""Images, or rows of features, of two classes or more as arrays, with their true and their observed labels."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Real
from numpy.typing import ArrayLike

from helpers import checks
from helpers.entry import entry
from helpers.record import KNOWN_TRUTH, UNKNOWN_KIND
from helpers.streams import random_stream


@entry(own=("x", "x_test", "classes", "files"))
@dataclass(frozen=True)
class LabelledData:
    """Training samples of K >= 2 classes with their true and their observed labels; test samples, if there are any.

    What `LabelledImages` and `LabelledFeatures` have in common. Two classes have the labels -1 and +1 (float64), more
    have the labels 0 to K - 1 (int64): the position of the name in `classes`. `class_index` and `class_labels` change
    one into the other. Anything array-like is taken for an array.

    Attributes
    ----------
    name
        what to call the data in text and figures.
    classes
        the K names; with two, those of the classes -1 and +1, in this order.
    x, x_test
        the samples, along the first axis; x_test is None where there is no test set.
    y, y_test
        true labels.
    y_obs, y_test_obs
        observed labels; the true ones unless given. `add_label_noise` makes wrong ones.
    noise
        how the observed labels came about; `fit` copies it into the Record. A "realised_flip_rate" in it is always that
        of y and y_obs. Where noise["kind"] is "unknown" nobody knows the true labels of the training set: y repeats
        y_obs there, and `flipped` is refused.
    files
        what each training sample is called, such as its file; each another name.
    n_test_true
        of the first so many test samples y_test is the true label; of the later ones it repeats the observed label. All
        by default.

    Raises
    ------
    ValueError
        If arrays do not fit together, a value is out of range or a label is of no class.
    """

    name: str
    classes: tuple
    x: Float32[np.ndarray, "n ..."]
    y: Real[np.ndarray, " n"]
    x_test: Float32[np.ndarray, "n_test ..."] | None = None
    y_test: Real[np.ndarray, " n_test"] | None = None
    y_obs: Real[np.ndarray, " n"] | None = None
    y_test_obs: Real[np.ndarray, " n_test"] | None = None
    noise: dict = field(default_factory=dict)
    files: tuple[str, ...] | None = None
    n_test_true: int | None = None

    def __post_init__(self) -> None:
        self._set("classes", _class_names(self.classes))
        self._set("x", self._samples("x", self.x))
        self._set_labels("y", "y_obs", self.n)
        if self.x_test is None:
            for name in ("y_test", "y_test_obs"):
                checks.require(getattr(self, name) is None, name, "<labels>", "None where x_test is None")
        else:
            self._set("x_test", self._samples("x_test", self.x_test))
            checks.require(self.x.shape[1:] == self.x_test.shape[1:], "x_test.shape", self.x_test.shape,
                           f"(n_test, {', '.join(map(str, self.x.shape[1:]))}), as x")
            self._set_labels("y_test", "y_test_obs", self.n_test)
        if self.n_test_true is not None:  # None stays: `replace` may give another test set
            self._set("n_test_true", checks.integer("n_test_true", self.n_test_true, 0, self.n_test))
        if self.files is not None:
            self._set("files", _names_of_samples(self.files, self.n))
        if "realised_flip_rate" in self.noise:  # however these samples came about: cut, relabelled, held out
            self._set("noise", self.noise | {"realised_flip_rate": float(np.mean(self.flipped))})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen

    def _set_labels(self, true: str, observed: str, n: int) -> None:
        self._set(true, _labels(true, getattr(self, true), n, self.n_classes))
        given = getattr(self, true if getattr(self, observed) is None else observed)
        self._set(observed, _labels(observed, given, n, self.n_classes))

    def _samples(self, name: str, value: ArrayLike) -> Float32[np.ndarray, "n ..."]:
        raise NotImplementedError("LabelledImages and LabelledFeatures say what a sample is")

    @property
    def n(self) -> int:
        """Number of training samples."""
        return len(self.x)

    @property
    def n_test(self) -> int:
        """Number of test samples, 0 where there is no test set."""
        return 0 if self.x_test is None else len(self.x_test)

    @property
    def n_test_known(self) -> int:
        """Of how many test samples, the first ones, the true label is known: `n_test_true`, or all."""
        return self.n_test if self.n_test_true is None else self.n_test_true

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return len(self.classes)

    @property
    def truth_known(self) -> bool:
        """Whether the true labels of the training set are known."""
        return self.noise.get("kind") != UNKNOWN_KIND

    @property
    def flipped(self) -> Bool[np.ndarray, " n"]:
        """Which training samples carry a wrong label. ValueError where nobody knows the true ones."""
        checks.require(self.truth_known, "noise kind", UNKNOWN_KIND, KNOWN_TRUTH)
        return self.y != self.y_obs

    @entry
    def keep(self, kept: Bool[np.ndarray, " n"] | Int64[np.ndarray, " kept"]) -> Self:
        """The same data with those training samples only that `kept` names, a mask or positions (`keep_samples`)."""
        self._require_positions(kept)
        names = None if self.files is None else tuple(np.array(self.files, object)[kept])
        return replace(self, x=self.x[kept], y=self.y[kept], y_obs=self.y_obs[kept], files=names)

    def _require_positions(self, kept: np.ndarray) -> None:
        mask = kept.dtype.kind == "b"
        checks.require(not mask or kept.shape == (self.n,), "kept.shape", kept.shape, f"({self.n},), a mask")
        inside = mask or ((kept >= 0).all() and (kept < self.n).all())
        checks.require(bool(inside) and bool(kept.any() if mask else kept.size), "kept", kept,
                       f"True for a sample or more, or positions from 0 to {self.n - 1}")

    @entry
    def subset(self, n_train: int, *, seed: int = 0) -> Self:
        """The same data with `n_train` of its training samples, drawn at random; the test set is kept whole.

        The draw depends on n, n_train and the seed alone: data that differ in their labels have the same subset.
        """
        n_train = checks.integer("n_train", n_train)
        checks.require(n_train <= self.n, "n_train", n_train, f"an integer from 1 to {self.n}, the images there are")
        return self.keep(np.sort(random_stream(seed, "subset of images").permutation(self.n)[:n_train]))


@entry(own=("x", "x_test", "classes", "files"))
@dataclass(frozen=True)
class LabelledImages(LabelledData):
    """`LabelledData` whose samples are images: pixels in [0, 1], of shape (channels, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.data import LabelledImages
    >>> data = LabelledImages("two greys", ("dark", "bright"), np.array([0.1, 0.9]).reshape(2, 1, 1, 1), [-1, 1])
    >>> data.n, data.n_test, data.image_shape
    (2, 0, (1, 1, 1))
    """

    x: Float32[np.ndarray, "n channels height width"]
    x_test: Float32[np.ndarray, "n_test channels height width"] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.x.shape[1:]

    def _samples(self, name: str, value: ArrayLike) -> Float32[np.ndarray, "n channels height width"]:
        pixels = _float32(name, value)
        allowed = "(n, channels, height, width), not empty"
        checks.require(pixels.ndim == 4 and pixels.size > 0, f"{name}.shape", pixels.shape, allowed)
        low, high = pixels.min(), pixels.max()  # NaN if any pixel is, and then both comparisons are false
        checks.require(bool(low >= 0 and high <= 1), name, f"<from {low} to {high}>", "pixels in [0, 1]")
        return pixels


@entry(own=("x", "x_test", "classes", "files"))
@dataclass(frozen=True)
class LabelledFeatures(LabelledData):
    """`LabelledData` whose samples are rows of a table of p numbers.

    Examples
    --------
    >>> from helpers.data import LabelledFeatures
    >>> data = LabelledFeatures("lengths", ("short", "long"), [[0.1], [2.5]], [-1, 1], files=("first", "second"))
    >>> data.keep(data.y > 0).files
    ('second',)
    """

    x: Float32[np.ndarray, "n p"]
    x_test: Float32[np.ndarray, "n_test p"] | None = None

    def _samples(self, name: str, value: ArrayLike) -> Float32[np.ndarray, "n p"]:
        rows = _float32(name, value)
        checks.require(rows.ndim == 2 and rows.size > 0, f"{name}.shape", rows.shape, "(n, p), not empty")
        bad = np.argwhere(~np.isfinite(rows)).tolist()
        checks.require(not bad, name, f"<no finite number at (row, column) {bad[:3]}>", "finite numbers")
        return rows


def shrink_images(data: LabelledImages, side: int) -> LabelledImages:
    """`data` with images of side by side pixels, each the mean of a square. ValueError unless side divides the old."""
    old = data.image_shape[1]
    side = checks.integer("side", side)
    checks.require(old % side == 0, "side", side, f"a divisor of {old}, the side of the images")
    small = lambda x: x.reshape(*x.shape[:2], side, old // side, side, old // side).mean((3, 5))  # noqa: E731
    return replace(data, x=small(data.x), x_test=small(data.x_test) if data.n_test else None)


@entry(own=("y",))
def class_index(y: ArrayLike, n_classes: int) -> Int64[np.ndarray, "..."]:
    """Labels as positions in the list of classes.

    Two classes: -1 becomes 0 and +1 becomes 1. More: integers 0 to n_classes - 1, whatever their dtype. All other
    labels raise ValueError.
    """
    return labels_as_index("y", y, n_classes)


def labels_as_index(name: str, y: ArrayLike, n_classes: int) -> Int64[np.ndarray, "..."]:
    """`class_index` of an argument that is called `name`."""
    y, n_classes = np.asarray(y), checks.integer("n_classes", n_classes, 2)
    allowed = (-1, 1) if n_classes == 2 else np.arange(n_classes)
    text = "labels -1 or +1, of two classes" if n_classes == 2 else f"whole numbers from 0 to {n_classes - 1}"
    checks.require(y.dtype.kind in "iuf", name, f"<{y.dtype}>", text)
    strangers = np.setdiff1d(y, allowed).tolist()
    checks.require(not strangers, name, strangers[:5], text)
    return (y > 0).astype(np.int64) if n_classes == 2 else y.astype(np.int64)


@entry(own=("index",))
def class_labels(index: ArrayLike, n_classes: int) -> Float64[np.ndarray, "..."] | Int64[np.ndarray, "..."]:
    """Labels of the positions `index`: the inverse of `class_index`. Two classes give float64 -1 and +1."""
    n_classes, index = checks.integer("n_classes", n_classes, 2), np.asarray(index)
    text = f"integers from 0 to {n_classes - 1}"
    checks.require(np.issubdtype(index.dtype, np.integer), "index", f"<{index.dtype}>", text)
    strangers = np.setdiff1d(index, np.arange(n_classes)).tolist()
    checks.require(not strangers, "index", strangers[:5], text)
    return np.where(index == 1, 1.0, -1.0) if n_classes == 2 else index.astype(np.int64)


@entry
def two_class_images(data: LabelledData, negative: str | tuple, positive: str | tuple) -> LabelledData:
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
    classes = tuple(", ".join(map(str, group)) for group in groups)
    cut, found = {}, []
    for part in ("", "_test") if data.n_test else ("",):
        y, y_obs = (sign[class_index(getattr(data, f"y{part}{kind}"), data.n_classes)] for kind in ("", "_obs"))
        kept = y * y_obs != 0
        found.append(kept)
        cut |= {f"x{part}": getattr(data, f"x{part}")[kept], f"y{part}": y[kept], f"y{part}_obs": y_obs[kept]}
    wanted = f"images with the classes {' and '.join(classes)}, for training and for testing"
    checks.require(all(kept.any() for kept in found), "data", data.name, wanted)
    if data.files is not None:
        cut["files"] = tuple(name for name, stays in zip(data.files, found[0]) if stays)
    if data.n_test:
        cut["n_test_true"] = int(found[1][:data.n_test_known].sum())
    return replace(data, name=f"{data.name}: {classes[0]} against {classes[1]}", classes=classes, **cut)


def _class_names(classes: Iterable) -> tuple:
    names = tuple(classes) if np.iterable(classes) and not isinstance(classes, str) else ()
    checks.require(len(names) >= 2 and len(set(names)) == len(names), "classes", classes, "two different names or more")
    return names


def _float32(name: str, value: ArrayLike) -> Float32[np.ndarray, "..."]:
    """`value` itself where it is such an array already."""
    try:
        array = np.asarray(value)
        return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.kind in "biufO" else "no number")
    except (TypeError, ValueError, OverflowError):  # text, None, ragged rows
        checks.require(False, name, f"<{type(value).__name__}>", "an array of real numbers")


def _labels(name: str, value: ArrayLike, n: int, n_classes: int) -> Real[np.ndarray, " n"]:
    if n_classes == 2:
        return checks.labels(name, value, n).numpy()
    return labels_as_index(name, checks.vectors(name, value, n).numpy(), n_classes)


def _names_of_samples(files: Iterable, n: int) -> tuple[str, ...]:
    names = tuple(files) if np.iterable(files) and not isinstance(files, (str, bytes)) else ()
    checks.require(len(names) == n and all(isinstance(name, str) for name in names), "files", files, f"{n} strings")
    twice = [name for name, count in Counter(names).items() if count > 1]
    checks.require(not twice, "files", twice[:3], "names of which each is another")
    return names
