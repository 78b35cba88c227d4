"""Where the rows of a map cross a level."""

import numpy as np
import pandas as pd
import pytest

from helpers.reading.crossings import crossing_boundary


def test_boundary_reads_the_crossing_of_rising_and_falling_rows():
    x = np.linspace(0.0, 4.0, 9)
    rows = [{"flip_rate": tau, "n_snr2": value, "up": value / 4, "down": 1 - (value - tau) / 4, "flat": 0.2}
            for tau in (0.1, 0.3) for value in x]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0)
    assert crossing_boundary(table, "up").to_dict() == pytest.approx({0.1: 2.0, 0.3: 2.0})
    assert crossing_boundary(table, "down", level=0.25).to_dict() == pytest.approx({0.1: 3.1, 0.3: 3.3})
    assert crossing_boundary(table, "flat").isna().all()
    assert crossing_boundary(table, "up", along="flip_rate", by="n_snr2").isna().all()


def test_boundary_of_a_noisy_row_is_unique_and_near():
    """A step at 2 of slope 1, plus noise of 0.05: the crossing is found to 0.2, four standard deviations (20 rows)."""
    rng, x = np.random.default_rng(0), np.linspace(0, 4, 41)
    table = pd.DataFrame({"flip_rate": np.repeat(np.arange(20.0), 41), "n_snr2": np.tile(x, 20)})
    table["share"] = 1 / (1 + np.exp(-4 * (table.n_snr2 - 2))) + rng.normal(0, 0.05, len(table))
    assert np.abs(crossing_boundary(table, "share") - 2).max() < 0.2
    table.loc[table.n_snr2 < 0.5, "share"] = np.nan
    assert np.abs(crossing_boundary(table, "share") - 2).max() < 0.2


def test_boundary_refuses_what_is_not_in_the_map():
    with pytest.raises(ValueError, match="clean"):
        crossing_boundary(pd.DataFrame({"flip_rate": [0.1], "n_snr2": [1.0]}), "clean")
