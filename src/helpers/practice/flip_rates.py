r"""How many labels are wrong: estimates that read no true label, each with its interval and the way in which it errs.

All but two of them count how often a rule *contradicts* the observed labels. Of n samples let a share be wrong. A rule
contradicts a clean sample where it misses it, and a wrong one unless it says the wrong label too ("fits" it). So, as
shares of all n samples,

    contradicted = wrong + clean missed - wrong fitted                                        (prop-rate-estimates)

exactly, for each rule and each set of samples: contradicted = clean missed + (wrong - wrong fitted). An estimate from
contradictions is too high by the clean samples that the rule misses, and too low by the wrong ones that it fits. It is
an upper bound where nothing wrong is fitted. A rule that has memorised fits all, and its estimate is 0.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledData, class_index
from helpers.entry import entry
from helpers.intervals import share_interval
from helpers.practice.posterior import Parts, checked_probabilities, label_posterior, pool_probabilities
from helpers.reading.scores import score_confident_joint
from helpers.record import Record
from helpers.streams import random_stream

MANY = 2.0  # estimates that differ by more than this factor are worth a warning
COLUMNS = ("method", "estimate", "low", "high", "assumes", "bias", "warning")
ASSUMES = {
    "training plateau": ("the network at the stop fits every clean training sample and no wrong one",
                         "high by clean samples missed, low by wrong ones fitted: low once it memorises"),
    "validation level": ("the network at the stop predicts the true class of every held-out sample",
                         "high by the network's error on true labels, low where it guesses the wrong label too"),
    "fold disagreement": ("the network trained on the other folds predicts the true class of every sample",
                          "high by its error on true labels, low where it guesses the wrong label too"),
    "confident joint": ("a sample confident enough in another class is of that class; errors do not cross classes",
                        "high where the classifier's own errors are confident: most on hard data"),
    "posterior": ("the pooled probabilities are right up to a power, and mistakes depend on the class alone",
                  "high where the classes cannot be told apart, low where nearly half of the labels are wrong in a "
                  "pattern")}


@entry
def flip_rate_estimates(data: LabelledData, *, record: Record | None = None, probabilities: ArrayLike | None = None,
                        parts: Parts | None = None, stop: int | None = None, resamples: int = 200, level: float = 0.95,
                        seed: int = 0) -> pd.DataFrame:
    """Estimates of the share of wrong labels, one row for each that what is passed allows.

    Parameters
    ----------
    data
        the samples that were trained on, after `hold_out`.
    record
        of one run on them with `n_val` held-out samples: "training plateau" and "validation level".
    probabilities
        of shape (n, K), out of fold: "fold disagreement", "confident joint", and "posterior".
    parts
        more such arrays, for "posterior" (`pool_probabilities`); `probabilities` alone by default.
    stop
        index into the record's times; by default that of the lowest error on held-out observed labels. Without
        `validation_observed_error` it has to be given.
    resamples
        draws of the samples with replacement behind the intervals of "confident joint" and "posterior".
    level
        of the intervals. They cover the draw of the samples, not the bias: where a method errs, its interval can be far
        from the truth. Counts get Clopper and Pearson's.
    seed
        of the resampling.

    Returns
    -------
    table
        "method", "estimate", "low", "high", what it "assumes", its "bias", and a "warning" in rows that exceed the
        smallest estimate by more than a factor of two, else "". The attrs hold "spread", the largest estimate over the
        smallest (infinite where that is 0), and "warning", a sentence or "". Where they warn, look at some of the
        samples before anything is changed, and change none that nobody has looked at. That no warning comes proves
        nothing: estimates may err together.

    Raises
    ------
    ValueError
        If neither a record nor probabilities are given, or they are of other samples.
    """
    checks.instance("data", data, LabelledData)
    checks.require(record is not None or probabilities is not None, "record", None,
                   "given, or `probabilities`, or both")
    checks.require(parts is None or probabilities is not None, "parts", "<arrays>", "None without `probabilities`")
    labels, found = class_index(data.y_obs, data.n_classes), {}
    if record is not None:
        found |= _from_record(record, data, stop, level)
    if probabilities is not None:
        p = checked_probabilities("probabilities", probabilities)
        wanted = (data.n, data.n_classes)
        checks.require(p.shape == wanted, "probabilities.shape", p.shape, f"{wanted}: a row for each training sample")
        found["fold disagreement"] = _counted(int((p.argmax(1) != labels).sum()), data.n, level)
        rng = random_stream(seed, "flip rate resamples")
        draws = rng.integers(data.n, size=(checks.integer("resamples", resamples, 2), data.n))
        found["confident joint"] = _resampled(lambda rows: _off_diagonal(p[rows], labels[rows]), draws, level)
        wrong = _chance_of_wrong([p] if parts is None else parts, labels)
        found["posterior"] = _resampled(lambda rows: float(wrong[rows].mean()), draws, level)
    return _table(found)


@entry
def cautious_count(estimates: pd.DataFrame, n: int) -> int:
    """How many labels of n to change on the word of `flip_rate_estimates`: the smallest lower bound, rounded down.

    A label that is changed in error does harm that one left alone does not. Each estimate errs in a way of its own, and
    nothing in the data says which one does; so the number is one that none of them denies. It is no estimate of how
    many are wrong: look through more of the table than that.

    Parameters
    ----------
    estimates
        a table from `flip_rate_estimates`, or rows of it.
    n
        of samples in the ranking.
    """
    for column in ("method", "low"):
        checks.one_of("column", column, tuple(estimates.columns))
    checks.require(len(estimates) > 0, "estimates", "<no row>", "one estimate or more")
    return math.floor(checks.integer("n", n) * checks.real("low", float(estimates["low"].min()), 0.0, 1.0))


def _from_record(record: Record, data: LabelledData, stop: int | None, level: float) -> dict[str, tuple]:
    same = record.y_obs.shape == (1, data.n) and np.array_equal(record.y_obs[0], data.y_obs)
    checks.require(same, "record", f"<labels of shape {record.y_obs.shape}>", f"of one run on these {data.n} training "
                   "samples with the same observed labels, after `hold_out`")
    held, found = record.validation_observed_error, {}
    checks.require(stop is not None or held is not None, "stop", stop, "given where the record has no held-out labels")
    stop = int(held[0].argmin()) if stop is None else checks.integer("stop", stop, 0, len(record.times) - 1)
    found["training plateau"] = _counted(int((~record.fits_observed[0, stop]).sum()), data.n, level)
    if held is not None:
        size = record.test_sizes["validation_observed"]
        found["validation level"] = _counted(round(float(held[0, stop]) * size), size, level)
    return found


def _counted(count: int, size: int, level: float) -> tuple[float, float, float]:
    return count / size, *map(float, share_interval(count, size, level=level))


def _resampled(statistic: Callable[[np.ndarray], float], draws: Int[np.ndarray, "resamples n"],
               level: float) -> tuple[float, float, float]:
    """The statistic of all samples, and the quantiles of it over the draws."""
    level = checks.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    values = [statistic(rows) for rows in draws]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return statistic(np.arange(draws.shape[1])), float(low), float(high)


def _off_diagonal(p: Float[np.ndarray, "n K"], labels: Int[np.ndarray, " n"]) -> float:
    """What the confident joint has off its diagonal, over the classes that some sample is observed as."""
    present, labels = np.unique(labels, return_inverse=True)
    return float(1 - np.trace(score_confident_joint(p[:, present], labels)))


def _chance_of_wrong(parts: Parts, labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    posterior = label_posterior(pool_probabilities(parts, labels), labels)
    return 1 - posterior[np.arange(len(labels)), labels]


def _table(found: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    least = min(value[0] for value in found.values())
    most = max(value[0] for value in found.values())
    far = f"more than {MANY:g} times the smallest estimate"
    rows = [(name, *value, *ASSUMES[name], far if value[0] > MANY * least else "") for name, value in found.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["spread"] = most / least if least > 0 else (math.inf if most > 0 else 1.0)
    table.attrs["warning"] = "" if most <= MANY * least else (
        f"The estimates go from {least:.3f} to {most:.3f}: look at some samples before labels are changed, and change "
        "none that nobody has looked at.")
    return table
