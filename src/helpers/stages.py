"""Times at which a run changes its behaviour, read off its Record."""

import numpy as np

from helpers import checks


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
