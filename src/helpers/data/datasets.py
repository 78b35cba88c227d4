"""Data sets as LabelledImages: digits, MNIST, CIFAR-10, CIFAR-100, and any .npz file; of two classes or of many.

`two_class_images` makes two classes of many. Folders of image files are read in `helpers.data.image_folders`.
"""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int

from helpers import checks
from helpers.data.array_files import (
    ARRAYS,
    CIFAR10_CLASSES,
    ArrayFileSpec,
    describe_array_files,
    pixels_of_array_file,
    read_array_files,
)
from helpers.data.images import LabelledImages, class_labels
from helpers.entry import entry
from helpers.streams import random_stream

CIFAR10_VARIABLE = "SIGNAL_FIRST_CIFAR10"
CIFAR10_SPEC = ArrayFileSpec(CIFAR10_VARIABLE, describe_array_files("CIFAR-10",
                                                                    ". Unset it to use scikit-learn's digits"),
                             dataset="CIFAR10", image_shape=(32, 32, 3), n_classes=10)

DIGITS = tuple("0123456789")
MNIST = ArrayFileSpec("folder", describe_array_files("MNIST", ""), dataset="MNIST", image_shape=(28, 28), n_classes=10)
CIFAR10 = replace(CIFAR10_SPEC, argument="path", wanted=describe_array_files("CIFAR-10", ""))
CIFAR100 = replace(CIFAR10, wanted=describe_array_files("CIFAR-100", ""), dataset="CIFAR100", n_classes=100)
NPZ = ArrayFileSpec("path", f"the path of an .npz file with the arrays {', '.join(ARRAYS)}: images uint8 "
                    "(n, height, width) or (n, height, width, channels), labels integers from 0 on")
CIFAR100_CLASSES = tuple("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm""".split())


def load_ten_class_dataset() -> LabelledImages:
    """CIFAR-10 with its ten classes where SIGNAL_FIRST_CIFAR10 names its files, else scikit-learn's ten digits.

    Raises
    ------
    ValueError
        If the variable is set and leads to no CIFAR-10; it says what to put where.
    """
    path = os.environ.get(CIFAR10_VARIABLE)
    return _images("CIFAR-10", CIFAR10_CLASSES, read_array_files(path, CIFAR10_SPEC)) if path else load_digit_classes()


@entry
def load_digit_classes(*, n_train: int = 1000, seed: int = 0) -> LabelledImages:
    """scikit-learn's 1,797 handwritten digits, 8 by 8 pixels, as ten classes; split as `load_digits` does."""
    return LabelledImages("ten digits", DIGITS, *_digit_arrays(n_train, seed))


@entry
def load_mnist(folder: str | PathLike, *, download: bool = False) -> LabelledImages:
    """MNIST: 60,000 training and 10,000 test images of the digits 0 to 9, one channel of 28 by 28 pixels.

    torchvision keeps the packed files beside the unpacked ones: where they are, their checksums and what they unpack to
    are compared.

    Parameters
    ----------
    folder
        torchvision's `root` (the one that holds MNIST/raw), or an .npz file (see `load_npz`).
    download
        fill the folder first where it has to be.

    Raises
    ------
    ValueError
        If there is no MNIST, or a file of it is damaged.
    """
    arrays = _filled(folder, MNIST, download, _mnist_files)
    if folder.is_dir():
        _check_mnist(folder)
    return _images("MNIST", DIGITS, arrays)


@entry
def load_cifar10(path: str | PathLike, *, download: bool = False) -> LabelledImages:
    """CIFAR-10: 50,000 training and 10,000 test images of ten classes, three channels of 32 by 32 pixels.

    torchvision compares the checksum of each file with CIFAR-10's.

    Parameters
    ----------
    path
        an .npz file (see `load_npz`) or torchvision's `root` (the folder that holds cifar-10-batches-py).
    download
        fill the folder first where it has to be.

    Raises
    ------
    ValueError
        If there is no CIFAR-10, or a file of it is damaged.
    """
    return _images("CIFAR-10", CIFAR10_CLASSES, _filled(path, CIFAR10, download, _cifar_files))


@entry
def load_cifar100(path: str | PathLike, *, download: bool = False) -> LabelledImages:
    """CIFAR-100: as `load_cifar10`, with a hundred classes, the "fine" labels in the order of the alphabet."""
    return _images("CIFAR-100", CIFAR100_CLASSES, _filled(path, CIFAR100, download, _cifar_files))


@entry
def load_npz(path: str | PathLike, *, name: str | None = None, classes: Iterable[str] | None = None) -> LabelledImages:
    """Any images in an .npz file with the arrays x_train, y_train, x_test, y_test.

    Images are uint8 (n, height, width) or (n, height, width, channels), labels integers 0 to K - 1, each class with
    training images.

    Parameters
    ----------
    path
        the file.
    name
        what to call the data; the file's name by default.
    classes
        names of the K classes, of which some may then have no image; by default the numbers 0 to K - 1, K - 1 being the
        largest label.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else.
    """
    checks.require(path.is_file(), "path", str(path), NPZ.wanted)
    arrays = read_array_files(path, NPZ)
    seen = {part: np.unique(arrays[f"y_{part}"]).tolist() for part in ("train", "test")}
    if classes is None:  # before anything as long as the largest label is built
        counted = seen["train"] == list(range(len(seen["train"])))
        checks.require(counted, "y_train", seen["train"][:5], "labels 0 to K - 1, each of them there; where a class "
                       "has no training image, name all K in `classes`")
        classes = map(str, seen["train"])
    classes = tuple(classes)
    strangers = [label for label in sorted({*seen["train"], *seen["test"]}) if not 0 <= label < len(classes)]
    checks.require(not strangers, "classes", classes, f"names for all labels; {strangers[:5]} are not among 0 to "
                   f"{len(classes) - 1}")
    return _images(path.stem if name is None else name, classes, arrays)


def _images(name: str, classes: tuple[str, ...], arrays: dict[str, np.ndarray]) -> LabelledImages:
    parts = []
    for part in ("train", "test"):
        parts += [pixels_of_array_file(arrays[f"x_{part}"]), class_labels(arrays[f"y_{part}"], len(classes))]
    return LabelledImages(name, classes, *parts)


def _filled(path: str | PathLike, spec: ArrayFileSpec, download: bool,
            files: Callable[[str | PathLike, ArrayFileSpec], str]) -> dict[str, np.ndarray]:
    """`read_array_files`, whose error says after a download that failed which files to put where."""
    try:
        return read_array_files(path, spec, download=download)
    except ValueError as error:
        if not download:
            raise
        raise ValueError(f"{error}. Where there is no network, download elsewhere {files(path, spec)}, and call "
                         "this again: it unpacks what is there") from error


def _cifar_files(path: str | PathLike, spec: ArrayFileSpec) -> str:
    dataset = _torchvision(spec)
    return f"{dataset.url} (MD5 {dataset.tgz_md5}) and put it at {checks.path(spec.argument, path) / dataset.filename}"


def _mnist_files(path: str | PathLike, spec: ArrayFileSpec) -> str:
    dataset = _torchvision(spec)
    files = ", ".join(f"{name} (MD5 {md5})" for name, md5 in dataset.resources)
    return f"{files} from {dataset.mirrors[0]} and put them into {checks.path(spec.argument, path) / 'MNIST' / 'raw'}"


def _check_mnist(root: Path) -> None:
    """Compare unpacked files with packed ones of the right checksum, where these are; torchvision does not."""
    for name, md5 in _torchvision(MNIST).resources:
        packed, unpacked = (root / "MNIST" / "raw" / file for file in (name, name.removesuffix(".gz")))
        if not packed.is_file():
            continue
        content = packed.read_bytes()
        checks.require(hashlib.md5(content, usedforsecurity=False).hexdigest() == md5, "folder", str(packed),
                       f"the file of the MD5 checksum {md5}: it is damaged, remove it")
        same = gzip.decompress(content) == unpacked.read_bytes()
        checks.require(same, "folder", str(unpacked), f"what {name} unpacks to: it is damaged, remove it")


def _torchvision(spec: ArrayFileSpec) -> type:
    from helpers.data.torchvision_import import import_torchvision

    return getattr(import_torchvision().datasets, spec.dataset)


def load_two_class_dataset() -> LabelledImages:
    """CIFAR-10's airplanes and automobiles where SIGNAL_FIRST_CIFAR10 names its files, else scikit-learn's digits.

    Raises
    ------
    ValueError
        If the variable is set and leads to no CIFAR-10; it says what to put where.
    """
    path = os.environ.get(CIFAR10_VARIABLE)
    return load_cifar10_pair(path) if path else load_digits()


@entry
def load_digits(*, n_train: int = 1000, seed: int = 0) -> LabelledImages:
    """scikit-learn's 1,797 images of handwritten digits, 8 by 8 pixels: even digits (-1) against odd ones (+1).

    The data come inside scikit-learn (the test part of UCI's "Optical recognition of handwritten digits") and have no
    split of their own. Ours is drawn at random, so that digits of one writer fall on both sides.

    Parameters
    ----------
    n_train
        how many images are for training; the others are for testing.
    seed
        decides which.

    Examples
    --------
    >>> from helpers.data import load_digits
    >>> digits = load_digits(n_train=1200)
    >>> digits.n, digits.image_shape, digits.classes
    (1200, (1, 8, 8), ('even', 'odd'))
    >>> digits.y[:4].tolist()
    [-1.0, -1.0, -1.0, 1.0]
    """
    x, digits, x_test, digits_test = _digit_arrays(n_train, seed)
    y, y_test = (np.where(part % 2 == 1, 1.0, -1.0) for part in (digits, digits_test))
    return LabelledImages("handwritten digits", ("even", "odd"), x, y, x_test, y_test)


def _digit_arrays(
        n_train: int, seed: int
) -> tuple[Float64[np.ndarray, "n 1 8 8"], Int[np.ndarray, " n"],
           Float64[np.ndarray, "n_test 1 8 8"], Int[np.ndarray, " n_test"]]:
    """Images, digits 0 to 9, test images and their digits: scikit-learn's digits, split at random."""
    from sklearn import datasets

    images, digits = datasets.load_digits(return_X_y=True)
    n_train = checks.integer("n_train", n_train)
    checks.require(n_train < len(digits), "n_train", n_train, f"an integer from 1 to {len(digits) - 1}")
    x = (images / 16.0).reshape(-1, 1, 8, 8)  # sixteen grey levels
    train, test = np.split(random_stream(seed, "split of the digits").permutation(len(digits)), [n_train])
    return x[train], digits[train], x[test], digits[test]


@entry
def load_cifar10_pair(path: str | PathLike) -> LabelledImages:
    """CIFAR-10's first two classes, airplane (-1) and automobile (+1): 10,000 training and 2,000 test images.

    Parameters
    ----------
    path
        an .npz file with the arrays x_train, y_train, x_test, y_test (images uint8 (n, 32, 32, 3), labels 0 to 9), or
        the folder in which torchvision keeps CIFAR-10 (its `root`, the one that holds cifar-10-batches-py).

    Raises
    ------
    ValueError
        If there is no CIFAR-10.
    """
    arrays = read_array_files(path, CIFAR10_SPEC)
    parts = [part for name in ("train", "test") for part in _first_two(arrays, name)]
    return LabelledImages("CIFAR-10 images", CIFAR10_CLASSES[:2], *parts)


def _first_two(
        arrays: dict[str, np.ndarray], part: str
) -> tuple[Float32[np.ndarray, "n 3 32 32"], Float64[np.ndarray, " n"]]:
    """Pixels of the images of the labels 0 and 1, and labels -1, +1."""
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    checks.require(bool(np.isin((0, 1), y).all()), f"y_{part}", np.unique(y).tolist(), "labels among which are 0 and 1")
    chosen = y < 2
    return pixels_of_array_file(x[chosen]), np.where(y[chosen] == 1, 1.0, -1.0)
