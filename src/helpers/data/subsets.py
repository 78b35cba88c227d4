"""Some of the samples: those kept, and those held out for validation."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledData
from helpers.data.signal_noise import Sample
from helpers.entry import entry
from helpers.streams import random_stream

Labelled = TypeVar("Labelled", bound=LabelledData)
Samples = TypeVar("Samples", Sample, LabelledData)


@entry
def hold_out(data: Labelled, n_val: int, *, seed: int | None = None) -> Labelled:
    """Some training samples become the end of the test set, with their observed labels: a validation set.

    Pass the same n_val to `fit`, which measures them by themselves.

    Parameters
    ----------
    data
        with a test set or without one; the samples held out then are the whole of it.
    n_val
        how many.
    seed
        of the draw. Without one the last samples are held out, which is right only where the samples lie in random
        order: a folder's images lie class by class.

    Raises
    ------
    ValueError
        If no training sample is left.
    """
    checks.instance("data", data, LabelledData)
    n_val = checks.integer("n_val", n_val)
    checks.require(n_val < data.n, "n_val", n_val, f"below {data.n}, the number of training samples")
    if seed is None:
        held = np.arange(data.n) >= data.n - n_val
    else:
        held = np.isin(np.arange(data.n), random_stream(seed, "samples held out").permutation(data.n)[:n_val])
    true = None if data.truth_known and data.n_test_known == data.n_test else data.n_test_known
    added = {"x_test": data.x[held], "y_test": data.y[held], "y_test_obs": data.y_obs[held]}
    if data.n_test:
        added = {name: np.concatenate([getattr(data, name), value]) for name, value in added.items()}
    return replace(data.keep(~held), **added, n_test_true=true)


@entry(own=("kept",))
def keep_samples(data: Samples, kept: ArrayLike) -> Samples:
    """The same data with only some of their training samples. Test samples stay.

    A Sample's distribution gets the new n and keeps ``|mu|``, so that n SNR^2 falls in proportion to n.

    Parameters
    ----------
    data
        a Sample, or `LabelledData`.
    kept
        a mask, True for the samples that stay.

    Raises
    ------
    ValueError
        If `kept` is no boolean mask with an entry per training sample, or True for none.
    """
    checks.require(isinstance(data, (Sample, LabelledData)), "data", data, "a Sample or LabelledData")
    kept = np.asarray(kept)
    checks.require(kept.dtype == bool and kept.shape == (data.n,), "kept", kept, f"a bool mask of shape ({data.n},)")
    checks.require(kept.any(), "kept", kept, "True for at least one sample")
    return data.keep(kept)
