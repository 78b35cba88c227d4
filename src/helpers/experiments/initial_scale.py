"""Training over the scale of the initial weights, against the law with one half and with the share (chapter 7).

The initial responses <w, xi_i> have the size sigma_0 sigma sqrt(d); the limit law with the share 1/2 wants them above
the cross-talk sqrt(n/d) and well below 1. Condition 4.1 of Han et al. (2025) puts them below it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.descent import descend
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.record import Record
from helpers.theory.active_shares import active_share_law, active_share_scale
from helpers.theory.limit import LimitLaw, limit_law_euler


@entry
def initial_scale_runs(problem: SignalNoise, init_stds: Sequence[float], *, m: int, h: float, times: Sequence[float],
                       seeds: Iterable[int] = range(10)) -> pd.DataFrame:
    """Margins and the share of active filters over sigma_0, in exact runs and by three laws.

    The laws have the c of the problem and the flip rate of the draws. "half" and "measured" are Euler schemes with the
    step of the runs and the share 1/2 or, for each row, the share measured there; "predicted" is `active_share_law`, a
    heuristic.

    Parameters
    ----------
    problem
        the distribution of the data.
    init_stds
        values of sigma_0.
    m
        filters of each sign.
    h
        the step of the runs, eta sigma^2 d / (n m).
    times
        s, increasing and > 0, in units of n m / (eta sigma^2 d) steps; rounded to whole steps.
    seeds
        of the runs at each sigma_0.

    Returns
    -------
    frame
        One row per sigma_0 and time: `init_std`, `scale` (`active_share_scale`), `time`, `share`, `share_error`
        (standard error over runs), `share_predicted`; `clean` and `noisy`, mean margins of the runs; and those margins
        by the laws, `clean_half`, `noisy_half`, `clean_measured`, `noisy_measured`, `clean_predicted`,
        `noisy_predicted`.

    Examples
    --------
    >>> from helpers import SignalNoise
    >>> from helpers.experiments import initial_scale_runs
    >>> law = SignalNoise(100, 2000, n_snr2=20.0, flip_plus=0.1, flip_minus=0.1)
    >>> rows = initial_scale_runs(law, [1e-4, 5e-2], m=20, h=0.1, times=[1.0, 20.0], seeds=range(2))
    >>> rows[["scale", "time", "share", "share_predicted"]].round(2).values.tolist()
    [[0.02, 1.0, 0.75, 0.75], [0.02, 20.0, 0.81, 0.81], [10.0, 1.0, 0.51, 0.51], [10.0, 20.0, 0.53, 0.53]]
    """
    check_ranges(m=m, seeds=seeds)
    checks.require(len(init_stds) > 0, "init_stds", init_stds, "one scale or more")
    init_stds = [checks.positive("init_stds", one) for one in init_stds]
    h, init_stds = checks.positive("h", h), list(init_stds)
    steps = [round(checks.positive("times", s) / h) for s in times]
    checks.require(bool(steps) and steps[0] > 0 and bool(np.all(np.diff(steps) > 0)), "times", times,
                   f"increasing and at least h = {h:g} apart")
    seeds, lr = list(seeds), h * problem.n * m / (problem.noise_std**2 * problem.d)
    record = descend([problem] * len(init_stds), m, init_stds, lr, steps[-1], seeds, record_at=steps, n_test=1)
    # Runs with one seed have the same labels at every sigma_0.
    tau = float(record.flipped.mean())
    half = limit_law_euler(problem.n_snr2, tau, h, steps[-1])
    return pd.concat([_rows(problem, sigma_0, h, tau, half, record, slice(k * len(seeds), (k + 1) * len(seeds)))
                      for k, sigma_0 in enumerate(init_stds)], ignore_index=True)


def _rows(problem: SignalNoise, sigma_0: float, h: float, tau: float, half: LimitLaw, record: Record,
          runs: slice) -> pd.DataFrame:
    """The rows of one sigma_0, which has these runs of the record."""
    c, times, scale = problem.n_snr2, h * record.times, active_share_scale(problem, sigma_0)
    shares = record.active[runs].mean(2)
    share, count = shares.mean(0), len(shares)
    predicted = active_share_law(c, tau, times, scale=scale, orthogonal=problem.orthogonal)
    frame = {"init_std": sigma_0, "scale": scale, "time": times, "share": share,
             "share_error": shares.std(0, ddof=1) / count**0.5 if count > 1 else np.nan,
             "share_predicted": predicted.share}
    measured = [limit_law_euler(c, tau, h, int(t), share=p) for t, p in zip(record.times, share)]
    for which in ("clean", "noisy"):
        margin = f"{which}_margin"
        frame |= {which: np.nanmean(record.mean_over(record.margins, which)[runs], 0),
                  f"{which}_half": getattr(half, margin)[record.times],
                  f"{which}_measured": [getattr(law, margin)[-1] for law in measured],
                  f"{which}_predicted": getattr(predicted, margin)}
    return pd.DataFrame(frame)
