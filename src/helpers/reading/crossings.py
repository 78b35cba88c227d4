"""Where a share that climbs from 0 to 1 along a parameter crosses one half, with an interval from resampled runs."""

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from helpers import checks
from helpers.streams import random_stream


def half_crossing(parameter, shares, *, resamples=400, seed=0):
    """Where the mean over runs of `shares` (values, runs) crosses 1/2, and a 95% interval: (estimate, low, high).

    parameter : (values,) increasing. Between its values the mean is interpolated; a mean that never reaches, or never
    is below, one half gives the last or the first value. The interval resamples whole runs.
    """
    shares = np.asarray(shares, float)
    checks.require(shares.ndim == 2 and len(shares) == len(parameter), "shares.shape", shares.shape,
                   f"({len(parameter)}, runs)")
    draws = random_stream(seed, "resampled runs").integers(shares.shape[1], size=(resamples, shares.shape[1]))
    found = [_crossing(parameter, shares[:, draw].mean(1)) for draw in draws]
    return _crossing(parameter, shares.mean(1)), *np.quantile(found, [0.025, 0.975])


def _crossing(parameter, means):
    return float(np.interp(0.5, np.maximum.accumulate(means), parameter))


def boundary(table, quantity, *, level=0.5, along="n_snr2", by="flip_rate"):
    """Where a map crosses a level: for each value of `by`, the value of `along` at which `quantity` does.

    Each row of the map is made monotone (isotonic regression, rising or falling, whichever fits better) and read off
    by linear interpolation. Returns a Series indexed by `by`; NaN where the row does not cross.
    """
    for name in (quantity, along, by):
        checks.require(name in table, "table's columns", list(table), f"such that {name!r} is one of them")
    level = checks.real("level", level)
    crossings = {value: _level_crossing(rows[along].to_numpy(float), rows[quantity].to_numpy(float), level)
                 for value, rows in table.sort_values(along).groupby(by)}
    return pd.Series(crossings, name=along).rename_axis(by)


def _level_crossing(x, values, level):
    known = ~np.isnan(values)
    x, values = x[known], values[known]
    if len(x) < 2:
        return np.nan
    fits = [IsotonicRegression(increasing=rising).fit_transform(x, values) for rising in (True, False)]
    values = min(fits, key=lambda fit: np.square(fit - values).sum())
    if values[0] > values[-1]:
        x, values = x[::-1], values[::-1]
    if not values[0] < level < values[-1]:
        return np.nan
    after = int(np.searchsorted(values, level))
    return float(np.interp(level, values[after - 1:after + 1], x[after - 1:after + 1]))
