"""When to stop: rules that choose a recorded time of each run, and what their choice costs (chapter 9).

A rule reads a Record and returns, for each run, an index into its times. Rules that need labels beyond the training
set: `stop_by_clean_validation`, `stop_by_noisy_validation`. Rules that need the flip rate: `stop_at_plateau`. Rules
that need neither: those of TRAINING_ONLY, which read the training run and its labels. `stop_at_lowest` of a test error
is the oracle, in hindsight. """

import math

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from helpers import checks
from helpers.entry import entry
from helpers.record import Record

TIES = ("first", "middle", "last")


@entry(gaps=("values",))
def stop_at_lowest(values: ArrayLike, *, tie: str = "first") -> Int[np.ndarray, " runs"]:
    """Where each row of `values`, of shape (runs, T), is lowest.

    Of several such times `tie` takes the "first", the "last", or the "middle" one (the lower of two).
    """
    checks.one_of("tie", tie, TIES)
    values = np.asarray(values, float)
    checks.require(values.ndim == 2 and values.size > 0, "values.shape", values.shape, "(runs, T), not empty")
    checks.require(not np.isnan(values).any(), "values", "<NaN>", "numbers")
    least = values == values.min(1, keepdims=True)
    if tie == "middle":
        order = least.cumsum(1)
        return (order == (order[:, -1:] + 1) // 2).argmax(1)
    return least.argmax(1) if tie == "first" else values.shape[1] - 1 - least[:, ::-1].argmax(1)


@entry
def stop_by_clean_validation(record: Record, *, tie: str = "first") -> Int[np.ndarray, " runs"]:
    """Lowest error on the validation set against true labels."""
    return stop_at_lowest(_present(record, "validation_error"), tie=tie)


@entry
def stop_by_noisy_validation(record: Record, *, tie: str = "first") -> Int[np.ndarray, " runs"]:
    """Lowest error on the validation set against its observed labels (prop-noisy-validation)."""
    return stop_at_lowest(_present(record, "validation_observed_error"), tie=tie)


@entry
def stop_at_plateau(record: Record, flip_rate: ArrayLike) -> Int[np.ndarray, " runs"]:
    """First time at which the training accuracy on observed labels reaches 1 - flip_rate; the last time if never.

    `flip_rate` is a number in [0, 1/2], or one for each run.
    """
    rate = checks.broadcast("flip_rate", np.asarray(flip_rate, float), (len(record.y),), grow=False)
    rate = np.broadcast_to(rate, len(record.y))
    checks.require(bool(np.all((rate >= 0) & (rate <= 0.5))), "flip_rate", flip_rate, "numbers in [0, 1/2]")
    reached = record.mean_over(record.fits_observed) >= 1 - rate[:, None] - 1e-12
    return np.where(reached.any(1), reached.argmax(1), len(record.times) - 1)


@entry
def stop_at_deepest_misfit(record: Record) -> Int[np.ndarray, " runs"]:
    """Where the misfit max(-margin, 0), averaged over the training samples, is largest.

    In the limit law only noisy samples have negative margins, and only in Stage I: the misfit is tau (A - r_n)_+, whose
    maximum is the turning time of the noisy margin.
    """
    return _highest(record, np.maximum(-record.margins, 0).mean(-1))


@entry
def stop_at_widest_losses(record: Record) -> Int[np.ndarray, " runs"]:
    """Where the standard deviation of the loss over the training samples is largest.

    In the limit law it is sqrt(tau (1 - tau)) times the gap between the noisy and the clean loss.
    """
    return _highest(record, record.losses.std(-1))


@entry
def stop_at_clearest_split(record: Record) -> Int[np.ndarray, " runs"]:
    """Where the losses fall most clearly into two groups: a threshold explains the largest share of their variance.

    The criterion of Otsu (1979). In the limit law it is 1 at all times; at finite sizes the scatter within the groups
    counts.
    """
    return _highest(record, _split_share(record.losses))


@entry
def stop_at_first_lull(record: Record, *, window: int = 3) -> Int[np.ndarray, " runs"]:
    """Where the changes of the training predictions first cease to fall.

    They change fast while the signal is learnt, hardly in Stage I, and again when noisy samples are memorised. After
    the Label Wave of Yuan, Feng and Liu (ICLR 2024). Counted are the predictions that differ from the last recorded
    time, per unit of time, averaged over the last `window` intervals. It reads no label at all.
    """
    window = checks.integer("window", window)
    intervals = len(record.times) - 1
    checks.require(intervals >= window, "window", window, f"at most {intervals}, the intervals between recorded times")
    predicted = record.predicted
    rate = (predicted[:, 1:] != predicted[:, :-1]).mean(-1) / np.diff(record.times)
    smooth = np.stack([rate[:, k:k + window].mean(1) for k in range(intervals - window + 1)], 1)
    rises = np.append(smooth[:, 1:] >= smooth[:, :-1], np.ones((len(smooth), 1), bool), 1)
    return rises.argmax(1) + window


TRAINING_ONLY = {"deepest misfit": stop_at_deepest_misfit, "widest losses": stop_at_widest_losses,
                 "clearest split": stop_at_clearest_split, "first lull": stop_at_first_lull}


def _split_share(values: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "..."]:
    """Largest share, over thresholds, of the variance of n values that lies between the two sides.

    0 where all values are equal.
    """
    values = np.sort(values, -1)
    n = values.shape[-1]
    centred = values - values.mean(-1, keepdims=True)
    below = np.arange(1, n) / n
    between = (centred.cumsum(-1)[..., :-1] / n) ** 2 / (below * (1 - below))
    total = (centred**2).mean(-1)
    best = between.max(-1, initial=0.0)
    return np.divide(best, total, out=np.zeros_like(total), where=total > 0)


@entry(gaps=("values",))
def values_at_stop(values: ArrayLike, chosen: Int[np.ndarray, " runs"]) -> Shaped[np.ndarray, "runs ..."]:
    """The entries of `values`, of shape (runs, T, ...), at the chosen time of each run."""
    values = np.asarray(values)
    checks.require(values.ndim >= 2 and values.size > 0, "values.shape", values.shape, "(runs, T, ...), not empty")
    checks.require(len(chosen) == len(values), "chosen.shape", chosen.shape, f"({len(values)},), one time per run")
    checks.require(bool(((chosen >= 0) & (chosen < values.shape[1])).all()), "chosen", chosen,
                   f"positions of times, 0 to {values.shape[1] - 1}")
    return values[np.arange(len(chosen)), chosen]


@entry(gaps=("error",))
def stopping_regret(error: Float[np.ndarray, "runs T"], chosen: Int[np.ndarray, " runs"]) -> Float[np.ndarray, " runs"]:
    """The error at the chosen times minus the lowest of the run: what the oracle of this error would save."""
    checks.require(error.size > 0, "error.shape", error.shape, "(runs, T), not empty")
    return values_at_stop(error, chosen) - np.min(error, axis=1)


@entry
def stopping_validation_size(flip_rate: float, gap: float, candidates: int, *, delta: float = 0.1) -> int:
    """Validation samples with observed labels that suffice to choose among `candidates` times with a regret <= `gap`.

    With probability at least 1 - delta, by Hoeffding's inequality and a union bound (prop-noisy-validation):
    2 log(2 K / delta) / ((1 - 2 tau) gap)^2.
    """
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    gap = checks.real("gap", gap, 0.0, 1.0, open_low=True)
    candidates = checks.integer("candidates", candidates, 1, 2**53)
    delta = checks.real("delta", delta, 0.0, 1.0, open_low=True, open_high=True)
    return math.ceil(2 * math.log(2 * candidates / delta) / ((1 - 2 * tau) * gap) ** 2)


def _highest(record: Record, score: Float[np.ndarray, "runs T"]) -> Int[np.ndarray, " runs"]:
    """The first time after the start of training at which `score` is highest."""
    started = record.times > 0
    checks.require(bool(started.any()), "record.times", record.times, "some after the start of training")
    return stop_at_lowest(np.where(started, -score, np.inf))


def _present(record: Record, name: str) -> np.ndarray:
    values = getattr(record, name)
    checks.require(values is not None, f"record.{name}", values, "measured: pass n_val > 0 to descend or fit")
    return values
