"""Comparisons that cannot forget their controls (chapters 9, 10 and all later ones that compare).

Stopping rules stand beside `blind` and `never`, each with the labels it reads; the oracle is kept apart. What is
retrained stands beside what was only stopped, a robust loss beside cross-entropy, a score of trained samples beside
scores out of sample. Differences are paired by run, with 95% intervals. Errors are shares in [0, 1]; tables are in
percentage points.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from helpers import checks
from helpers.entry import entry
from helpers.intervals import t_interval
from helpers.reading.stopping import (
    TRAINING_ONLY,
    stop_at_plateau,
    stop_by_clean_validation,
    stop_by_noisy_validation,
    values_at_stop,
)
from helpers.record import TEST_ERRORS, Record
from helpers.streams import random_stream

BLIND, NEVER, ORACLE = "blind", "never", "oracle"
TO_THE_END, STOPPED = "everything, to the end", "stopped, not retrained"
CE_LAST, CE_STOPPED = "cross-entropy, last", "cross-entropy, stopped by the same rule"
SIDES = ("above", "below", "not above", "not below")
IN_SAMPLE = "loss at the stop"
OUT_OF_SAMPLE = ("network out of fold", "nearest neighbours out of fold", "linear model out of fold",
                 "confident learning", "area under the margin")


@entry
@dataclass(frozen=True, eq=False)
class Stop:
    """A stopping rule: where it stops each run, and what it had to know.

    Attributes
    ----------
    name
        what to call it.
    chosen
        index of the recorded time at which it stops each run.
    clean_labels, noisy_labels
        labels that it reads beyond those of the training set, true ones and such as the training set has.
    knows_rate
        whether it is told the flip rate.
    error
        test error of the runs that it stops, where they are not the common ones: a rule that reads validation labels
        has runs of its own, on the training samples that are left (`helpers.data.hold_out`).
    times
        their recorded times, where `error` is given.
    """

    name: str
    chosen: Int[np.ndarray, " runs"]
    _: KW_ONLY
    clean_labels: int = 0
    noisy_labels: int = 0
    knows_rate: bool = False
    error: Float[np.ndarray, "runs T"] | None = None
    times: Real[np.ndarray, " T"] | None = None

    def __post_init__(self) -> None:
        checks.require(self.name != "", "name", self.name, "not empty")
        last = math.inf if self.error is None else self.error.shape[1] - 1
        fit = self.chosen.size > 0 and self.chosen.min() >= 0 and self.chosen.max() <= last
        checks.require(fit, "chosen", self.chosen, f"positions of recorded times, 0 to {last}")
        for name in ("clean_labels", "noisy_labels"):
            checks.integer(name, getattr(self, name), 0, 2**53)
        if self.error is None:
            return
        checks.require(len(self.error) == len(self.chosen), "error.shape", self.error.shape,
                       f"({len(self.chosen)}, T), a row for each of chosen")
        fits = self.times is None or self.times.shape == self.error.shape[1:]
        checks.require(fits, "times.shape", np.shape(self.times), f"{self.error.shape[1:]}, one per column of error")


@dataclass(frozen=True, eq=False)
class StopComparison:
    """What stopping rules cost, beside the standing controls.

    Attributes
    ----------
    table
        one row per rule, `blind` and `never` among them: labels read, "knows rate", median "stops at", and in
        percentage points the mean "regret" and the mean difference "minus blind", each with half its 95% interval
        in the column that ends in "±" (`with_intervals` joins the two).
    costs
        the regrets behind it: one row per run (or group of runs), one column per rule.
    oracle
        error of each run at its best time, in percentage points: a yardstick in hindsight, and no rule.
    """

    table: pd.DataFrame
    costs: pd.DataFrame
    oracle: Float[np.ndarray, " units"]


@entry
def blind(error: Float[np.ndarray, "runs T"], *, groups: Sequence[Hashable] | None = None
          ) -> Int[np.ndarray, " runs"]:
    """For each run the recorded time at which the mean error of the other runs is lowest.

    It looks at nothing of the run itself: the control of every rule that does. (It knows the test errors of other
    runs, as one who did the same experiment before.)

    Parameters
    ----------
    error
        test errors.
    groups
        a label for each run; all runs of a run's own group are left out. By default a run is left out by itself.
    """
    checks.require(error.size > 0, "error.shape", error.shape, "(runs, T), not empty")
    error = np.asarray(error, float)
    if groups is None:
        groups = np.arange(len(error))
    groups = np.unique(_labels("groups", groups, len(error)), return_inverse=True)[1]
    checks.require(len(np.unique(groups)) >= 2, "error", f"<{len(error)} runs>", "two runs or groups of runs at least")
    own = np.stack([error[groups == group].sum(0) for group in groups])
    return (error.sum(0) - own).argmin(1)  # the same order as of the means: their number is one for a row


@entry
def never(error: Float[np.ndarray, "runs T"]) -> Int[np.ndarray, " runs"]:
    """The last recorded time of each run."""
    checks.require(error.size > 0, "error.shape", error.shape, "(runs, T), not empty")
    return np.full(len(error), np.shape(error)[1] - 1)


@entry
def stops_to_compare(record: Record, flip_rate: ArrayLike, held_out: Record | None, *, error: str = "fresh",
                     times: ArrayLike | None = None) -> list[Stop]:
    """The rules of `helpers.reading.stopping`, each on the runs that it can have.

    Parameters
    ----------
    record
        runs on all training samples: for the rules that need no other label.
    flip_rate
        what `stop_at_plateau` believes.
    held_out
        runs of the same seeds on the training samples left after n_val of them have become the validation set. Without
        them (None) the rules that validate are left out.
    error
        which test error of `held_out` the rules are judged by.
    times
        what to call the recorded times of `held_out`, by default their own names.
    """
    checks.one_of("error", error, TEST_ERRORS)
    rules = [Stop("plateau", stop_at_plateau(record, flip_rate), knows_rate=True),
             *(Stop(name, rule(record)) for name, rule in TRAINING_ONLY.items())]
    if held_out is None:
        return rules
    found = getattr(held_out, f"{error}_error")
    checks.require("validation" in held_out.test_sizes and found is not None, "held_out", held_out,
                   f"a record with validation errors and {error}_error")
    labels = held_out.test_sizes["validation"]
    times = held_out.times if times is None else np.asarray(times)
    checks.require(times.shape == held_out.times.shape, "times.shape", times.shape, f"{held_out.times.shape}")
    own = {"error": found, "times": times}
    return [Stop("clean validation", stop_by_clean_validation(held_out), clean_labels=labels, **own),
            Stop("noisy validation", stop_by_noisy_validation(held_out), noisy_labels=labels, **own),
            Stop("noisy validation, last", stop_by_noisy_validation(held_out, tie="last"), noisy_labels=labels, **own),
            *rules]


@entry
def compare_stops(error: Float[np.ndarray, "runs T"], times: ArrayLike, rules: Sequence[Stop], *,
                  units: Sequence[Hashable] | None = None, groups: Sequence[Hashable] | None = None
                  ) -> StopComparison:
    """What each rule costs beside `blind` and `never`, which are always in the table; the oracle apart.

    The regret of a rule is the error where it stops minus the lowest error of the common run of the same seed: a rule
    that holds samples out pays for having trained on fewer.

    Parameters
    ----------
    error
        test errors of the common runs, on all training samples.
    times
        what to call their recorded times.
    rules
        with unlike names, none of them "blind", "never" or "oracle".
    units
        a label for each run; runs that share one are averaged before any interval is taken (say, the seed, where
        each seed ran several problems). By default every run is a unit.
    groups
        of `blind`.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.reading import Stop, compare_stops
    >>> error = np.array([[0.5, 0.1, 0.2], [0.5, 0.2, 0.3], [0.5, 0.3, 0.2]])
    >>> found = compare_stops(error, [0, 1, 2], [Stop("a rule", np.array([1, 1, 2]), knows_rate=True)])
    >>> found.table[["knows rate", "regret", "minus blind"]].round(1)
            knows rate  regret  minus blind
    blind        False    10.0          0.0
    never        False     6.7         -3.3
    a rule        True     0.0        -10.0
    """
    checks.require(error.size > 0, "error.shape", error.shape, "(runs, T), not empty")
    checks.require(np.shape(times) == error.shape[1:], "times.shape", np.shape(times), f"({error.shape[1]},)")
    error = np.asarray(error, float)
    names = [rule.name for rule in rules]
    reserved = {BLIND, NEVER, ORACLE}
    checks.require(len(set(names)) == len(names) and not reserved & set(names), "rules", names,
                   f"rules with unlike names, none of them {', '.join(sorted(reserved))}")
    rules = [Stop(BLIND, blind(error, groups=groups)), Stop(NEVER, never(error)), *rules]
    units = np.arange(len(error)) if units is None else _labels("units", units, len(error))
    mean = lambda values: 100 * pd.Series(values).groupby(units).mean().to_numpy()  # noqa: E731
    best = error.min(1)
    costs = pd.DataFrame({rule.name: mean(_error_of(rule, error) - best) for rule in rules})
    rows = {rule.name: {"clean labels": rule.clean_labels, "noisy labels": rule.noisy_labels,
                        "knows rate": rule.knows_rate, "stops at": _median_time(rule, times)}
            | _mean_columns("regret", costs[rule.name]) | _mean_columns("minus blind", costs[rule.name] - costs[BLIND])
            for rule in rules}
    return StopComparison(pd.DataFrame.from_dict(rows, orient="index"), costs, mean(best))


@entry
def paired_difference(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Mean of a - b over runs, and half of its 95% interval (Student's): one number per run, in the same order."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    checks.sampled("a", a, 2)
    checks.require(a.shape == b.shape, "b.shape", b.shape, f"{a.shape}, the shape of a")
    mean, half = t_interval(a - b)
    return float(mean), float(half)


@entry
def paired_difference_over_images(wrong_a: ArrayLike, wrong_b: ArrayLike, *, seed: int = 0) -> tuple[float, float,
                                                                                                     float]:
    """Difference of two error rates on the same test images, with a 95% interval over the images.

    The runs are taken as they are; what varies is which images are in the test set. The interval is the percentile
    bootstrap over images of the paired differences (`scipy.stats.bootstrap`, 2,000 draws).

    Parameters
    ----------
    wrong_a, wrong_b
        of shape (images,) or (runs, images): 1 where the image is misclassified.
    seed
        of the bootstrap.

    Returns
    -------
    mean, low, high
        of error a minus error b.
    """
    a, b = (np.atleast_2d(np.asarray(wrong, float)) for wrong in (wrong_a, wrong_b))
    for name, wrong in (("wrong_a", a), ("wrong_b", b)):
        checks.require(wrong.ndim == 2 and wrong.size > 0, f"{name}.shape", wrong.shape, "(images,) or (runs, images)")
        checks.require(bool(((wrong >= 0) & (wrong <= 1)).all()), name, wrong, "from 0 to 1, 1 where misclassified")
    checks.require(a.shape == b.shape and a.shape[1] >= 2, "wrong_b.shape", b.shape, f"{a.shape}, with two images")
    differences = (a - b).mean(0)
    interval = bootstrap((differences,), np.mean, n_resamples=2000, method="percentile",
                         rng=random_stream(seed, "bootstrap over images")).confidence_interval
    return float(differences.mean()), float(interval.low), float(interval.high)


@entry
def compare_retraining(errors: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Errors of networks trained again on selected samples, beside the one that was only stopped.

    Parameters
    ----------
    errors
        one error per run, by name; "everything, to the end" and "stopped, not retrained" must be there.

    Returns
    -------
    table
        one row per name, in percentage points: "error" and "minus stopped", each with its "±".
    """
    _demand("errors", errors, (TO_THE_END, STOPPED))
    return _against(errors, STOPPED, "minus stopped")


@entry
def compare_steps(errors: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """What each step of a method adds, as paired differences of consecutive entries of `errors`.

    Parameters
    ----------
    errors
        one error per run, from "everything, to the end" over "stopped, not retrained" to the whole method.

    Returns
    -------
    table
        one row per step, in percentage points: the error it "saves", its "±", and its share of the whole.
    """
    names = list(errors)
    wanted = [TO_THE_END, STOPPED]
    checks.require(names[:2] == wanted and len(names) > 2, "errors", names, f"first {wanted}, then at least one more")
    whole = paired_difference(errors[names[0]], errors[names[-1]])[0]
    rows = {}
    for before, after in pairwise(names):
        saved, half = paired_difference(errors[before], errors[after])
        rows[after] = {"saves": 100 * saved, "±": 100 * half, "share": saved / whole if whole else np.nan}
    return pd.DataFrame.from_dict(rows, orient="index")


@entry
def compare_losses(errors: Mapping[str, ArrayLike], *, ingredients: Sequence[str] = ()) -> pd.DataFrame:
    """Errors under robust losses, beside cross-entropy to the end and stopped by the same rule.

    Parameters
    ----------
    errors
        one error per run, by name; "cross-entropy, last" and "cross-entropy, stopped by the same rule" must be there.
    ingredients
        what the robust methods add, such as "mixup": "cross-entropy with mixup" must be there as well.

    Returns
    -------
    table
        one row per name, in percentage points: "error" and "minus stopped", the difference to cross-entropy stopped by
        the same rule, each with its "±".
    """
    _demand("errors", errors, (CE_LAST, CE_STOPPED, *(f"cross-entropy with {name}" for name in ingredients)))
    return _against(errors, CE_STOPPED, "minus stopped")


@entry
def compare_scores(values: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """How well scores rank the noisy samples: in-sample beside out of sample.

    Parameters
    ----------
    values
        one area under the ROC curve (or recall) per run, by name of the score; "loss at the stop" and those of
        OUT_OF_SAMPLE must be there.

    Returns
    -------
    table
        one row per score, as shares: "value" and "minus loss at the stop", each with its "±".
    """
    _demand("values", values, (IN_SAMPLE, *OUT_OF_SAMPLE))
    return _against(values, IN_SAMPLE, f"minus {IN_SAMPLE}", what="value", unit=1.0)


@entry
def verdict_table(claims: Mapping[str, tuple[tuple[float, float], str, float]]) -> pd.DataFrame:
    """What claims rest on: their number with its interval, and what would have falsified them.

    Parameters
    ----------
    claims
        by name ((mean, half), side, bound), the first as of `paired_difference` or `t_interval`. Side "above" ("below")
        claims that the whole interval is above (below) the bound, "not above" ("not below") that it is not.

    Returns
    -------
    table
        one row per claim: "number", "holds", "falsified if".

    Examples
    --------
    >>> from helpers.reading import verdict_table
    >>> found = verdict_table({"a rule saves something": ((1.0, 1.5), "above", 0.0)}).iloc[0]
    >>> found["number"], bool(found["holds"]), found["falsified if"]
    ('1.0 ± 1.5', False, 'the interval is not wholly above 0')
    """
    checks.require(bool(claims), "claims", claims, "one claim or more, by name")
    rows = {}
    for claim, ((mean, half), side, bound) in claims.items():
        checks.one_of("side", side, SIDES)
        where = side.removeprefix("not ")
        beyond = bool(mean - half > bound if where == "above" else mean + half < bound)
        wholly = "wholly" if side != where else "not wholly"
        rows[claim] = {"number": f"{mean:.1f} ± {half:.1f}", "holds": beyond == (side == where),
                       "falsified if": f"the interval is {wholly} {where} {bound:g}"}
    return pd.DataFrame.from_dict(rows, orient="index")


def _against(errors: Mapping[str, ArrayLike], base: str, difference: str, *, what: str = "error", unit: float = 100.0
             ) -> pd.DataFrame:
    rows = {name: _mean_columns(what, unit * np.asarray(values, float))
            | _mean_columns(difference, unit * (np.asarray(values, float) - np.asarray(errors[base], float)))
            for name, values in errors.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


@entry
def with_intervals(table: pd.DataFrame, *, digits: int = 1) -> pd.DataFrame:
    """A table in which each column "x ±" has been joined to its column "x" as text, "1.7 ± 1.2"."""
    digits, text = checks.integer("digits", digits, 0, 17), table.copy()
    for name in [name for name in table if f"{name} ±" in table]:
        text[name] = [f"{mean:.{digits}f} ± {half:.{digits}f}"
                      for mean, half in zip(text[name], text.pop(f"{name} ±"))]
    return text


def _mean_columns(name: str, values: ArrayLike) -> dict[str, float]:
    mean, half = t_interval(values)
    return {name: float(mean), f"{name} ±": float(half)}


def _demand(argument: str, rows: Mapping[str, object], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in rows]
    checks.require(not missing, argument, list(rows), f"with the standing baselines; missing: {', '.join(missing)}")


def _error_of(rule: Stop, error: Float[np.ndarray, "runs T"]) -> Float[np.ndarray, " runs"]:
    own = error if rule.error is None else np.asarray(rule.error, float)
    checks.require(len(own) == len(error) == len(rule.chosen), "rules", f"<{rule.name}: {len(rule.chosen)} runs>",
                   f"of {len(error)} runs each, in the order of error")
    return values_at_stop(own, rule.chosen)


def _median_time(rule: Stop, times: ArrayLike) -> float:
    times = np.asarray(times if rule.times is None else rule.times)
    return float(np.median(times[rule.chosen]))


def _labels(name: str, labels: Sequence[Hashable], count: int) -> np.ndarray:
    labels = np.asarray(labels)
    checks.require(labels.shape == (count,), name, labels.shape, f"one for each of {count} runs")
    return labels
