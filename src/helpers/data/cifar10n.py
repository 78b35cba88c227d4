"""CIFAR-10N: labels that people gave to CIFAR-10's training images (Wei et al., ICLR 2022).

The labels are for non-commercial use (CC BY-NC 4.0), so they are not part of this package: they are read from the
authors' file, downloaded with a checksum, or from an .npz file with the same arrays.
"""

import os
import pickle
import warnings
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from helpers import checks
from helpers.data.array_files import CIFAR10_CLASSES, ArrayFileSpec, read_npz_array_file
from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import HumanLabelNoise
from helpers.entry import entry
from helpers.files import fetch_file

CIFAR10N_VARIABLE = "SIGNAL_FIRST_CIFAR10N"
CIFAR10N_FILE = "CIFAR-10_human.pt"
CIFAR10N_URL = ("https://raw.githubusercontent.com/UCSC-REAL/cifar-10-100n/49df7d8a69e355470c77c1c2f2424916325a394b/"
                f"data/{CIFAR10N_FILE}")
CIFAR10N_SHA256 = "873e69c39cb9b5e97fb6bae2d60bb59b38a5cbc31d2b868f7903dcb2b9dd2310"
KINDS = {"aggregate": "aggre_label", "random1": "random_label1", "random2": "random_label2",
         "random3": "random_label3", "worst": "worse_label"}
LABEL_ARRAYS = ("clean_label", *KINDS.values())
CIFAR10N_SPEC = ArrayFileSpec(
    CIFAR10N_VARIABLE, f"the path of {CIFAR10N_FILE} ({CIFAR10N_URL}, SHA-256 {CIFAR10N_SHA256}) or of an .npz file, "
    f"with the arrays {', '.join(LABEL_ARRAYS)}")


@entry(own=("path",))
def load_cifar10n(path: str | PathLike | None = None, *,
                  download: bool = False) -> dict[str, Int64[np.ndarray, " n"]]:
    """The human labels of CIFAR-10's 50,000 training images, in the order of torchvision's (and the original) set.

    The .pt file is read with torch's weights-only unpickler, which builds arrays of numbers and runs nothing else.

    Parameters
    ----------
    path
        CIFAR-10_human.pt, the folder that holds it, or an .npz file with the same arrays; by default the one that
        SIGNAL_FIRST_CIFAR10N names.
    download
        fetch CIFAR-10_human.pt to `path` (a folder, or a file's name) if it is not there, and check its SHA-256.

    Returns
    -------
    labels
        by name: clean_label, aggre_label, random_label1, random_label2, random_label3 and worse_label.

    Raises
    ------
    ValueError
        If there are no such labels; it says what to put where.
    """
    given = os.environ.get(CIFAR10N_VARIABLE) if path is None else path
    checks.require(bool(given), CIFAR10N_VARIABLE, given, CIFAR10N_SPEC.wanted)
    path = checks.path(CIFAR10N_VARIABLE, given)
    path = path / CIFAR10N_FILE if path.is_dir() or (download and not path.suffix) else path
    if download and path.suffix != ".npz":
        fetch_file(CIFAR10N_URL, CIFAR10N_SHA256, path)
    checks.require(path.is_file(), CIFAR10N_VARIABLE, str(path), CIFAR10N_SPEC.wanted)
    labels = read_npz_array_file(path, LABEL_ARRAYS, CIFAR10N_SPEC) if path.suffix == ".npz" else _read_pt(path)
    return {name: _checked(name, labels, path) for name in LABEL_ARRAYS}


@entry
def add_cifar10n_labels(data: LabelledImages, kind: str, *, path: str | PathLike | None = None,
                        download: bool = False) -> LabelledImages:
    """The images `data` with the observed labels that people gave; its test labels are all true.

    Parameters
    ----------
    data
        CIFAR-10 with its ten classes and its whole training set in the order of the file, as `load_cifar10` gives it.
        Take a subset or two classes afterwards; the same seed then gives the same images for each kind.
    kind
        "aggregate" (majority of three people), "random1", "random2", "random3" (one of them), or "worst" (a wrong label
        wherever one of the three was wrong).
    path, download
        as for `load_cifar10n`.

    Raises
    ------
    ValueError
        If there are no such labels, or the file's clean labels are not those of `data`: the labels then belong to the
        images in another order (TensorFlow keeps CIFAR-10 in one).
    """
    checks.one_of("kind", kind, KINDS)
    checks.require(data.classes == CIFAR10_CLASSES, "data.classes", data.classes,
                   f"CIFAR-10's ten, {', '.join(CIFAR10_CLASSES)}: add human labels before you take two classes")
    labels = load_cifar10n(path, download=download)
    clean = labels["clean_label"]
    checks.require(len(clean) == data.n, "data.n", data.n,
                   f"{len(clean)}, the whole training set: add human labels before you take a subset")
    wrong = int((clean != data.y).sum())
    checks.require(wrong == 0, "data.y", f"<{wrong} of {data.n} labels differ from the file's clean_label>",
                   "the training set in the order of the human labels, torchvision's; TensorFlow has another order")
    return add_label_noise(data, HumanLabelNoise(labels[KINDS[kind]], source=f"CIFAR-10N, {kind}"))


def _read_pt(path: Path) -> dict[str, np.ndarray]:
    """The dict of arrays in a .pt file; only what numpy needs to build an array of integers is ever called."""
    checks.require(hasattr(torch.serialization, "safe_globals"), "torch", torch.__version__,
                   "2.5 or later to read a .pt file safely; an .npz file with the same arrays needs none")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_array_builders()):
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # the unpickler says itself what it lacks
            labels = torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, TypeError, KeyError, IndexError,
            AttributeError) as error:  # whatever a damaged file makes of the unpickler
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{CIFAR10N_VARIABLE}={str(path)!r}: must be {CIFAR10N_SPEC.wanted}. Reading it gave "
                         f"{type(error).__name__}: {reason}") from error
    missing = sorted(set(LABEL_ARRAYS) - set(labels)) if isinstance(labels, dict) else type(labels).__name__
    checks.require(not missing, CIFAR10N_VARIABLE, str(path), f"{CIFAR10N_SPEC.wanted}. Missing: {missing}")
    return labels


def _array_builders() -> list[Callable | tuple[Callable, str]]:
    """What a pickle of integer arrays calls; numpy moved the first one from numpy.core to numpy._core in version 2."""
    rebuild = np.zeros(0).__reduce__()[0]
    names = "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"
    return [(rebuild, name) for name in names] + [np.ndarray, np.dtype, type(np.dtype(np.int64))]


def _checked(name: str, labels: dict[str, np.ndarray], path: Path) -> Int64[np.ndarray, " n"]:
    value, n = np.asarray(labels[name]), len(np.atleast_1d(labels["clean_label"]))
    valid = np.issubdtype(value.dtype, np.integer) and value.shape == (n,) and n > 0
    valid = valid and value.min() >= 0 and value.max() < len(CIFAR10_CLASSES)
    checks.require(bool(valid), name, f"<{value.dtype} {value.shape} in {path}>", f"({n},) integers from 0 to 9")
    return value.astype(np.int64)
