"""Scores of trust in each sample's label beyond its training loss (chapter 10).

From class probabilities out of fold (`helpers.training.out_of_fold`), by a model that has not seen the sample:
`self_confidence_scores` and confident learning. From the whole training run: `area_under_margin_scores`. None reads a
true label. Large is trustworthy.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from helpers import checks
from helpers.entry import entry
from helpers.record import Record


@entry
def self_confidence_scores(probabilities: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, " n"]:
    """The probability that each sample's own observed label gets.

    Parameters
    ----------
    probabilities
        of shape (n, K).
    labels
        positions 0 to K - 1 of the observed classes (`helpers.data.class_index`).
    """
    probabilities, labels = _checked(probabilities, labels)
    return probabilities[np.arange(len(labels)), labels]


def score_class_thresholds(probabilities: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, " K"]:
    """Of each class, the mean probability that it gets from the samples with its observed label."""
    probabilities, labels = _checked(probabilities, labels)
    return np.array([probabilities[labels == k, k].mean() for k in range(probabilities.shape[1])])


@entry
def adjusted_confidence_scores(probabilities: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, " n"]:
    """`self_confidence_scores` minus the threshold of the sample's class: the order in which confident learning
    ranks.
    """
    probabilities, labels = _checked(probabilities, labels)
    return self_confidence_scores(probabilities, labels) - score_class_thresholds(probabilities, labels)[labels]


@entry
def score_confident_joint(probabilities: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, "K K"]:
    """Estimated shares of samples with each pair of an observed (row) and a true class (column).

    The counting rule of Northcutt, Jiang and Chuang (2021): a sample counts for the most probable class among those
    that get at least the threshold of the class (`score_class_thresholds`), or for none. Each row is then scaled to the
    share of its observed label. The sum off the diagonal estimates the flip rate.
    """
    probabilities, labels = _checked(probabilities, labels)
    counts, classes = np.zeros((probabilities.shape[1],) * 2), np.arange(probabilities.shape[1])
    above = probabilities >= score_class_thresholds(probabilities, labels) - 1e-12
    believed = np.where(above, probabilities, -1).argmax(1)
    np.add.at(counts, (labels[above.any(1)], believed[above.any(1)]), 1)
    empty = counts.sum(1) == 0
    counts[empty, classes[empty]] = 1  # a class of which nothing is confident counts as right
    return counts / counts.sum(1, keepdims=True) * np.bincount(labels, minlength=len(counts))[:, None] / len(labels)


@entry
def score_confident_learning(probabilities: ArrayLike, labels: ArrayLike) -> Bool[np.ndarray, " n"]:
    """Keep the samples that confident learning does not hold to be mislabelled: pruning by noise rate.

    Of the samples observed as i, for each other class j, as many are dropped as `score_confident_joint` puts into (i,
    j): those with the largest excess of the probability of j over that of i. No flip rate is needed.
    """
    probabilities, labels = _checked(probabilities, labels)
    kept = np.ones(len(labels), bool)
    counts = np.rint(len(labels) * score_confident_joint(probabilities, labels)).astype(int)
    for i, j in np.argwhere(counts * (1 - np.eye(len(counts), dtype=int))):
        mine = np.flatnonzero(labels == i)
        excess = probabilities[mine, j] - probabilities[mine, i]
        kept[mine[np.argsort(-excess, kind="stable")[:counts[i, j]]]] = False
    return kept


@entry
def area_under_margin_scores(record: Record, *, until: Int[np.ndarray, " runs"] | None = None
                             ) -> Float[np.ndarray, "runs n"]:
    """The mean margin of each sample over the epochs of training (Pleiss et al. 2020).

    With two classes the margin is the observed class's logit minus the other's. With K classes it is that of the
    record, the log-odds of the observed class: below the published margin, which takes the largest other logit, by at
    most log(K - 1). Epochs that were not recorded are interpolated between those that were.

    Parameters
    ----------
    record
        of training, on its training images.
    until
        index of each run's last recorded time that counts, such as a stop; the end of the run by default.
    """
    until = np.full(len(record.y), len(record.times) - 1) if until is None else until
    checks.require(until.shape == (len(record.y),), "until.shape", until.shape, f"({len(record.y)},), one per run")
    checks.require(bool(((until >= 0) & (until < len(record.times))).all()), "until", until,
                   f"positions of recorded times, 0 to {len(record.times) - 1}")
    weights = np.array([_epoch_weights(record.times, last) for last in until])
    return np.einsum("rtn,rt->rn", record.margins, weights)


def _epoch_weights(times: Int[np.ndarray, " T"], last: int) -> Float[np.ndarray, " T"]:
    """What each recorded time counts in a mean over the epochs from 1 to times[last]."""
    epochs = np.arange(1, max(int(times[last]), 1) + 1)
    return np.array([np.interp(epochs, times, row).mean() for row in np.eye(len(times))])


@entry
def score_auc(trust: ArrayLike, flipped: ArrayLike) -> Float[np.ndarray, " runs"]:
    """The chance that a noisy sample of a run is trusted less than a clean one: the area under the ROC curve.

    Parameters
    ----------
    trust
        scores of shape (runs, n), large where a label is trusted.
    flipped
        which samples are noisy, of the same shape; each run has some of either kind.
    """
    trust, flipped = np.asarray(trust, float), checks.mask("flipped", flipped)
    checks.require(trust.ndim == 2 and trust.shape == flipped.shape, "flipped.shape", flipped.shape,
                   f"(runs, n), the shape of trust, {trust.shape}")
    both = flipped.any(1) & ~flipped.all(1)
    checks.require(both.all() and both.size > 0, "flipped", flipped, "such that each run has noisy and clean samples")
    return np.array([roc_auc_score(noisy, -score) for noisy, score in zip(flipped, trust)])


def _checked(probabilities: ArrayLike, labels: ArrayLike
             ) -> tuple[Float[np.ndarray, "n K"], Int[np.ndarray, " n"]]:
    probabilities, labels = np.asarray(probabilities, float), np.asarray(labels)
    shares = probabilities.ndim == 2 and bool(((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all())
    checks.require(shares and probabilities.size > 0, "probabilities", probabilities, "of shape (n, K), in [0, 1]")
    fits = probabilities.ndim == 2 and labels.shape == probabilities.shape[:1] and labels.dtype.kind in "iu"
    checks.require(fits, "labels.shape", labels.shape, f"(n,), whole numbers, where probabilities are (n, K) = "
                   f"{probabilities.shape}")
    present = np.unique(labels)
    checks.require(np.array_equal(present, np.arange(probabilities.shape[1])), "labels", present,
                   "positions 0 to K - 1, each of them present")
    return probabilities, labels
