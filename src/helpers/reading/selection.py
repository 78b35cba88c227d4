"""Sample selection: which samples to trust, judged by their losses alone (chapter 9).

A rule takes losses (..., n) and returns a bool mask of the same shape, True for the samples it keeps; what it drops it
holds to be noisy. Rules read no true label. `quality` does, to say how good the choice was.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.mixture import GaussianMixture

from helpers import checks

LOG2 = math.log(2)


def log2_threshold(losses):
    """Keep the samples whose loss is at most log 2: those that are given their observed label (prop-log-two)."""
    return np.asarray(losses) <= LOG2


def small_loss(losses, keep_share):
    """Keep the round(keep_share n) samples of smallest loss of each row; among equals, those that come first."""
    losses, keep_share = np.asarray(losses), checks.real("keep_share", keep_share, 0.0, 1.0)
    rank = losses.argsort(-1, kind="stable").argsort(-1, kind="stable")
    return rank < round(keep_share * losses.shape[-1])


def loss_mixture(losses, *, seed=0, log=False):
    """Keep what the lower component of a two-component Gaussian mixture claims, row by row.

    Each row of losses (log: of their logarithms) is standardised and fitted by EM from a k-means start that `seed`
    draws. A sample is kept if the component of smaller mean has a posterior of 1/2 or more. Where all losses of a row
    are equal, all are kept. DivideMix (Li, Socher and Hoi 2020) fits the losses themselves.
    """
    seed = checks.integer("seed", seed, 0)
    losses = np.asarray(losses, float)
    checks.require(losses.shape[-1] >= 2, "losses.shape", losses.shape, "(..., n) with n of 2 or more")
    checks.require(not log or (losses > 0).all(), "losses", losses, "positive if log")
    values = np.log(losses) if log else losses
    rows = [_low_component(row, seed) for row in values.reshape(-1, values.shape[-1])]
    return np.array(rows).reshape(values.shape)


def _low_component(values, seed):
    spread = values.std()
    if spread <= 1e-12 * np.abs(values).max():  # rounding alone
        return np.ones(values.shape, bool)
    values = ((values - values.mean()) / spread)[:, None]
    model = GaussianMixture(2, reg_covar=1e-3, max_iter=1000, random_state=seed).fit(values)
    return model.predict_proba(values)[:, model.means_[:, 0].argmin()] >= 0.5


class Quality(NamedTuple):
    """How good a selection is, each of shape (...).

    precision : share of noisy samples among the dropped ones; 1 by convention where nothing is dropped.
    recall : share of the noisy samples that are dropped; 1 where there is none.
    purity : share of clean samples among the kept ones; 1 where nothing is kept.
    lost : share of the clean samples that are dropped; 0 where there is none.
    """

    precision: np.ndarray
    recall: np.ndarray
    purity: np.ndarray
    lost: np.ndarray


def quality(kept, flipped):
    """Quality of masks `kept` (..., n) for samples of which `flipped` (broadcast to the same shape) are noisy."""
    kept, flipped = np.broadcast_arrays(np.asarray(kept, bool), np.asarray(flipped, bool))
    share = lambda part, whole, empty: np.divide((part & whole).sum(-1), whole.sum(-1),  # noqa: E731
                                                 out=np.full(whole.shape[:-1], empty), where=whole.any(-1))
    return Quality(share(flipped, ~kept, 1.0), share(~kept, flipped, 1.0), share(~flipped, kept, 1.0),
                   share(~kept, ~flipped, 0.0))


def assess(record, rules):
    """Tidy DataFrame with a row for each rule, run and recorded time: `rules` is {name: function of losses}.

    Columns: rule, run, time, kept (the share of samples kept) and those of Quality.
    """
    runs, steps, _ = record.margins.shape
    losses, parts = record.losses, []
    for name, rule in rules.items():
        kept = rule(losses)
        columns = {"kept": kept.mean(-1), **quality(kept, record.flipped[:, None])._asdict()}
        parts.append(pd.DataFrame({"rule": name, "run": np.repeat(np.arange(runs), steps),
                                   "time": np.tile(record.times, runs)}
                                  | {column: values.ravel() for column, values in columns.items()}))
    return pd.concat(parts, ignore_index=True)


def best_quality(flip_share, drop_share):
    """Quality of dropping a share of the samples when each noisy one has a larger loss than each clean one.

    No rule that drops as many does better in any of the four (prop-small-loss). Arguments broadcast; in [0, 1].
    """
    flips, drops = np.broadcast_arrays(np.asarray(flip_share, float), np.asarray(drop_share, float))
    for name, value in (("flip_share", flips), ("drop_share", drops)):
        checks.require(((value >= 0) & (value <= 1)).all(), name, value, "in [0, 1]")
    ratio = lambda a, b, empty=1.0: np.divide(a, b, out=np.full(a.shape, empty), where=b > 0)  # noqa: E731
    caught = np.minimum(flips, drops)
    return Quality(ratio(caught, drops), ratio(caught, flips), ratio(1 - drops - flips + caught, 1 - drops),
                   ratio(drops - caught, 1 - flips, 0.0))


def ranking_auc(record):
    """(runs, T) the chance that a noisy sample of a run has a larger loss than a clean one (area under the ROC curve).

    NaN for a run without noisy or without clean samples.
    """
    ranks = rankdata(-record.margins, axis=-1)  # of the losses, ties averaged
    noisy = record.flipped.sum(1)[:, None]
    pairs = noisy * (record.flipped.shape[1] - noisy)
    above = np.einsum("rtn,rn->rt", ranks, record.flipped.astype(float)) - noisy * (noisy + 1) / 2
    return np.divide(above, pairs, out=np.full(above.shape, np.nan), where=pairs > 0)
