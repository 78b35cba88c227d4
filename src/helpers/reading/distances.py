"""How far apart the losses of clean and of noisy samples lie over a run (chapter 15, after Lim, Han and Lee
2020)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import wasserstein_distance
from sklearn.metrics import roc_auc_score

from helpers import checks
from helpers.entry import entry
from helpers.record import Record


class LossDistances(NamedTuple):
    """Distances between the losses of clean and of noisy samples (def-loss-distances).

    Of one run at one time they are numbers, of a Record arrays. All but `auc` are 0 for equal samples.

    Attributes
    ----------
    ks
        largest difference of the two distribution functions (Kolmogorov-Smirnov).
    auc
        chance that a noisy sample has the larger loss, ties counting one half.
    w1, w1_log
        mean distance that mass must travel to turn one into the other, of losses and of log losses.
    shape
        ks of the log losses after the median of each group has been subtracted.
    """

    ks: float | Float[np.ndarray, "runs T"]
    auc: float | Float[np.ndarray, "runs T"]
    w1: float | Float[np.ndarray, "runs T"]
    w1_log: float | Float[np.ndarray, "runs T"]
    shape: float | Float[np.ndarray, "runs T"]


def loss_distances(losses: ArrayLike, flipped: ArrayLike) -> LossDistances:
    """Distances of n positive losses, of which `flipped` says which belong to noisy samples.

    All NaN if either group is empty. Raises ValueError for losses that are not positive and finite.
    """
    losses = checks.vectors("losses", losses, None).numpy()
    flipped = checks.mask("flipped", flipped)
    checks.require(flipped.shape == losses.shape, "flipped.shape", flipped.shape, f"{losses.shape}, as losses")
    checks.require(bool((losses > 0).all()), "losses", losses.min(initial=1.0), "positive")
    if flipped.all() or not flipped.any():
        return LossDistances(*[np.nan] * 5)
    clean = losses[~flipped]
    noisy = losses[flipped]
    logs = np.log(clean), np.log(noisy)
    return LossDistances(_ks(clean, noisy), roc_auc_score(flipped, losses), wasserstein_distance(clean, noisy),
                         wasserstein_distance(*logs), _ks(*(part - np.median(part) for part in logs)))


@entry
def loss_distances_over_time(record: Record) -> LossDistances:
    """`loss_distances` of each run of a Record at each of its times."""
    runs = zip(record.losses, record.flipped)
    values = [[loss_distances(row, flipped) for row in losses] for losses, flipped in runs]
    return LossDistances(*np.moveaxis(np.array(values), -1, 0))


def _ks(a: Float[np.ndarray, " a"], b: Float[np.ndarray, " b"]) -> float:
    """scipy.stats.ks_2samp's statistic; the p-value, which is not wanted here, takes most of its time."""
    values = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(part), values, side="right") / len(part) for part in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


@entry
def binned_tv_distance(clean: ArrayLike, noisy: ArrayLike, edges: ArrayLike) -> float:
    """Total variation of two samples after sorting them into the bins between `edges` (outermost bins open).

    Half the sum of the absolute differences of the shares. Without bins it would be 1 for any two samples that have no
    value in common; it can only grow if bins are split.
    """
    for name, part in (("clean", clean), ("noisy", noisy)):
        checks.sampled(name, np.asarray(part))
    checks.sampled("edges", np.asarray(edges))
    edges = np.concatenate([[-np.inf], np.sort(np.asarray(edges, float)), [np.inf]])
    shares = [np.histogram(part, edges)[0] / len(part) for part in (clean, noisy)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
