"""Where a quantity crosses a level along a parameter of the problem, estimated from several runs at each value.

`half_crossing` is for shares of single runs, from which it makes an interval; `crossing_boundary` for the rows of a
map. For a level that single runs pass in time see `first_passage_time`.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.isotonic import IsotonicRegression

from helpers import checks
from helpers.entry import entry
from helpers.streams import random_stream


@entry
def half_crossing(parameter: ArrayLike, shares: ArrayLike, *, resamples: int = 400,
                  seed: int = 0) -> tuple[float, float, float]:
    """Where a mean share that climbs from 0 to 1 along a parameter crosses 1/2, with a 95% interval.

    Between the values of the parameter the mean is interpolated, after each dip has been levelled; a mean that never
    reaches, or never is below, one half gives the last or the first value. The interval resamples whole runs.

    Parameters
    ----------
    parameter
        increasing values.
    shares
        of shape (values, runs), the share of each run at each value.
    resamples, seed
        how many draws of the runs make the interval, and their seed.

    Returns
    -------
    estimate, low, high
        the crossing and the ends of its interval.
    """
    parameter, shares = checks.sampled("parameter", np.asarray(parameter)), np.asarray(shares, float)
    checks.require(shares.ndim == 2 and len(shares) == len(parameter), "shares.shape", shares.shape,
                   f"({len(parameter)}, runs)")
    checks.require(shares.shape[1] > 0, "shares.shape", shares.shape, "(values, runs) with one run or more")
    checks.require(bool(((shares >= 0) & (shares <= 1)).all()), "shares", shares, "in [0, 1]")
    checks.require(bool((np.diff(parameter) > 0).all()), "parameter", parameter, "strictly increasing")
    resamples = checks.integer("resamples", resamples, 1, 10**6)
    draws = random_stream(seed, "resampled runs").integers(shares.shape[1], size=(resamples, shares.shape[1]))
    found = [_crossing(parameter, shares[:, draw].mean(1)) for draw in draws]
    return _crossing(parameter, shares.mean(1)), *np.quantile(found, [0.025, 0.975])


def _crossing(parameter: ArrayLike, means: Float[np.ndarray, " values"]) -> float:
    return float(np.interp(0.5, np.maximum.accumulate(means), parameter))


@entry
def crossing_boundary(table: pd.DataFrame, quantity: str, *, level: float = 0.5, along: str = "n_snr2",
                      by: str = "flip_rate") -> pd.Series:
    """Where a map crosses a level: for each value of `by`, the value of `along` at which `quantity` does.

    Each row of the map is made monotone (isotonic regression, rising or falling, whichever fits better) and read off
    by linear interpolation.

    Parameters
    ----------
    table
        one row per cell of the map, with the columns named here.
    quantity, along, by
        names of columns: what is mapped, and the two parameters.
    level
        the level that is crossed.

    Returns
    -------
    crossings
        indexed by `by`; NaN where a row does not cross.
    """
    for argument, name in (("quantity", quantity), ("along", along), ("by", by)):
        checks.require(name in table, argument, name, f"one of the table's columns, {list(table)}")
    checks.require(along != by, "by", by, "another column than `along`")
    level = checks.real("level", level)
    crossings = {value: _level_crossing(rows[along].to_numpy(float), rows[quantity].to_numpy(float), level)
                 for value, rows in table.sort_values(along).groupby(by)}
    return pd.Series(crossings, name=along).rename_axis(by)


def _level_crossing(x: Float[np.ndarray, " cells"], values: Float[np.ndarray, " cells"], level: float) -> float:
    known = ~np.isnan(values)
    x = x[known]
    values = values[known]
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
