"""What ranking by loss is worth in the end."""

import numpy as np
import pytest
from problems import problem
from scipy.stats import norm

from helpers import descend
from helpers.reading.selection import selection_auc
from helpers.theory.late_ranking import late_ranking_auc
from helpers.theory.limit import limit_law

N, M, D = 200, 20, 10**9


@pytest.mark.parametrize(("kappa", "m"), [(2.33, 5), (3.3, 20), (1.5, 20), (2.0, 4)])
def test_late_auc_by_simulation(kappa, m):
    """eq-late-auc: 400,000 pairs, of which an AUC estimate has a standard error below 0.0008."""
    rng = np.random.default_rng(m)
    noisy, clean = rng.binomial(m, 0.5, (2, 400_000))
    noisy, clean = noisy[(noisy > 0) & (clean > 0)], clean[(noisy > 0) & (clean > 0)]
    lead = kappa * clean - noisy
    assert late_ranking_auc(kappa, m) == pytest.approx(np.mean((lead > 0) + (lead == 0) / 2), abs=0.003)


def test_late_auc_is_gaussian_for_many_filters_and_one_half_without_a_gap():
    assert late_ranking_auc(1.0, 17) == pytest.approx(0.5)
    for kappa in (1.05, 1.1, 1.2):
        assert late_ranking_auc(kappa, 400) == pytest.approx(norm.cdf(np.log(kappa) * np.sqrt(200)), abs=0.01)


def test_late_auc_is_where_runs_end():
    """eq-late-auc at d = 10^9, c = 2, m = 20: 8 seeds to s = 100, where 0.9908 is predicted; lower at d = 2000."""
    ends = {}
    for d in (2000, D):
        run = descend(problem(d, c=2.0, tau=0.2), M, 0.03 / d**0.5, 0.2 * N * M / d, 500, range(8), record_at=[500],
                      n_test=1)
        ends[d] = selection_auc(run).mean()
    assert ends[D] == pytest.approx(late_ranking_auc(limit_law(2.0, 0.2, [1.0]).kappa, M), abs=0.01)
    assert ends[2000] < ends[D] - 0.04
