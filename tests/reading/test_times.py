"""When a run turns and passes a level."""

import numpy as np
from problems import problem

from helpers import descend, limit_law
from helpers.reading.crossings import half_crossing
from helpers.reading.times import first_passage_time, rescaled_times, turning_times

D = 10**9


def test_first_passage_and_half_crossing():
    times = np.array([0.0, 1.0, 2.0])
    values = [[0, 1, 2], [0, 0, 0], [5, 0, 0], [0, 0, 2], [0.25, 0.75, 2]]
    np.testing.assert_allclose(first_passage_time(times, values, 0.5), [0.5, np.inf, 0.0, 1.25, 0.5])
    shares = np.array([[0.0, 0.2], [0.4, 0.6], [1.0, 1.0]])
    middle, low, high = half_crossing([1, 2, 3], shares)
    assert middle == 2 and low < 2 < high
    assert limit_law(8.0, 0.1, [0.0, 1.0]).noisy_margin[1] < 0  # Stage I, where half_crossing is used


def test_turning_time_follows_the_limit_law():
    """n = 800, d = 1e9, m = 50: the mean over seeds lies within 8% of the law; seeds scatter by 5% (flip counts)."""
    law = problem(d=10**9, n=800)
    record = descend(law, 50, 0.03 / D**0.5, 0.05 * 800 * 50 / D, 60, range(4), record_at=np.arange(0, 61), n_test=1)
    grid = np.linspace(0, 3, 3001)
    expected = grid[limit_law(8.0, 0.1, grid).noisy_margin.argmin()]
    measured = (turning_times(record) * rescaled_times(record)[:, 1]).mean()
    assert abs(measured / expected - 1) < 0.08
