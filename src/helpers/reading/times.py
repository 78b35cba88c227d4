"""Times at which a run changes its behaviour, read off its Record.

One moment, the lowest mean margin of the noisy samples, comes in two forms: `turning_time_index` is a recorded time, an
index by which to read the other entries of the Record; `turning_times` is in steps, finer than the recording, to be
compared with a theory.
"""

import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import ArrayLike

from helpers import checks
from helpers.entry import entry
from helpers.reading.stopping import stop_at_lowest
from helpers.record import Record


@entry
def rescaled_times(record: Record) -> Float[np.ndarray, "runs T"]:
    """The times of a signal-noise Record in the theory's unit: s = eta sigma^2 d t / (n m)."""
    known = "m" in record.config and all({"lr", "noise_std", "d", "n"} <= run.keys() for run in record.runs)
    checks.require(known, "record", record, "one of the signal-noise world, as descend makes")
    rate = [run["lr"] * run["noise_std"] ** 2 * run["d"] / (run["n"] * record.config["m"]) for run in record.runs]
    return np.multiply.outer(np.array(rate), record.times)


@entry
def turning_times(record: Record) -> Float[np.ndarray, " runs"]:
    """The step at which the mean margin of the noisy samples is lowest: from there on they are being memorised.

    A parabola through the lowest recorded point and its neighbours gives the fraction of a recording interval; a run
    whose lowest point is its first or last recorded one gets that time. Raises ValueError if a run has no noisy sample.
    """
    margins = _over_noisy(record, record.margins)
    checks.require(len(record.times) >= 3, "record.times", record.times, "three or more")
    times = record.times.astype(float)
    return np.array([_vertex(times, row, k) for row, k in zip(margins, stop_at_lowest(margins))])


def _vertex(times: Float[np.ndarray, " T"], values: Float[np.ndarray, " T"], k: int | np.integer) -> float:
    """Where the parabola through the values at k and its neighbours is lowest; at either end times[k] itself."""
    if k in (0, len(times) - 1):
        return times[k]
    a, b, _ = np.polyfit(times[k - 1:k + 2] - times[k], values[k - 1:k + 2], 2)
    return times[k] - b / (2 * a)


@entry
def turning_time_index(record: Record) -> Int[np.ndarray, " runs"]:
    """The recorded time at which the mean margin of the noisy samples is lowest: an index into record.times."""
    return stop_at_lowest(_over_noisy(record, record.margins))


@entry
def crest_time_index(record: Record) -> Int[np.ndarray, " runs"]:
    """The recorded time at which most noisy samples are read by their true label: an index into record.times."""
    return _over_noisy(record, record.fits_true).argmax(1)


def _over_noisy(record: Record, values: ArrayLike) -> Float[np.ndarray, "runs T"]:
    means = record.mean_over(values, "noisy")
    checks.require(not np.isnan(means).any(), "record", "<a run without noisy samples>", "one with some in each run")
    return means


@entry
def first_passage_time(times: Num[np.ndarray, " T"], values: ArrayLike, level: float) -> Float[np.ndarray, " runs"]:
    """The time at which each row of `values`, of shape (runs, T), first exceeds `level`, interpolated.

    inf if it never does, times[0] if it starts there. (For shares that climb along a parameter see `half_crossing`, for
    noisy rows of a map `boundary`.)
    """
    values = np.asarray(values, float)
    checks.require(times.size > 0 and bool((np.diff(times) > 0).all()), "times", times, "strictly increasing")
    checks.require(values.size > 0 and values.ndim == 2 and values.shape[1] == len(times), "values.shape", values.shape,
                   f"(runs, {len(times)}), a column for each time, not empty")
    above = values > level
    k = np.where(above.any(1), above.argmax(1), 0)
    before = np.maximum(k - 1, 0)
    rows = np.arange(len(values))
    low = values[rows, before]
    high = values[rows, k]
    share = np.divide(level - low, high - low, out=np.zeros(len(k)), where=high > low)
    found = times[before] + share * (times[k] - times[before])
    return np.where(above.any(1), found, np.inf)
