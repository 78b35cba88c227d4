"""What the recording of `helpers.experiments.comparisons` says of its stopping rules (chapter 9).

Apart from what made the recording, so that reading it in another way does not put the recording out of date.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Real

from helpers import checks
from helpers.entry import entry
from helpers.reading.comparison import Stop, StopComparison, blind, compare_stops
from helpers.reading.stopping import values_at_stop

COLUMNS = ("seed", "flip_rate", "kind", "method", "epoch", "value", "clean_labels", "noisy_labels", "knows_rate")
ELSEWHERE = "blind, from other rates"


@entry
def compare_recorded_stops(table: pd.DataFrame, flip_rate: float) -> StopComparison:
    """The recorded stopping rules at one flip rate beside `blind`, `never` and the oracle, paired by seed.

    `blind` has seen the other seeds at the same flip rate. One control more has not: "blind, from other rates" is the
    epoch with the lowest mean error over all runs at the other rates.

    Parameters
    ----------
    table
        of the recording "comparisons", with two flip rates or more.
    flip_rate
        one of them.

    Raises
    ------
    ValueError
        If a column or a rate is not there, a run lacks a value, or a rule that reads no further labels has another
        error than the curve of its run at the epoch where it stops.
    """
    for column in COLUMNS:
        checks.one_of("column", column, tuple(table.columns))
    rates = tuple(table.flip_rate.unique().tolist())
    checks.require(len(rates) > 1, "table", rates, "a recording at two flip rates or more")
    curves = {rate: _curves(table, rate) for rate in rates}
    checks.one_of("flip_rate", flip_rate, rates)
    error = curves[flip_rate].to_numpy()
    times = curves[flip_rate].columns.to_numpy()
    own = np.repeat(rates, [len(curve) for curve in curves.values()])
    elsewhere = blind(np.concatenate(list(curves.values())), groups=own)[own == flip_rate]
    stops = table[(table.kind == "stop") & (table.flip_rate == flip_rate)]
    rules = [_rule(str(name), rows, curves[flip_rate]) for name, rows in stops.groupby("method", sort=False)]
    return compare_stops(error, times, [Stop(ELSEWHERE, elsewhere), *rules])


def _curves(table: pd.DataFrame, flip_rate: float) -> pd.DataFrame:
    """Test errors of the common runs: a row per seed, a column per recorded epoch."""
    rows = table[(table.kind == "curve") & (table.flip_rate == flip_rate)]
    twice = rows.duplicated(["seed", "epoch"]).any()
    wide = rows.drop_duplicates(["seed", "epoch"]).pivot(index="seed", columns="epoch", values="value")
    whole = wide.size > 0 and not twice and wide.notna().to_numpy().all()
    checks.require(whole, "table", flip_rate, "one error for each seed and epoch at this flip rate")
    return wide


def _rule(name: str, rows: pd.DataFrame, curves: pd.DataFrame) -> Stop:
    rows = rows.sort_values("seed")
    times: Real[np.ndarray, " T"] = curves.columns.to_numpy()
    found: Float[np.ndarray, " seeds"] = rows.value.to_numpy(float)
    whole = rows.seed.tolist() == curves.index.tolist() and np.isin(rows.epoch, times).all()
    checks.require(whole, "table", name, "a rule with one recorded epoch for each seed")
    chosen = np.searchsorted(times, rows.epoch)
    clean, noisy, knows = (rows[column].iloc[0] for column in ("clean_labels", "noisy_labels", "knows_rate"))
    reads = {"clean_labels": int(clean), "noisy_labels": int(noisy), "knows_rate": bool(knows)}
    if clean or noisy:  # it has runs of its own, of which no error is on record but that where it stops
        return Stop(name, chosen, error=np.repeat(found[:, None], len(times), axis=1), times=times, **reads)
    same = np.array_equal(found, values_at_stop(curves.to_numpy(), chosen))
    checks.require(same, "table", name, "a rule with the error of the common runs where it stops")
    return Stop(name, chosen, **reads)
