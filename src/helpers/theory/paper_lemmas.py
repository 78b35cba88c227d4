"""The paper's lemmas on coefficients and margins (Lemmas 5.1 and 5.2, Proposition 5.1), as what a run says to them.

The paper states them with constants "sufficiently large", O and Theta. Here is each quantity as measured; nothing is
proved.
"""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float

from helpers import checks
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.responses import with_readings


@entry
def paper_lemma_margins(record: Record) -> Float[np.ndarray, "runs T n"]:
    """The margins as Lemma 5.1 writes them, from coefficients alone.

    ``mean_r(rho_{y_obs_i,r,i} + gamma_{y_obs_i,r})`` for a clean sample, ``mean_r(rho_{y_obs_i,r,i} -
    gamma_{-y_obs_i,r})`` for a noisy one. In both it is the gamma of the true label.
    """
    with_readings(record, "gamma", "rho")
    gamma = _signal(record)
    return record.rho + np.where(record.flipped[:, None], -gamma, gamma)


def _signal(record: Record) -> Float[np.ndarray, "runs T n"]:
    """mean_r gamma_{y_i,r} for each sample."""
    plus, minus = np.moveaxis(record.gamma.mean(-1), -1, 0)
    return np.where(record.y[:, None] > 0, plus[..., None], minus[..., None])


@entry
def paper_lemma_deviations(record: Record) -> pd.DataFrame:
    """What each run of a signal-noise Record says to the paper's lemmas, over all recorded times.

    Returns
    -------
    DataFrame
        One row per run, with these columns:

        - ``margin``, of Lemma 5.1: the largest ``|margin - paper_lemma_margins|`` over samples and times, to be at
          most 1/C_1;
        - ``gamma_least``, ``largest``, ``log_steps``, of Proposition 5.1: the smallest gamma, to be >= 0; the largest
          gamma or rho, to be of the order of log T*; and the logarithm of the last recorded step;
        - ``rho_cross``, ``cross_scale``, of the same: the largest ``|rho_{j,r,i}|`` with j = -y_obs_i, to be at most of
          the order of ``max{sigma_0 |mu|, sigma_0 sigma sqrt(d), n / sqrt(d)}``. A filter that starts active on a
          patch of the other label leaves it in one step, of size h/2 with h = eta sigma^2 d / (n m), however large d
          is; the first half of item 6 of Condition 4.1 is h <= n sqrt(log(n/delta) / d) / C;
        - ``balance``, of Lemma 5.2: the largest difference of ``mean_r(rho_{y_i,r,i} + gamma_{y_i,r})`` between two
          samples, to be at most a constant kappa; NaN for a run with noisy samples, for which nothing is said;
        - ``ratio_low``, ``ratio_high``, of the same: the smallest and largest ``gamma_{j,r} / (SNR^2 sum_i
          rho_{j,r,i})`` over the filters at the last time, where the sum is over positive rho, to be of order 1 in a
          run without flips; inf for a filter without any.

    Raises
    ------
    ValueError
        If the record is not one of `descend`.

    Examples
    --------
    The formula for the margins is as exact as d is large:

    >>> from helpers.experiments import synthetic_run
    >>> from helpers.theory import paper_lemma_deviations
    >>> [round(float(paper_lemma_deviations(synthetic_run(0, d=d, n_test=1)).margin[0]), 4) for d in (2000, 2 * 10**9)]
    [1.0638, 0.0012]
    """
    known = record.gamma is not None and record.rho_final is not None and "init_std" in record.runs[0]
    checks.require(known, "record", record, "one of descend, with coefficients")
    balance = np.ptp(record.rho + _signal(record), axis=-1).max(1)
    low, high = _ratios(record)
    return pd.DataFrame({
        "margin": np.abs(record.margins - paper_lemma_margins(record)).max((1, 2)),
        "gamma_least": record.gamma.min((1, 2, 3)) + 0.0,  # no -0.0
        "largest": np.maximum(record.gamma.max((1, 2, 3)), record.rho_max.max((1, 2))),
        "log_steps": math.log(max(record.times[-1], 1)),
        "rho_cross": -record.rho_cross_min.min((1, 2)),
        "cross_scale": [_cross_scale(run) for run in record.runs],
        "balance": np.where(record.flipped.any(1), np.nan, balance),
        "ratio_low": low, "ratio_high": high}).rename_axis("run")


def _cross_scale(run: dict) -> float:
    """``max{sigma_0 |mu|, sigma_0 sigma sqrt(d), n / sqrt(d)}`` of Proposition 5.1."""
    root = math.sqrt(run["d"])
    return max(run["init_std"] * run["mu_norm"], run["init_std"] * run["noise_std"] * root, run["n"] / root)


def _ratios(record: Record) -> tuple[Float[np.ndarray, " runs"], Float[np.ndarray, " runs"]]:
    """Smallest and largest gamma / (SNR^2 sum of positive rho) over the filters of each run, at the last time."""
    snr2 = np.array([run["snr"] for run in record.runs])[:, None, None] ** 2
    noise = snr2 * record.rho_final.clip(min=0).sum(-1)
    ratio = np.divide(record.gamma_final, noise, out=np.full(noise.shape, np.inf), where=noise > 0)
    return ratio.min((1, 2)), ratio.max((1, 2))
