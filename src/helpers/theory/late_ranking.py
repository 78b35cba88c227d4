"""What the loss still tells of a label after every sample is memorised (chapter 10)."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import binom

from helpers import checks
from helpers.entry import entry
from helpers.theory.responses import labels_of_samples


@entry
def late_ranking_losses(n_snr2: float, y: ArrayLike, y_obs: ArrayLike,
                        shares: ArrayLike) -> tuple[Float[np.ndarray, " n"], dict[int, float]]:
    """The limits of s times the loss of each sample, and kappa of each class, +1 and -1 (thm-unequal-shares).

    Over a class, kappa = (1 + (2c/n) sum over clean of 1/p) / (1 + (2c/n) sum over noisy of 1/p); the limits are
    2 / ((1 + kappa) p_i) for a clean and 2 kappa / ((1 + kappa) p_i) for a noisy sample.

    Parameters
    ----------
    n_snr2
        c = n SNR^2.
    y, y_obs
        true and observed labels of the n samples, each -1 or +1.
    shares
        p_i > 0, the share of filters with j = y_obs_i active on xi_i times ``|xi_i|^2 / (sigma^2 d)``.
    """
    (y, y_obs), shares = labels_of_samples(y, y_obs), np.asarray(shares, float)
    n_snr2 = checks.positive("n_snr2", n_snr2)
    checks.require(shares.shape == y.shape, "shares.shape", shares.shape, f"{y.shape}, as y")
    checks.require((shares > 0).all(), "shares", shares, "positive: no sample without an active filter")
    flipped, kappas, limits = y != y_obs, {}, np.empty(len(y))
    for side in (1, -1):
        pull = [1 + 2 * n_snr2 / len(y) * np.sum(1 / shares[(y == side) & (flipped == noisy)]) for noisy in (0, 1)]
        kappas[side] = kappa = pull[0] / pull[1]
        limits[y == side] = np.where(flipped, kappa, 1.0)[y == side] * 2 / ((1 + kappa) * shares[y == side])
    return limits, kappas


@entry
def late_ranking_auc(kappa: float, m: int) -> float:
    """The chance that a noisy sample ends with the larger loss if shares are those of m fair coins, not all tails.

    P(p < kappa q) + P(p = kappa q) / 2 for independent p, q ~ Binomial(m, 1/2) / m given that they are positive.
    """
    kappa, heads = checks.positive("kappa", kappa), np.arange(1, checks.integer("m", m, 1, 5000) + 1)
    weights = binom.pmf(heads, m, 0.5)
    weights /= weights.sum()
    lead = kappa * heads[None, :] - heads[:, None]
    return float(weights @ ((lead > 0) + (lead == 0) / 2) @ weights)
