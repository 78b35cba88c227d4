"""Student's intervals: by hand, and how often they cover."""

import numpy as np
import pytest

from helpers.intervals import mean_and_interval, share_interval, t_interval


def test_interval_by_hand():
    mean, half = t_interval([1.0, 2.0, 3.0])
    assert mean == 2.0 and half == pytest.approx(4.302653 / 3**0.5, rel=1e-6)  # the 97.5% point of t with 2 degrees
    assert mean_and_interval([1.0, 2.0, 3.0]) == "2.000 ± 2.484"


def test_interval_covers_the_mean_as_often_as_it_says():
    """4,000 samples of five normals: coverage within five standard deviations of a binomial of .8."""
    rng = np.random.default_rng(0)
    covered = [abs(mean) <= half for mean, half in (t_interval(rng.normal(size=5), level=0.8) for _ in range(4000))]
    assert abs(np.mean(covered) - 0.8) < 5 * (0.8 * 0.2 / 4000) ** 0.5


@pytest.mark.parametrize("values", [[1.0], [], [[1.0, 2.0]]])
def test_one_run_has_no_interval(values):
    with pytest.raises(ValueError, match=r"values\.shape"):
        t_interval(values)


def test_share_interval_by_hand():
    """No success in n: the upper end p has (1 - p)^n = tail; and all successes mirror it."""
    low, high = share_interval(0, 20)
    assert low == 0 and (1 - high) ** 20 == pytest.approx(0.025, rel=1e-9)
    np.testing.assert_allclose(share_interval([0, 20, 7], 20)[1], [1 - high, 1.0])
    np.testing.assert_allclose(share_interval([7, 13], 20)[0], 1 - share_interval([7, 13], 20)[1][::-1])
