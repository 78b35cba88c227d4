"""Times at which a run changes its behaviour, read off its Record."""

import numpy as np

from helpers import checks
from helpers.reading.stopping import lowest


def rescaled_times(record):
    """(runs, T) the times of a signal-noise Record in the theory's unit: s = eta sigma^2 d t / (n m)."""
    rate = [run["lr"] * run["noise_std"] ** 2 * run["d"] / (run["n"] * record.config["m"]) for run in record.runs]
    return np.multiply.outer(np.array(rate), record.times)


def turning_times(record):
    """(runs,) the step at which the mean margin of the noisy samples is lowest: from there on they are being learnt.

    A parabola through the lowest recorded point and its neighbours gives the fraction of a recording interval; a run
    whose lowest point is its first or last recorded one gets that time. Raises ValueError if a run has no noisy sample.
    """
    margins = record.mean_over(record.margins, "noisy")
    checks.require(not np.isnan(margins).any(), "record", "<a run without noisy samples>", "one with some in each run")
    checks.require(len(record.times) >= 3, "record.times", record.times, "three or more")
    return np.array([_lowest(record.times.astype(float), row) for row in margins])


def _lowest(times, values):
    k = int(values.argmin())
    if k in (0, len(times) - 1):
        return times[k]
    a, b, _ = np.polyfit(times[k - 1:k + 2] - times[k], values[k - 1:k + 2], 2)
    return times[k] - b / (2 * a)


def turning(record):
    """(runs,) where the mean margin of the noisy samples is lowest: an index into record.times."""
    return lowest(record.mean_over(record.margins, "noisy"))


def crest(record):
    """(runs,) the recorded epoch, as an index, at which most noisy samples are read by their true label."""
    return record.mean_over(record.fits_true, "noisy").argmax(1)


def first_passage(times, values, level):
    """(runs,) the time at which each row of `values` (runs, T) first exceeds `level`, interpolated; inf if it never
    does, times[0] if it starts there."""
    values = np.asarray(values, float)
    above = values > level
    k = np.where(above.any(1), above.argmax(1), 0)
    before, rows = np.maximum(k - 1, 0), np.arange(len(values))
    low, high = values[rows, before], values[rows, k]
    share = np.divide(level - low, high - low, out=np.zeros(len(k)), where=high > low)
    found = times[before] + share * (times[k] - times[before])
    return np.where(above.any(1), found, np.inf)
