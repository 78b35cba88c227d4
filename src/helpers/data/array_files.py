"""Files of images and labels as arrays: .npz archives, and the folders in which torchvision keeps its data sets."""

import zipfile
import zlib
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from helpers import checks

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True)
class ArraySpec:
    """What a file of images has to hold, and what an error says if it does not.

    argument : the name under which errors mention the path. wanted : what to put there.
    dataset : the name of torchvision's class, None if there is none. image : (height, width, channels), or
    (height, width) for grey images; None admits any. n_classes : labels are 0 to n_classes - 1; None admits any.
    """

    argument: str
    wanted: str
    _: KW_ONLY
    dataset: str = None
    image: tuple = None
    n_classes: int = None


def npz_or_torchvision(dataset, ending):
    """The sentence that says what to give for one of torchvision's data sets."""
    call = f"torchvision.datasets.{dataset.replace('-', '')}(folder, download=True)"
    return ("the path of an .npz file with the arrays x_train, y_train, x_test, y_test, or of the folder in which "
            f"torchvision keeps {dataset} ({call} fills it){ending}")


CIFAR10_SPEC = ArraySpec("SIGNAL_FIRST_CIFAR10",
                          npz_or_torchvision("CIFAR-10", ". Unset it to use scikit-learn's digits"),
                          dataset="CIFAR10", image=(32, 32, 3), n_classes=10)


def read_arrays(path, spec, *, download=False):
    """{x_train, y_train, x_test, y_test} of an .npz file or a folder of torchvision's, checked: images uint8, one
    integer label an image. A `download` fills the folder first where it has to. Raises ValueError."""
    path = Path(path).expanduser()
    if path.is_dir() or (download and not path.is_file()):
        checks.require(spec.dataset is not None, spec.argument, str(path), spec.wanted)
        arrays = _read_torchvision(path, spec, download)
    else:
        checks.require(path.is_file(), spec.argument, str(path), spec.wanted)
        arrays = read_npz(path, ARRAYS, spec)
    for part in ("train", "test"):
        arrays[f"y_{part}"] = _checked(part, arrays[f"x_{part}"], arrays[f"y_{part}"], spec)
    return arrays


def read_npz(path, names, spec):
    """{name: array} of an .npz file. Pickled objects are refused unread. Raises ValueError, naming what is wanted."""
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


def pixels_from_bytes(x):
    """uint8 images (n, height, width, channels) or (n, height, width) as float32 (n, channels, height, width) / 255."""
    x = x[..., None] if x.ndim == 3 else x
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) / np.float32(255)


def _read_torchvision(root, spec, download):
    from helpers.data.torchvision_import import import_torchvision

    dataset = getattr(import_torchvision().datasets, spec.dataset)
    try:
        parts = {part: dataset(str(root), train=part == "train", download=download) for part in ("train", "test")}
    except (RuntimeError, OSError, ValueError, EOFError, AssertionError) as error:  # missing, damaged, no network
        reason = " ".join(str(error).split())
        raise ValueError(f"{spec.argument}={str(root)!r}: must be {spec.wanted}. torchvision says: {reason}"
                         ) from error
    images = {f"x_{name}": np.asarray(part.data) for name, part in parts.items()}
    return images | {f"y_{name}": np.asarray(part.targets) for name, part in parts.items()}


def _checked(part, x, y, spec):
    """The labels of one part, (n,) integers, if images and labels are what `spec` says."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y  # Keras keeps a column
    images = x.dtype == np.uint8 and x.ndim in (3, 4) and (spec.image is None or x.shape[1:] == spec.image)
    shape = "height, width[, channels]" if spec.image is None else ", ".join(map(str, spec.image))
    checks.require(images, f"x_{part}", f"<{x.dtype} {x.shape}>", f"uint8 of shape (n, {shape})")
    integers = np.issubdtype(y.dtype, np.integer) and y.shape == (len(x),)
    checks.require(integers, f"y_{part}", f"<{y.dtype} {y.shape}>", f"integers of shape ({len(x)},), one an image")
    if spec.n_classes is not None:
        strangers = np.setdiff1d(y, np.arange(spec.n_classes)).tolist()
        checks.require(not strangers, f"y_{part}", strangers[:5], f"labels 0 to {spec.n_classes - 1}")
    return y
