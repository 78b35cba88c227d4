"""A folder of images with wrong labels, to try things on: scikit-learn's digits with look-alikes confused."""

import os
import shutil
from os import PathLike

import numpy as np
import pandas as pd
from jaxtyping import Float32
from PIL import Image

from helpers import checks
from helpers.data.datasets import DIGITS
from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import InstanceDependentNoise, SymmetricNoise, TransitionNoise
from helpers.entry import entry
from helpers.files import temporary_beside
from helpers.practice.cleaned_folder import check_target
from helpers.streams import random_stream

LOOK_ALIKES = {"0": "6", "1": "7", "2": "3", "3": "8", "4": "9", "5": "6", "6": "5", "7": "1", "8": "3", "9": "4"}
KINDS = ("pair", "symmetric", "image")


@entry
def example_folder(path: str | PathLike, *, kind: str = "pair", rate: float = 0.2, n: int | None = None, seed: int = 0
                   ) -> pd.DataFrame:
    """Write scikit-learn's handwritten digits as a folder of PNG files, some of them in the folder of a wrong digit.

    path/<digit>/<number>.png, grey, 8 by 8 pixels; the numbers are in random order and say nothing. Load it with
    ``load_folder(path, size=8, mode="L")``, which reads the labels alone and not the truth.

    Parameters
    ----------
    path
        the folder to write: a new or an empty one. It appears when it is complete.
    kind
        "pair": a digit is taken for the one that looks like it (LOOK_ALIKES: 3 and 8, 1 and 7, 4 and 9, 5 and 6, 0
        for 6, 2 for 3). "symmetric": for any other. "image": for one that depends on the image
        (`InstanceDependentNoise`).
    rate
        chance of a label to be wrong, in [0, 1/2).
    n
        how many of the 1,797 images, drawn at random; all by default.
    seed
        of the order of the images and of the wrong labels.

    Returns
    -------
    DataFrame
        The truth, for measuring afterwards: `file` as in ``data.files``, `observed` and `true`, a digit as text.

    Raises
    ------
    ValueError
        If the folder has files in it, or an argument is out of range.

    Examples
    --------
    >>> import tempfile
    >>> from helpers.practice import example_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     truth = example_folder(folder, n=300)
    >>> len(truth), round(float((truth["observed"] != truth["true"]).mean()), 2)
    (300, 0.21)
    """
    kind = checks.one_of("kind", kind, KINDS)
    rate = checks.real("rate", rate, 0.0, 0.5, open_high=True)
    data = add_label_noise(_digits(n, seed), _noise(kind, rate), seed=seed)
    path = check_target(path)
    observed, true = ([DIGITS[k] for k in labels] for labels in (data.y_obs, data.y))
    files = [f"{digit}/{i:04d}.png" for i, digit in enumerate(observed)]
    beside = temporary_beside(path)
    try:
        for file, x in zip(files, data.x):
            (beside / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.rint(255 * x[0]).astype(np.uint8)).save(beside / file)
        if path.exists():
            path.rmdir()  # empty
        os.replace(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return pd.DataFrame({"file": files, "observed": observed, "true": true})


def _digits(n: int | None, seed: int) -> LabelledImages:
    """Some of the digits, or all, in random order."""
    from sklearn import datasets

    images, digits = datasets.load_digits(return_X_y=True)
    n = len(digits) if n is None else checks.integer("n", n, 100, len(digits))
    chosen = random_stream(seed, "example folder").permutation(len(digits))[:n]
    x: Float32[np.ndarray, "n 1 8 8"] = (images[chosen] / 16.0).reshape(-1, 1, 8, 8).astype(np.float32)
    return LabelledImages("digits", DIGITS, x, digits[chosen])


def _noise(kind: str, rate: float) -> TransitionNoise | SymmetricNoise | InstanceDependentNoise:
    if kind == "image":
        return InstanceDependentNoise(rate)
    if kind == "symmetric":
        return SymmetricNoise(rate)
    matrix = (1 - rate) * np.eye(len(DIGITS))
    for digit, other in LOOK_ALIKES.items():
        matrix[int(digit), int(other)] = rate
    return TransitionNoise(tuple(map(tuple, matrix)))
