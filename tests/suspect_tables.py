"""Small labelled data with names of files, and tables of suspects of them, as the practice wing hands them on."""

import numpy as np
import pandas as pd

from helpers.data.images import LabelledFeatures, LabelledImages, class_index
from helpers.practice.fingerprint import fingerprint

ANIMALS = ("cat", "dog", "eel")
UNKNOWN = {"kind": "unknown", "source": "names of the folders"}


def animals(n=9, *, files=True, noise=UNKNOWN, classes=ANIMALS, seed=0, **more):
    """Random grey images in as many classes as there are names, in turn; files "cat/0.png", "dog/1.png" and so on."""
    x = np.random.default_rng(seed).random((n, 1, 4, 4))
    y = np.arange(n) % len(classes)
    names = tuple(f"{classes[k]}/{i}.png" for i, k in enumerate(y)) if files else None
    return LabelledImages("animals", classes, x, y, noise=noise, files=names, **more)


def rows(n=12, *, p=11, seed=0):
    """Random rows of features of two classes."""
    x = np.random.default_rng(seed).normal(size=(n, p))
    return LabelledFeatures("lengths", ("short", "long"), x, np.where(np.arange(n) % 2, 1, -1), noise=UNKNOWN)


def ranked(data, samples=None, *, signed=True):
    """A table of suspects: the samples in the order given, each suggested to be of the next class."""
    samples = np.arange(data.n)[::-1] if samples is None else np.asarray(samples)
    index = class_index(data.y_obs, data.n_classes)[samples]
    table = pd.DataFrame({
        "sample": samples, "file": None if data.files is None else [data.files[i] for i in samples],
        "observed": [data.classes[k] for k in index],
        "suggested": [data.classes[(k + 1) % data.n_classes] for k in index],
        "score": np.linspace(0.99, 0.01, len(samples)), "loss at stop": np.nan,
        "confidence out of fold": np.linspace(0.001, 0.9, len(samples))})
    if signed:
        table.attrs["data"] = fingerprint(data)
    return table
