"""What the recordings of `helpers.experiments.own_data` say: differences on the same data, paired by seed."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from helpers import checks
from helpers.entry import entry
from helpers.experiments.own_data import CLEANLAB, CLEANLAB_MEAN, COMBINED, SINGLES
from helpers.intervals import t_interval

SETTINGS = ("dataset", "rate", "kind")  # columns of which those that are there tell the sets of cells apart
BEST = "best single one in hindsight"
STOPPED, CLEANED = "stopped, not retrained", "cleanlab dropped"


@entry
def compare_rankings(table: pd.DataFrame, *, measure: str = "auc") -> pd.DataFrame:
    """The combined ranking minus each other one, in each set of cells.

    Parameters
    ----------
    table
        of the recording "own_data" or "own_human".
    measure
        "auc", or the "precision" at the true number of wrong labels.

    Returns
    -------
    table
        A row for each set and ranking "against" which is compared: the means "combined" and "other", and their
        "difference" with its 95% t-interval over the seeds, from "low" to "high". The first row of a set is against
        the single ranking of the highest mean there, named in "which": nobody knows beforehand which one that is.
    """
    checks.one_of("measure", measure, ("auc", "precision"))
    rows = []
    for place, wide in _sets(table, "ranking", measure):
        singles = [name for name in SINGLES if name in wide]
        best = wide[singles].mean().idxmax()
        others = [(BEST, best), *((name, name) for name in (*singles, CLEANLAB, CLEANLAB_MEAN))]
        rows += [place | {"against": against, "which": which, "combined": wide[COMBINED].mean(),
                          "other": wide[which].mean()} | _difference(wide[COMBINED] - wide[which])
                 for against, which in others]
    return pd.DataFrame(rows)


@entry
def compare_cleaning(table: pd.DataFrame) -> pd.DataFrame:
    """Test errors after each kind of cleaning, and how they differ from no cleaning and from cleanlab's.

    Returns
    -------
    table
        A row for each set and "method": the mean "error", the mean number "changed" and the share "changed_wrong" of
        these that was wrong (NaN where nothing was changed), and two differences with 95% t-intervals over the seeds,
        "minus stopped" and "minus cleanlab". Below 0 is better.
    """
    rows = []
    for place, wide in _sets(table, "cleaning", "error"):
        mine = _rows_of(table, place, "cleaning")
        for name in wide:
            about = mine[mine.method == name]
            rows.append(place | {"method": name, "error": wide[name].mean(), "changed": about.changed.mean(),
                                 "changed_wrong": about.changed_wrong.mean()}
                        | _difference(wide[name] - wide[STOPPED], "minus stopped")
                        | _difference(wide[name] - wide[CLEANED], "minus cleanlab"))
    return pd.DataFrame(rows)


@entry
def compare_flip_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Estimates of the flip rate against the realised one.

    Returns
    -------
    table
        A row for each set and "method": the mean "flip_rate" and "estimate", the bias as a "difference" with its 95%
        t-interval over the seeds, and the share of seeds in which the method's own interval "covered" the truth.
    """
    rows = []
    for place, wide in _sets(table, "rate", "estimate"):
        mine = _rows_of(table, place, "rate")
        for name in wide:
            about = mine[mine.method == name].set_index("seed").sort_index()
            covered = (about.low <= about.flip_rate) & (about.flip_rate <= about.high)
            rows.append(place | {"method": name, "flip_rate": about.flip_rate.mean(), "estimate": wide[name].mean()}
                        | _difference(wide[name] - about.flip_rate) | {"covered": covered.mean()})
    return pd.DataFrame(rows)


def _sets(table: pd.DataFrame, part: str, value: str) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Each set of cells, and its values with a row per seed and a column per method, in the order of the table."""
    checks.instance("table", table, pd.DataFrame)
    for column in ("part", "method", "seed", value):
        checks.one_of("column", column, tuple(table.columns))
    names = [name for name in SETTINGS if name in table]
    checks.require(len(names) > 0, "table", list(table.columns), f"one with some of the columns {', '.join(SETTINGS)}")
    for key in table[names].drop_duplicates().to_dict("records"):
        rows = _rows_of(table, key, part)
        wide = rows.pivot(index="seed", columns="method", values=value)[list(dict.fromkeys(rows.method))]
        checks.require(wide.size > 0 and wide.notna().to_numpy().all(), "table", key, f"one {value} for each seed and "
                       "method")
        yield key, wide


def _rows_of(table: pd.DataFrame, place: dict, part: str) -> pd.DataFrame:
    here = table[table.part == part]
    for name, value in place.items():
        here = here[here[name] == value]
    return here


def _difference(values: Float[np.ndarray, " seeds"] | pd.Series, name: str = "difference") -> dict[str, float]:
    mean, half = t_interval(np.asarray(values))
    low, high = ("low", "high") if name == "difference" else (f"{name}, low", f"{name}, high")
    return {name: float(mean), low: float(mean - half), high: float(mean + half)}
