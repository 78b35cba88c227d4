"""Files of images and labels as arrays: .npz archives, and the folders in which torchvision keeps its data sets."""

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Integer, UInt8

from helpers import checks
from helpers.files import alone

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
UNREAD = (RuntimeError, OSError, ValueError, EOFError, AssertionError)  # torchvision's: missing, damaged, no network


@dataclass(frozen=True)
class ArrayFileSpec:
    """What a file of images has to hold, and what an error says if it does not.

    Parameters
    ----------
    argument
        the name under which errors mention the file's path.
    wanted
        what to put there, in words.
    dataset
        the name of torchvision's class for this data set; None if there is none.
    image_shape
        (height, width, channels), or (height, width) of grey images; None admits any.
    n_classes
        labels are 0 to n_classes - 1; None admits any.
    """

    argument: str
    wanted: str
    _: KW_ONLY
    dataset: str | None = None
    image_shape: tuple[int, ...] | None = None
    n_classes: int | None = None


def describe_array_files(dataset: str, ending: str) -> str:
    """The sentence that says what to give for one of torchvision's data sets."""
    call = f"torchvision.datasets.{dataset.replace('-', '')}(folder, download=True)"
    return ("the path of an .npz file with the arrays x_train, y_train, x_test, y_test, or of the folder in which "
            f"torchvision keeps {dataset} ({call} fills it){ending}")


def read_array_files(path: str | PathLike, spec: ArrayFileSpec, *, download: bool = False) -> dict[str, np.ndarray]:
    """Images and labels of an .npz file, or of a folder in which torchvision keeps a data set.

    Parameters
    ----------
    path
        the file or the folder.
    spec
        what it has to hold.
    download
        fill the folder first where it has to be.

    Returns
    -------
    arrays
        x_train and x_test, uint8 as in the file; y_train and y_test, one integer per image.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else.
    """
    path = checks.path(spec.argument, path)
    if path.is_dir() or (download and not path.is_file()):
        checks.require(spec.dataset is not None, spec.argument, str(path), spec.wanted)
        arrays = _read_torchvision(path, spec, download)
    else:
        checks.require(path.is_file(), spec.argument, str(path), spec.wanted)
        arrays = read_npz_array_file(path, ARRAYS, spec)
    for part in ("train", "test"):
        arrays[f"y_{part}"] = _checked(part, arrays[f"x_{part}"], arrays[f"y_{part}"], spec)
    return arrays


def read_npz_array_file(path: str | PathLike, names: Iterable[str], spec: ArrayFileSpec) -> dict[str, np.ndarray]:
    """The arrays `names` of an .npz file. Pickled objects are refused unread. Raises ValueError saying what is wanted.
    """
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("one array, no archive")
            return {name: archive[name] for name in names}
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{spec.argument}={str(path)!r}: must be {spec.wanted}. Reading it gave {reason}"
                         ) from error


def pixels_of_array_file(
        x: UInt8[np.ndarray, "n height width channels"] | UInt8[np.ndarray, "n height width"]
) -> Float32[np.ndarray, "n channels height width"]:
    """Images of bytes as pixels in [0, 1]; grey images get one channel."""
    x = x[..., None] if x.ndim == 3 else x
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) / np.float32(255)


def _read_torchvision(root: Path, spec: ArrayFileSpec, download: bool) -> dict[str, np.ndarray]:
    from helpers.data.torchvision_import import import_torchvision

    dataset = getattr(import_torchvision().datasets, spec.dataset)
    read = lambda load: {part: dataset(str(root), train=part == "train", download=load)  # noqa: E731
                         for part in ("train", "test")}
    try:
        parts = _downloaded(root, spec.dataset, read) if download else read(False)
    except UNREAD as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{spec.argument}={str(root)!r}: must be {spec.wanted}. torchvision says: {reason}"
                         ) from error
    images = {f"x_{name}": np.asarray(part.data) for name, part in parts.items()}
    return images | {f"y_{name}": np.asarray(part.targets) for name, part in parts.items()}


def _downloaded(root: Path, name: str, read: Callable[[bool], dict]) -> dict:
    """read(False) where all is there, else read(True), which downloads: of several at once one does, the others wait.
    """
    with contextlib.suppress(*UNREAD):
        return read(False)
    root.mkdir(parents=True, exist_ok=True)
    with alone(root / f".{name}.lock"):
        return read(True)


def _checked(part: str, x: np.ndarray, y: np.ndarray, spec: ArrayFileSpec) -> Integer[np.ndarray, " n"]:
    """The labels of one part, if images and labels are what `spec` says."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y  # Keras keeps a column
    wanted = spec.image_shape
    images = x.dtype == np.uint8 and x.ndim in (3, 4) and wanted in (None, x.shape[1:])
    shape = "height, width[, channels]" if wanted is None else ", ".join(map(str, wanted))
    checks.require(images, f"x_{part}", f"<{x.dtype} {x.shape}>", f"uint8 of shape (n, {shape})")
    integers = np.issubdtype(y.dtype, np.integer) and y.shape == (len(x),)
    checks.require(integers, f"y_{part}", f"<{y.dtype} {y.shape}>", f"integers of shape ({len(x)},), one per image")
    if spec.n_classes is not None:
        strangers = np.setdiff1d(y, np.arange(spec.n_classes)).tolist()
        checks.require(not strangers, f"y_{part}", strangers[:5], f"labels 0 to {spec.n_classes - 1}")
    return y
