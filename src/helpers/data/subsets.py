"""Some of the samples: those kept, and those held out for validation."""

import dataclasses
from dataclasses import replace

import numpy as np

from helpers import checks
from helpers.data.images import LabelledImages
from helpers.data.signal_noise import Sample


def hold_out(data, n_val):
    """The last n_val training images become the end of the test set, with their observed labels: a validation set.

    Pass the same n_val to `fit.fit`, which measures them by themselves. Raises ValueError.
    """
    n_val = checks.integer("n_val", n_val)
    checks.require(n_val < data.n, "n_val", n_val, f"below {data.n}, the number of training images")
    join = lambda test, train: np.concatenate([test, train[-n_val:]])  # noqa: E731
    return replace(data, x=data.x[:-n_val], y=data.y[:-n_val], y_obs=data.y_obs[:-n_val],
                   x_test=join(data.x_test, data.x), y_test=join(data.y_test, data.y),
                   y_test_obs=join(data.y_test_obs, data.y_obs))


def keep_samples(data, kept):
    """The Sample or LabelledImages that has only the training samples with kept (n,) True. Test samples stay.

    A Sample's distribution gets the new n and keeps |mu|, so that n SNR^2 falls in proportion to n.
    """
    kept = np.asarray(kept)
    checks.require(kept.dtype == bool and kept.shape == (data.n,), "kept", kept, f"a bool mask of shape ({data.n},)")
    checks.require(kept.any(), "kept", kept, "True for at least one sample")
    if isinstance(data, LabelledImages):
        return dataclasses.replace(data, x=data.x[kept], y=data.y[kept], y_obs=data.y_obs[kept])
    checks.instance("data", data, Sample)
    law = data.distribution.replace(n=int(kept.sum()), mu_norm=data.distribution.mu_norm)
    return dataclasses.replace(data, xi=data.xi[kept], y=data.y[kept], y_obs=data.y_obs[kept], distribution=law)
