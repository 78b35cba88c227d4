"""Sample selection: which samples to trust, judged by their losses alone (chapter 10).

A rule takes losses (..., n) and returns a bool mask of the same shape, True for the samples it keeps; what it drops it
holds to be noisy. Rules read no true label. `selection_quality` does, to say how good the choice was.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.mixture import GaussianMixture

from helpers import checks
from helpers.entry import entry
from helpers.record import Record

LOG2 = math.log(2)


@entry
def select_below_log2(losses: ArrayLike) -> Bool[np.ndarray, "..."]:
    """Keep the samples whose loss is at most log 2: those that are given their observed label (prop-log-two)."""
    return np.asarray(losses) <= LOG2


@entry
def select_small_loss(losses: ArrayLike, keep_share: float) -> Bool[np.ndarray, "... n"]:
    """Keep the round(keep_share n) samples of smallest loss of each row; among equals, those that come first."""
    losses = _in_rows(losses)
    keep_share = checks.real("keep_share", keep_share, 0.0, 1.0)
    rank = losses.argsort(-1, kind="stable").argsort(-1, kind="stable")
    return rank < round(keep_share * losses.shape[-1])


@entry
def select_by_mixture(losses: ArrayLike, *, seed: int = 0, log: bool = False) -> Bool[np.ndarray, "... n"]:
    """Keep what the lower component of a two-component Gaussian mixture claims, row by row.

    Each row is standardised and fitted by EM. A sample is kept if the component of smaller mean has a posterior of 1/2
    or more. Where all losses of a row are equal, all are kept.

    Parameters
    ----------
    losses
        of shape (..., n) with n of 2 or more.
    seed
        of the k-means start of EM.
    log
        fit the logarithms of the losses; DivideMix (Li, Socher and Hoi 2020) fits the losses themselves.
    """
    seed = checks.integer("seed", seed, 0, 2**32 - 1)
    losses = np.asarray(losses, float)
    enough = losses.ndim >= 1 and losses.size > 0 and losses.shape[-1] >= 2
    checks.require(enough, "losses.shape", losses.shape, "(..., n) with n of 2 or more")
    checks.require(not log or (losses > 0).all(), "losses", losses, "positive if log")
    values = np.log(losses) if log else losses
    rows = [_low_component(row, seed) for row in values.reshape(-1, values.shape[-1])]
    return np.array(rows).reshape(values.shape)


def _in_rows(losses: ArrayLike) -> Float[np.ndarray, "... n"]:
    losses = np.asarray(losses)
    checks.require(losses.ndim >= 1 and losses.size > 0, "losses.shape", losses.shape, "(..., n), not empty")
    return losses


def _low_component(values: Float[np.ndarray, " n"], seed: int) -> Bool[np.ndarray, " n"]:
    spread = values.std()
    if spread <= 1e-12 * np.abs(values).max():  # rounding alone
        return np.ones(values.shape, bool)
    values = ((values - values.mean()) / spread)[:, None]
    model = GaussianMixture(2, reg_covar=1e-3, max_iter=1000, random_state=seed).fit(values)
    return model.predict_proba(values)[:, model.means_[:, 0].argmin()] >= 0.5


class SelectionQuality(NamedTuple):
    """How good a selection is: shares in [0, 1], one for each row of samples.

    Attributes
    ----------
    precision
        share of noisy samples among the dropped ones; 1 by convention where nothing is dropped.
    recall
        share of the noisy samples that are dropped; 1 where there is none.
    purity
        share of clean samples among the kept ones; 1 where nothing is kept.
    lost
        share of the clean samples that are dropped; 0 where there is none.
    """

    precision: Float[np.ndarray, "..."]
    recall: Float[np.ndarray, "..."]
    purity: Float[np.ndarray, "..."]
    lost: Float[np.ndarray, "..."]


@entry
def selection_quality(kept: ArrayLike, flipped: ArrayLike) -> SelectionQuality:
    """How good a choice of samples is, given which of them are noisy.

    Parameters
    ----------
    kept
        mask of shape (..., n), what a rule returned.
    flipped
        mask of the noisy samples, broadcast to the same shape. Data and Records refuse to give one where nobody knows
        the true labels.

    Returns
    -------
    quality
        of each row of n samples.

    Examples
    --------
    >>> from helpers.reading import select_below_log2, selection_quality
    >>> kept = select_below_log2([0.1, 0.2, 0.9, 1.5])  # the last two are dropped, and one of them is noisy
    >>> found = selection_quality(kept, [False, False, False, True])
    >>> float(found.precision), float(found.recall), float(found.lost.round(2))
    (0.5, 1.0, 0.33)
    """
    kept, flipped = checks.mask("kept", kept), checks.mask("flipped", flipped)
    checks.require(kept.ndim >= 1 and kept.shape[-1] > 0, "kept.shape", kept.shape, "(..., n), not empty")
    checks.require(flipped.ndim >= 1, "flipped.shape", flipped.shape, "(..., n)")
    kept, flipped = np.broadcast_arrays(kept, checks.broadcast("flipped", flipped, kept.shape))
    return SelectionQuality(precision=_share(flipped, ~kept, 1.0), recall=_share(~kept, flipped, 1.0),
                            purity=_share(~flipped, kept, 1.0), lost=_share(~kept, ~flipped, 0.0))


def _share(part: Bool[np.ndarray, "... n"], whole: Bool[np.ndarray, "... n"],
           empty: float) -> Float[np.ndarray, "..."]:
    """Share of `whole` that is in `part`; `empty` where nothing is in `whole`."""
    return np.divide((part & whole).sum(-1), whole.sum(-1), out=np.full(whole.shape[:-1], empty), where=whole.any(-1))


@entry
def assess_selection(record: Record, rules: Mapping[str, Callable[[np.ndarray], np.ndarray]]) -> pd.DataFrame:
    """Tidy table of what rules do over a run, with a row for each rule, run and recorded time.

    Parameters
    ----------
    record
        whose losses the rules read.
    rules
        by name, functions of losses (..., n) that return a mask of the samples to keep.

    Returns
    -------
    table
        with the columns rule, run, time, kept (the share of samples kept) and those of `SelectionQuality`.

    Raises
    ------
    ValueError
        If nobody knows the true labels (noise of the kind "unknown").
    """
    checks.require(bool(rules), "rules", rules, "one rule or more, by name")
    runs, steps, _ = record.margins.shape
    losses = record.losses
    parts = []
    for name, rule in rules.items():
        kept = checks.mask(f"rules[{name!r}]", rule(losses))
        checks.require(kept.shape == losses.shape, f"rules[{name!r}]", f"<gives {kept.shape}>", f"{losses.shape}")
        columns = {"kept": kept.mean(-1), **selection_quality(kept, record.flipped[:, None])._asdict()}
        parts.append(pd.DataFrame({"rule": name, "run": np.repeat(np.arange(runs), steps),
                                   "time": np.tile(record.times, runs)}
                                  | {column: values.ravel() for column, values in columns.items()}))
    return pd.concat(parts, ignore_index=True)


@entry
def best_selection_quality(flip_share: ArrayLike, drop_share: ArrayLike) -> SelectionQuality:
    """Quality of dropping a share of the samples when each noisy one has a larger loss than each clean one.

    No rule that drops as many does better in any of the four (prop-small-loss). Arguments broadcast; in [0, 1].
    """
    flips, drops = np.asarray(flip_share, float), np.asarray(drop_share, float)
    flips, drops = np.broadcast_arrays(flips, checks.broadcast("drop_share", drops, flips.shape))
    for name, value in (("flip_share", flips), ("drop_share", drops)):
        checks.require(((value >= 0) & (value <= 1)).all(), name, value, "in [0, 1]")
    caught = np.minimum(flips, drops)
    return SelectionQuality(precision=_ratio(caught, drops, 1.0), recall=_ratio(caught, flips, 1.0),
                            purity=_ratio(1 - drops - flips + caught, 1 - drops, 1.0),
                            lost=_ratio(drops - caught, 1 - flips, 0.0))


def _ratio(a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."], empty: float) -> Float[np.ndarray, "..."]:
    """a / b; `empty` where b is 0."""
    return np.divide(a, b, out=np.full(a.shape, empty), where=b > 0)


@entry
def selection_auc(record: Record) -> Float[np.ndarray, "runs T"]:
    """The chance that a noisy sample of a run has a larger loss than a clean one (area under the ROC curve).

    NaN for a run without noisy or without clean samples.
    """
    ranks = rankdata(-record.margins, axis=-1)  # of the losses, ties averaged
    noisy = record.flipped.sum(1)[:, None]
    pairs = noisy * (record.flipped.shape[1] - noisy)
    above = np.einsum("rtn,rn->rt", ranks, record.flipped.astype(float)) - noisy * (noisy + 1) / 2
    return np.divide(above, pairs, out=np.full(above.shape, np.nan), where=pairs > 0)


@entry
def selection_gap_and_spread(losses: Float[np.ndarray, "runs n"], flipped: Bool[np.ndarray, "runs n"],
                             ) -> tuple[Float[np.ndarray, " runs"], Float[np.ndarray, " runs"]]:
    """How far apart the log losses of the noisy and of the clean samples of each run are, and how wide they spread.

    For two normal groups the chance that a noisy sample has the larger loss is Phi(gap / spread).

    Parameters
    ----------
    losses
        positive, of each run at one time.
    flipped
        which of its samples are noisy.

    Returns
    -------
    gap
        mean log loss of the noisy samples minus that of the clean ones; NaN for a run without either.
    spread
        root of the sum of the two groups' variances.

    Raises
    ------
    ValueError
        If a loss is not positive.
    """
    losses = np.asarray(losses, float)
    checks.require(losses.shape == flipped.shape and losses.size > 0, "flipped.shape", flipped.shape,
                   f"that of losses, {losses.shape}, not empty")
    checks.require(bool((losses > 0).all()), "losses", losses, "positive")
    noisy, clean = (np.ma.masked_where(flipped != side, np.log(losses)) for side in (True, False))
    gap, spread = noisy.mean(-1) - clean.mean(-1), np.ma.sqrt(noisy.var(-1) + clean.var(-1))
    return gap.filled(np.nan), spread.filled(np.nan)


@entry
def selection_purity_gain(record: Record) -> Float[np.ndarray, "runs T"]:
    """Of the noise that is in the labels, the share that the small-loss rule removes.

    It is (purity - (1 - rate)) / rate, where the rule keeps the share 1 - rate and `rate` is the run's share of noisy
    samples: 0 for a blind choice, 1 for a perfect one, at most the ks of the losses (prop-purity-ks). NaN without noisy
    samples.
    """
    gains = []
    for losses, flipped in zip(record.losses, record.flipped):
        rate = flipped.mean()
        purity = selection_quality(select_small_loss(losses, 1 - rate), flipped).purity
        gains.append((purity - (1 - rate)) / rate if rate > 0 else np.full(len(losses), np.nan))
    return np.array(gains)
