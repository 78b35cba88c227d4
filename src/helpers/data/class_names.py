"""Classes as they come with data of one's own: their order, what is no set of classes, a draw within each."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Int64

from helpers import checks
from helpers.streams import random_stream


def composed_name(text: str) -> str:
    """Unicode's composed form: macOS keeps the names of files in the decomposed one."""
    return unicodedata.normalize("NFC", text)


def ordered_class_names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes in order: by size where all are numbers, else by the alphabet.

    ValueError where two names are the same number, such as "1" and "1.0".
    """
    names = sorted(set(names))
    try:
        sizes = {name: float(name) for name in names}
    except ValueError:
        return tuple(names)
    if not all(map(math.isfinite, sizes.values())):  # "nan" and "inf" are words here
        return tuple(names)
    counts = Counter(sizes.values())
    twice = [name for name in names if counts[sizes[name]] > 1]
    checks.require(not twice, argument, twice[:4], "numbers of which each is written in one way")
    return tuple(sorted(names, key=sizes.get))


def require_classes(argument: str, found: Iterable, n: int) -> None:
    """Raise a ValueError where the labels `found` of n samples are no classes: one alone, or another per sample."""
    found = list(found)
    checks.require(len(found) >= 2, argument, found[:1], "labels of two classes or more; all samples have this one")
    checks.require(len(found) < n or n < 3, argument, f"<{n} different labels of {n} samples>",
                   "classes, which samples share: numbers to be predicted, or names of samples, are none")


def draw_per_class(index: Int64[np.ndarray, " n"], share: float, seed: int) -> Bool[np.ndarray, " n"]:
    """A mask, True for round(share * size) samples of each class, drawn at random; one at least stays False."""
    order = random_stream(seed, "test samples of each class").permutation(len(index))
    drawn = np.zeros(len(index), bool)
    for one in np.unique(index):
        members = order[index[order] == one]
        drawn[members[:min(round(share * len(members)), len(members) - 1)]] = True
    return drawn


def drawn_test_share(index: Int64[np.ndarray, " n"], share: float, seed: int) -> Bool[np.ndarray, " n"]:
    """`draw_per_class` for a test set: all False where `share` is 0; ValueError where a larger share draws nothing."""
    share = checks.real("test_share", share, 0.0, 1.0, open_high=True)
    drawn = draw_per_class(index, share, seed)
    checks.require(drawn.any() or not share, "test_share", share,
                   "0, or large enough for a test sample: round(test_share * size) of each class are drawn")
    return drawn
