"""The phase diagram (chapter 11): one cell of it, the grids it is drawn over, and boundaries read off a map.

`phase_cell` is what `helpers.sweeps.sweep` calls, here, in a process pool or on a cluster; `PLANES` are the grids of
the recorded maps, which tools/record.py makes. Times s are in units of n m / (eta sigma^2 d) gradient steps.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.descent import descend
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.limit import LimitLaw, limit_law
from helpers.theory.responses import noise_responses, signal_responses

S_END, INITIAL_RESPONSE, RECORDED_TIMES, TEST_DRAWS = 30.0, 0.03, 20, 500
_C = [float(f"{c:.4g}") for c in np.geomspace(0.25, 32, 29)]
PLANES = {
    "phase_flips": {"d_over_n": [10, 10**6], "flip_rate": [round(0.02 * k, 2) for k in range(1, 24)], "n_snr2": _C},
    "phase_dimensions": {"d_over_n": [float(f"{r:.4g}") for r in np.geomspace(1.25, 12_500, 21)], "flip_rate": [0.2],
                         "n_snr2": _C}}


@entry
def phase_cell(n_snr2: float, flip_rate: float, d_over_n: int | float, *, n: int = 200, m: int = 20, runs: int = 10,
               s_end: float = S_END) -> dict[str, float | None]:
    """What training does at one point (c, tau, d/n) of the map, over seeds 0, ..., runs - 1.

    The initial weights have sigma_0 sigma sqrt(d) = 0.03. "At some time" and "at its best" are over about 20 recorded
    times in (0, s_end], log-spaced; "best" is at the time that is best for the mean of the runs.

    Parameters
    ----------
    n_snr2
        c = n SNR^2.
    flip_rate
        tau, of both classes.
    d_over_n
        d/n, with d = round(n d/n) at least n + 1.
    n, m, runs
        samples, filters of each sign, runs. Runs of different cells share their seeds.
    s_end
        the time at which training ends. The step h = s_end / steps is at most 0.1 and at most 1 / (1 + c).

    Returns
    -------
    dict
        Numbers by name; None stands for a mean over runs none of which has a noisy sample.

    Notes
    -----
    The names are

    - flipped : share of wrong labels, as drawn;
    - stage_one : share of the runs (that have a noisy sample) in which at some time more than half of the noisy samples
      are given their true label;
    - noisy_fitted_least, noisy_fitted, clean_fitted : share of noisy samples given their observed label, at the time
      when it is least in a run, and at s_end; the same for clean samples at s_end;
    - fresh_best, best_time, fresh_last, fresh_rise_error : error on fresh noise and true labels: at its best, when
      that is, at s_end, and the standard error over runs of the rise from the one to the other;
    - reused_best, reused_last, reused_low, reused_high : error on reused noise, and its 10% and 90% quantiles over runs
      at s_end;
    - noisy_mislead, clean_mislead : share of the patches of noisy (clean) samples that at s_end outvote the signal of a
      test sample whose true label is not their observed one.

    Examples
    --------
    >>> from helpers.experiments import phase_cell
    >>> cell = phase_cell(4.0, 0.2, 10, n=20, m=3, runs=2, s_end=1.0)
    >>> [round(cell[name], 2) for name in ("flipped", "clean_fitted", "noisy_fitted")]
    [0.15, 1.0, 0.33]
    """
    flip_rate = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    c, n, m = checks.positive("n_snr2", n_snr2), checks.integer("n", n), checks.integer("m", m)
    d, runs = round(n * checks.positive("d_over_n", d_over_n)), checks.integer("runs", runs)
    checks.require(d >= n + 1, "d_over_n", d_over_n, f"such that d >= n + 1 = {n + 1}")
    s_end = checks.positive("s_end", s_end)
    steps = int(np.ceil(s_end / min(0.1, 1 / (1 + c)) - 1e-9))
    record_at = np.unique(np.rint(np.geomspace(1, steps, RECORDED_TIMES)).astype(int))
    record = descend(SignalNoise(n, d, n_snr2=c, flip_plus=flip_rate, flip_minus=flip_rate), m,
                     INITIAL_RESPONSE / d**0.5, s_end / steps * n * m / d, steps, range(runs), record_at=record_at,
                     n_test=TEST_DRAWS)
    truly, fitted = (record.mean_over(fits, "noisy") for fits in (record.fits_true, record.fits_observed))
    best = record.fresh_error.mean(0).argmin()
    rise = record.fresh_error[:, -1] - record.fresh_error[:, best]
    reused, mislead = record.reused_error, _misleading_patches(record)
    low, high = np.quantile(reused[:, -1], [0.1, 0.9])
    return {"flipped": float(record.flipped.mean()),
            "stage_one": _mean(np.where(np.isnan(truly), np.nan, truly > 0.5).max(1)),
            "noisy_fitted_least": _mean(fitted.min(1)), "noisy_fitted": _mean(fitted[:, -1]),
            "clean_fitted": _mean(record.mean_over(record.fits_observed, "clean")[:, -1]),
            "fresh_best": _mean(record.fresh_error[:, best]), "best_time": float(record.times[best] * s_end / steps),
            "fresh_last": _mean(record.fresh_error[:, -1]),
            "fresh_rise_error": float(rise.std(ddof=1) / runs**0.5) if runs > 1 else None,
            "reused_best": float(reused.mean(0).min()), "reused_last": _mean(reused[:, -1]),
            "reused_low": float(low), "reused_high": float(high),
            "noisy_mislead": _mean(record.mean_over(mislead, "noisy")[:, -1]),
            "clean_mislead": _mean(record.mean_over(mislead, "clean")[:, -1])}


def _misleading_patches(record: Record) -> Bool[np.ndarray, "runs T n"]:
    """Which patches give a test sample whose true label is -y_obs_i the wrong label.

    Such a sample shows the signal of the class -y_obs_i: the noise response N_i outvotes that class's signal response.
    """
    against = np.where(record.flipped[:, None], signal_responses(record), signal_responses(record, opposite=True))
    return noise_responses(record) >= against


def _mean(values: Float[np.ndarray, " runs"]) -> float | None:
    """The mean of the values that are known; None where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


@entry
def phase_clean_patch_border(n_snr2: float, s_end: float) -> float:
    """The flip rate above which, by the limit law, clean patches mislead already at s_end: r_c = A there.

    It falls from (1 - 1/c) / 2 at s_end = 0 to (1 - 1/c) / 4, the line of prop-clean-patches, as s_end grows. To eight
    digits; 0.0 where they mislead at every flip rate, i.e. c <= 1.
    """
    s_end = checks.positive("s_end", s_end)

    def lag(flip_rate: float) -> float:
        law = limit_law(n_snr2, flip_rate, [0.0, s_end])
        return law.r_clean[-1] - law.signal[-1]

    return 0.0 if lag(0.0) >= 0 else float(brentq(lag, 0.0, 0.5 - 1e-9, xtol=1e-9))


@entry
def phase_signal_to_noise(law: LimitLaw) -> Float[np.ndarray, " T"]:
    """Q^2, the squared ratio of the signal response to the spread of a filter's response to a fresh patch, times n/d.

    In the limit law's setting that spread is sigma ``|w|``, equal to
    sqrt(n/d) (A^2 / c + (1 - tau) r_c^2 + tau r_n^2)^(1/2), with which the output of a fresh patch scales. A heuristic,
    eq-signal-to-noise-patch; NaN at s = 0, where all is zero.
    """
    noise = (1 - law.flip_rate) * law.r_clean**2 + law.flip_rate * law.r_noisy**2
    spread = law.signal**2 / law.n_snr2 + noise
    return np.divide(law.signal**2, spread, out=np.full(spread.shape, np.nan), where=spread > 0)
