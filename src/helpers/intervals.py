"""Intervals: of a mean over runs, and of a share that was counted."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import betaincinv
from scipy.stats import linregress, t

from helpers import checks
from helpers.entry import entry


@entry
def t_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[np.floating, np.floating]:
    """Student's interval of a mean over runs: it covers the spread between runs.

    Parameters
    ----------
    values
        one number per run.
    level
        probability that such an interval holds the mean.

    Returns
    -------
    mean, half
        the mean, and half the width of the interval around it.

    Raises
    ------
    ValueError
        If there are fewer than two runs.
    """
    values = np.asarray(values, float)
    checks.require(values.ndim == 1 and len(values) >= 2, "values.shape", values.shape, "(runs,), two runs or more")
    level = checks.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    half = t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return values.mean(), half


@entry
def mean_and_interval(values: ArrayLike) -> str:
    """`t_interval` at 95% as text, "0.853 ± 0.103"."""
    mean, half = t_interval(values)
    return f"{mean:.3f} ± {half:.3f}"


@entry
def share_interval(count: ArrayLike, size: ArrayLike, *, level: float = 0.95) -> Float[np.ndarray, "... 2"]:
    """Clopper-Pearson interval of a probability, from `count` successes in `size` trials, which are broadcast.

    The last axis holds the lower and the upper bound. Raises ValueError if a count is above its size, or either is no
    whole number of 0 or more.
    """
    level = checks.real("level", level, 0.0, 1.0, open_low=True, open_high=True)
    count, size = np.asarray(count), np.asarray(size)
    for name, numbers in (("count", count), ("size", size)):
        checks.require(bool(np.all((numbers >= 0) & (numbers == np.floor(numbers)))), name, numbers, "whole, 0 or more")
    checks.broadcast("size", size, count.shape)
    checks.require(bool(np.all(count <= size)), "count", count, f"at most size, {size}")
    tail, rest = (1 - level) / 2, size - count
    # Quantiles of beta distributions; with no success, or nothing else, one bound is the end of [0, 1].
    low = np.where(count > 0, betaincinv(np.maximum(count, 1), rest + 1, tail), 0.0)
    high = np.where(rest > 0, betaincinv(count + 1, np.maximum(rest, 1), 1 - tail), 1.0)
    return np.stack([low, high], -1)


@entry
def slope_and_standard_error(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Slope of log y on log x by least squares, and its standard error: of two positive numbers each, or more."""
    for name, numbers in (("x", x), ("y", y)):
        checks.sampled(name, numbers, 2)
        checks.require(bool((numbers > 0).all()), name, numbers, "positive")
    checks.require(len(x) == len(y), "y.shape", y.shape, f"{x.shape}, as x")
    checks.require(bool(np.ptp(x) > 0), "x", x, "of two different numbers at least")
    fit = linregress(np.log(x), np.log(y))
    return fit.slope, fit.stderr
