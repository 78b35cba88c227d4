"""Some of the samples: those kept, and those held out for validation."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledImages
from helpers.data.signal_noise import Sample

Samples = TypeVar("Samples", Sample, LabelledImages)


def hold_out(data: LabelledImages, n_val: int) -> LabelledImages:
    """The last n_val training images become the end of the test set, with their observed labels: a validation set.

    Pass the same n_val to `fit`, which measures them by themselves. Raises ValueError where no training image is left.
    """
    n_val = checks.integer("n_val", n_val)
    checks.require(n_val < data.n, "n_val", n_val, f"below {data.n}, the number of training images")
    join = lambda test, train: np.concatenate([test, train[-n_val:]])  # noqa: E731
    return replace(data, x=data.x[:-n_val], y=data.y[:-n_val], y_obs=data.y_obs[:-n_val],
                   x_test=join(data.x_test, data.x), y_test=join(data.y_test, data.y),
                   y_test_obs=join(data.y_test_obs, data.y_obs))


def keep_samples(data: Samples, kept: ArrayLike) -> Samples:
    """The same data with only some of their training samples. Test samples stay.

    A Sample's distribution gets the new n and keeps ``|mu|``, so that n SNR^2 falls in proportion to n.

    Parameters
    ----------
    data
        a Sample or LabelledImages.
    kept
        a mask, True for the samples that stay.

    Raises
    ------
    ValueError
        If `kept` is no boolean mask with an entry per training sample, or True for none.
    """
    checks.require(isinstance(data, (Sample, LabelledImages)), "data", data, "a Sample or LabelledImages")
    kept = np.asarray(kept)
    checks.require(kept.dtype == bool and kept.shape == (data.n,), "kept", kept, f"a bool mask of shape ({data.n},)")
    checks.require(kept.any(), "kept", kept, "True for at least one sample")
    return data.keep(kept)
