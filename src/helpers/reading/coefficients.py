"""Signal and noise coefficients of a signal-noise Record over time, as the paper's Figure 1 draws them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from helpers import checks
from helpers.entry import entry
from helpers.record import Record


@dataclass(frozen=True, eq=False)
class LargestCoefficients:
    """The largest coefficients at each recorded time; NaN where a run has no such sample.

    Attributes
    ----------
    gamma
        over all filters, ``max_{j,r} gamma_{j,r}``.
    noisy, clean
        over the noisy (clean) samples and the filters of the observed label, ``max_{r,i} rho_{j,r,i}``, j = y_obs_i.
        Those of the other sign are never positive.
    """

    gamma: Float[np.ndarray, "runs T"]
    noisy: Float[np.ndarray, "runs T"]
    clean: Float[np.ndarray, "runs T"]


@entry
def largest_coefficients(record: Record) -> LargestCoefficients:
    """The curves of the paper's Figure 1 (a, c), of each run.

    Raises
    ------
    ValueError
        If the record has no coefficients.
    """
    known = record.gamma is not None and record.rho_max is not None
    checks.require(known, "record", record, "one with gamma and rho_max")
    over = {name: np.where(chosen[:, None], record.rho_max, -np.inf).max(-1)
            for name, chosen in (("noisy", record.flipped), ("clean", ~record.flipped))}
    return LargestCoefficients(record.gamma.max((-2, -1)), **{name: np.where(np.isfinite(found), found, np.nan)
                                                              for name, found in over.items()})


@entry
def coefficient_overtaking(record: Record) -> Float[np.ndarray, " runs"]:
    """The recorded time from which on the largest rho on noisy samples exceeds every gamma, the paper's border.

    It is the time after the last one at which it does not, so that a lead of the first step or two, when all
    coefficients are near 0, does not count. NaN where rho is not ahead at the last recorded time, as for a run without
    noisy samples.
    """
    largest = largest_coefficients(record)
    ahead = largest.noisy > largest.gamma
    behind = ~ahead[:, ::-1]
    last_behind = np.where(behind.any(1), ahead.shape[1] - 1 - behind.argmax(1), -1)
    since = np.minimum(last_behind + 1, ahead.shape[1] - 1)
    return np.where(ahead[:, -1], record.times[since], np.nan)
