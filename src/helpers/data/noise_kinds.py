"""Kinds of label noise, each a small frozen dataclass: which wrong label an image gets, and how often.

T_ij is the probability that an image of the class at position i of the list of classes is observed as class j. A kind
with such a matrix has a method `transition_matrix`. Two classes stand at the positions 0 (label -1) and 1 (label +1).
"""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.special import softmax
from scipy.stats import truncnorm

from helpers import checks
from helpers.data.array_files import CIFAR10_CLASSES
from helpers.entry import entry
from helpers.streams import random_stream

DRAWS = ("bernoulli", "exact")
CIFAR10_FLIPS = {"truck": "automobile", "bird": "airplane", "cat": "dog", "dog": "cat", "deer": "horse"}
CIFAR100_BLOCK = 5
Classes = tuple | int  # the names of the classes, or their number K


class MatrixNoise:
    """Noise that looks at the class alone. Subclasses have a `kind`, a `rate` and a `transition_matrix`."""

    kind: ClassVar[str]

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        """The matrix T, from the names of the classes or their number."""
        raise NotImplementedError

    @entry
    def rows(self, x: Float[np.ndarray, "n ..."], index: Int[np.ndarray, " n"], classes: Classes,
             seed: int) -> Float[np.ndarray, "n K"]:
        """Probability of each observed class, one row per image."""
        _require_index(x, index, noise_kind_class_count(classes))
        checks.integer("seed", seed, 0)
        return self.transition_matrix(classes)[index]


@entry
@dataclass(frozen=True)
class RatedNoise(MatrixNoise):
    """Noise that looks at the class alone and is given by one number: `rate` in [0, below)."""

    rate: float
    below: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        checks.real("rate", self.rate, 0.0, self.below, open_high=True)


@entry
@dataclass(frozen=True)
class SymmetricNoise(RatedNoise):
    """Each label is wrong with probability `rate`, then any OTHER class with equal chances; rate in [0, 1 - 1/K).

    The same labels as `add_label_noise(data, rate, seed)` with a number.
    """

    kind: ClassVar[str] = "symmetric"

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        rate = checks.real("rate", self.rate, 0.0, 1.0 - 1.0 / k, open_high=True)
        return (1 - rate) * np.eye(k) + rate / (k - 1) * (1 - np.eye(k))


@entry
@dataclass(frozen=True)
class SymmetricRedrawNoise(RatedNoise):
    """With probability `rate` the label is drawn anew from ALL classes, the true one included; rate in [0, 1).

    The convention of the ELR and DivideMix code: the expected share of wrong labels is rate (K - 1) / K, below `rate`.
    """

    kind: ClassVar[str] = "symmetric redraw"

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        return (1 - self.rate) * np.eye(k) + self.rate / k


@entry
@dataclass(frozen=True)
class PairFlipNoise(RatedNoise):
    """Class i becomes class i + 1 (the last one becomes the first) with probability `rate` in [0, 1/2)."""

    kind: ClassVar[str] = "pair flip"
    below: ClassVar[float] = 0.5

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        return (1 - self.rate) * np.eye(k) + self.rate * np.roll(np.eye(k), 1, axis=1)


@entry
@dataclass(frozen=True)
class AsymmetricCIFAR10Noise(RatedNoise):
    """CIFAR-10's look-alikes: truck to automobile, bird to airplane, cat to dog and back, deer to horse.

    Each of these five classes flips with probability `rate` in [0, 1/2), the other five never: with classes of equal
    size "40%" means that 20% of all labels are wrong. `classes` must be CIFAR-10's names, or 10 for their usual order.
    """

    kind: ClassVar[str] = "asymmetric CIFAR-10"
    below: ClassVar[float] = 0.5

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        names = CIFAR10_CLASSES if np.ndim(classes) == 0 and noise_kind_class_count(classes) == 10 else classes
        known = np.ndim(names) == 1 and sorted(map(str, names)) == sorted(CIFAR10_CLASSES)
        checks.require(known, "classes", names, f"CIFAR-10's names {', '.join(CIFAR10_CLASSES)}, in any order")
        position = {name: i for i, name in enumerate(names)}
        matrix = np.eye(10)
        for true, wrong in CIFAR10_FLIPS.items():
            matrix[position[true], [position[true], position[wrong]]] = 1 - self.rate, self.rate
        return matrix


@entry
@dataclass(frozen=True)
class AsymmetricCIFAR100Noise(RatedNoise):
    """Next class within blocks of five consecutive label numbers (4 becomes 0, 9 becomes 5), `rate` in [0, 1/2).

    This is what the published code does. The numbers follow the alphabet, so the blocks are NOT CIFAR-100's twenty
    superclasses: "apple, aquarium fish, baby, bear, beaver" is one of them.
    """

    kind: ClassVar[str] = "asymmetric CIFAR-100"
    below: ClassVar[float] = 0.5

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        checks.require(k == 100, "classes", k, "100 classes")
        block = (1 - self.rate) * np.eye(CIFAR100_BLOCK) + self.rate * np.roll(np.eye(CIFAR100_BLOCK), 1, axis=1)
        return np.kron(np.eye(k // CIFAR100_BLOCK), block)


@entry
@dataclass(frozen=True)
class ClassConditionalNoise(MatrixNoise):
    """Two classes: a label +1 flips with probability `flip_plus`, a label -1 with `flip_minus`; each in [0, 1/2).

    `rate` is their mean, the expected share of wrong labels where both classes have the same size.
    """

    flip_plus: float
    flip_minus: float
    kind: ClassVar[str] = "class-conditional"

    def __post_init__(self) -> None:
        for name in ("flip_plus", "flip_minus"):
            checks.real(name, getattr(self, name), 0.0, 0.5, open_high=True)

    @property
    def rate(self) -> float:
        return (self.flip_plus + self.flip_minus) / 2

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        checks.require(k == 2, "classes", k, "two classes")
        return np.array([[1 - self.flip_minus, self.flip_minus], [self.flip_plus, 1 - self.flip_plus]])


@entry(own=("matrix",))
@dataclass(frozen=True)
class TransitionNoise(MatrixNoise):
    """Any row-stochastic matrix, of K rows of K numbers, kept as a tuple of tuples.

    `rate` is the mean of 1 - T_ii over the classes. The true class need not stay the most likely one.
    """

    matrix: tuple[tuple[float, ...], ...]
    kind: ClassVar[str] = "transition matrix"

    def __post_init__(self) -> None:
        given = np.asarray(self.matrix) if np.ndim(self.matrix) == 2 else self.matrix  # torch would take float32
        matrix = checks.vectors("matrix", given, None, None).numpy()
        checks.require(matrix.shape[0] == matrix.shape[1] >= 2, "matrix.shape", matrix.shape, "(K, K), K >= 2")
        sums = matrix.sum(1)
        kind = np.asarray(given).dtype  # decimals written out, or rounded to a shorter kind of float
        tolerance = max(1e-8, 4 * len(matrix) * np.finfo(kind).eps if kind.kind == "f" else 0.0)
        stochastic = matrix.min() >= 0 and np.abs(sums - 1).max() < tolerance
        checks.require(bool(stochastic), "matrix", f"<entries from {matrix.min():g}, rows that sum to {sums.min():.9g} "
                       f"up to {sums.max():.9g}>", "entries >= 0 in rows that sum to 1")
        object.__setattr__(self, "matrix", tuple(map(tuple, (matrix / sums[:, None]).tolist())))

    @property
    def rate(self) -> float:
        return float(np.mean(1 - np.diag(self.matrix)))

    @entry
    def transition_matrix(self, classes: Classes) -> Float[np.ndarray, "K K"]:
        k = noise_kind_class_count(classes)
        checks.require(k == len(self.matrix), "classes", k, f"{len(self.matrix)} classes, the rows of the matrix")
        return np.array(self.matrix)


@entry
@dataclass(frozen=True)
class InstanceDependentNoise:
    """Noise that looks at the image, after the synthetic noise of Xia et al. 2020 (part-dependent label noise).

    Image i is wrong with a probability q_i of its own, from a normal law of mean `rate` and standard deviation `std`
    truncated to [0, 1]. Its wrong class has the law softmax(x_i W_y) over the other classes: x_i the pixels in a row,
    W_y (pixels, K) standard normal, one for each true class and the same for training and test images. There is no
    transition matrix; `label_noise_transition` estimates the average one. The truncation moves the mean of q_i (0.2
    becomes 0.206), which the expected rate in the field `noise` takes into account. The entries of x_i W_y differ by
    many units, so that an image has nearly one possible wrong class.

    Parameters
    ----------
    rate
        the mean of q_i before the truncation, in (0, 1).
    std
        their standard deviation before the truncation.
    centred
        subtract the mean training image from x_i first. Without it (the paper's formula, on pixels in [0, 1]) the mean
        image has much say, and images of one class often agree: on CIFAR-10, seed 0, the favourite wrong class takes 46
        to 96 per cent of a class's wrong labels; with it, 18 to 34.
    """

    rate: float
    _: KW_ONLY
    std: float = 0.1
    centred: bool = False
    kind: ClassVar[str] = "instance-dependent"

    def __post_init__(self) -> None:
        checks.real("rate", self.rate, 0.0, 1.0, open_low=True, open_high=True)
        checks.positive("std", self.std)

    @entry
    def rows(self, x: Float[np.ndarray, "n ..."], index: Int[np.ndarray, " n"], classes: Classes,
             seed: int, stream: str = "",
             mean: float | Float[np.ndarray, "1 ..."] = 0.0) -> Float[np.ndarray, "n K"]:
        """Probability of each observed class, one row per image.

        Parameters
        ----------
        x
            the images.
        index
            positions of their true classes.
        classes
            names of the classes, or their number.
        seed
            decides the rates of the images and the directions W_y.
        stream
            tells training from test images.
        mean
            the mean training image, which is subtracted where the noise is `centred`.
        """
        k, low, high = noise_kind_class_count(classes), -self.rate / self.std, (1 - self.rate) / self.std
        _require_index(x, index, k)
        checks.broadcast("mean", np.asarray(mean), (1, *x.shape[1:]), grow=False)
        q = truncnorm.rvs(low, high, loc=self.rate, scale=self.std, size=len(index),
                          random_state=random_stream(seed, f"label noise, rates of images{stream}"))
        rows = np.zeros((len(index), k))
        for y in np.unique(index):
            mine = index == y
            w = random_stream(seed, f"label noise, directions of class {y}").standard_normal((x[0].size, k))
            scores = (x[mine] - mean * self.centred).reshape(mine.sum(), -1) @ w
            scores[:, y] = -np.inf
            rows[mine] = q[mine, None] * softmax(scores, axis=1)
            rows[mine, y] = 1 - q[mine]
        return rows


@entry
@dataclass(frozen=True, eq=False)
class HumanLabelNoise:
    """Labels that people gave.

    They belong to the training images in the order of the file: add them before any subset is taken. The labels of the
    test images stay the true ones, as nobody gave others. Nothing is drawn, so there is no seed.

    Parameters
    ----------
    labels
        a label per training image, in the convention of the data.
    source
        says which, e.g. "CIFAR-10N, worst".
    """

    labels: Real[np.ndarray, " n"]
    _: KW_ONLY
    source: str = ""
    kind: ClassVar[str] = "human"

    def __post_init__(self) -> None:
        checks.require(len(self.labels) > 0, "labels", "<none>", "a label for each training image")


def _require_index(x: Float[np.ndarray, "n ..."], index: Int[np.ndarray, " n"], k: int) -> None:
    checks.require(len(x) > 0, "x.shape", x.shape, "(n, ...), not empty")
    checks.require(len(x) == len(index), "index.shape", index.shape, f"({len(x)},), as many as x has images")
    checks.require(bool(((index >= 0) & (index < k)).all()), "index", index, f"positions from 0 to {k - 1}")


def noise_kind_class_count(classes: Classes) -> int:
    """K, from the tuple of class names or from K itself."""
    return checks.integer("classes", len(classes) if np.ndim(classes) == 1 else classes, 2)


def draw_by_noise_kind(rows: Float[np.ndarray, "n K"], index: Int[np.ndarray, " n"], rng: np.random.Generator, *,
                       draw: str = "bernoulli") -> Int[np.ndarray, " n"]:
    """Draw the positions of the observed classes.

    Parameters
    ----------
    rows
        probability of each observed class, one row per image.
    index
        positions of the true classes.
    rng
        where the numbers come from.
    draw
        "bernoulli" draws each image independently. The draws of one generator are nested: an image that is wrong at
        some rate is wrong at each larger one. "exact" needs rows that depend on the class alone: within each true class
        the counts of the observed classes are n_class T_ij, rounded so that they sum to n_class (largest remainders
        first).
    """
    checks.one_of("draw", draw, DRAWS)
    if draw == "exact":
        return _exact(rows, index, rng)
    away = rows.copy()
    away[np.arange(len(index)), index] = 0.0
    moved = rng.random(len(index)) < away.sum(1)
    cumulative = away.cumsum(1)
    level = rng.random(len(index)) * cumulative[:, -1]
    other = np.minimum((cumulative <= level[:, None]).sum(1), rows.shape[1] - 1)
    return np.where(moved, other, index)


def _exact(rows: np.ndarray, index: np.ndarray, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    observed = index.copy()
    for y in np.unique(index):
        members = rng.permutation(np.flatnonzero(index == y))
        row = rows[members[0]]
        observed[members] = np.repeat(np.arange(len(row)), _rounded(row * len(members)))
    return observed


def _rounded(counts: Float[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    """Integers near `counts` with the same sum, itself an integer: the largest remainders are rounded up."""
    whole = np.floor(counts + 1e-9).astype(int)  # 3 may arrive as 2.9999999999999996
    short = round(counts.sum()) - whole.sum()
    whole[np.argsort(whole - counts, kind="stable")[:short]] += 1
    return whole
