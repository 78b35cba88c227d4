"""Times at which a run changes its behaviour, read off its Record.

One moment, the lowest mean margin of the noisy samples, comes in two forms: `turning_time_index` is a recorded time, an
index by which to read the other entries of the Record; `turning_times` is in steps, finer than the recording, to be
compared with a theory.
"""

import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import ArrayLike

from helpers import checks
from helpers.reading.stopping import stop_at_lowest
from helpers.record import Record


def rescaled_times(record: Record) -> Float[np.ndarray, "runs T"]:
    """The times of a signal-noise Record in the theory's unit: s = eta sigma^2 d t / (n m)."""
    rate = [run["lr"] * run["noise_std"] ** 2 * run["d"] / (run["n"] * record.config["m"]) for run in record.runs]
    return np.multiply.outer(np.array(rate), record.times)


def turning_times(record: Record) -> Float[np.ndarray, " runs"]:
    """The step at which the mean margin of the noisy samples is lowest: from there on they are being memorised.

    A parabola through the lowest recorded point and its neighbours gives the fraction of a recording interval; a run
    whose lowest point is its first or last recorded one gets that time. Raises ValueError if a run has no noisy sample.
    """
    margins = record.mean_over(record.margins, "noisy")
    checks.require(not np.isnan(margins).any(), "record", "<a run without noisy samples>", "one with some in each run")
    checks.require(len(record.times) >= 3, "record.times", record.times, "three or more")
    times = record.times.astype(float)
    return np.array([_vertex(times, row, k) for row, k in zip(margins, stop_at_lowest(margins))])


def _vertex(times: Float[np.ndarray, " T"], values: Float[np.ndarray, " T"], k: int | np.integer) -> float:
    """Where the parabola through the values at k and its neighbours is lowest; at either end times[k] itself."""
    if k in (0, len(times) - 1):
        return times[k]
    a, b, _ = np.polyfit(times[k - 1:k + 2] - times[k], values[k - 1:k + 2], 2)
    return times[k] - b / (2 * a)


def turning_time_index(record: Record) -> Int[np.ndarray, " runs"]:
    """The recorded time at which the mean margin of the noisy samples is lowest: an index into record.times."""
    return stop_at_lowest(record.mean_over(record.margins, "noisy"))


def crest_time_index(record: Record) -> Int[np.ndarray, " runs"]:
    """The recorded time at which most noisy samples are read by their true label: an index into record.times."""
    return record.mean_over(record.fits_true, "noisy").argmax(1)


def first_passage_time(times: Num[np.ndarray, " T"], values: ArrayLike, level: float) -> Float[np.ndarray, " runs"]:
    """The time at which each row of `values`, of shape (runs, T), first exceeds `level`, interpolated.

    inf if it never does, times[0] if it starts there. (For shares that climb along a parameter see `half_crossing`, for
    noisy rows of a map `boundary`.)
    """
    values = np.asarray(values, float)
    above = values > level
    k = np.where(above.any(1), above.argmax(1), 0)
    before = np.maximum(k - 1, 0)
    rows = np.arange(len(values))
    low = values[rows, before]
    high = values[rows, k]
    share = np.divide(level - low, high - low, out=np.zeros(len(k)), where=high > low)
    found = times[before] + share * (times[k] - times[before])
    return np.where(above.any(1), found, np.inf)
