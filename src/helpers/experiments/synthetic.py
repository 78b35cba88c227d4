"""The synthetic experiment of Han et al. (2025, Figure 1), over many seeds: n = 100, d = 2000, |mu| = 20, T = 200.

The paper gives every number but the width m and the scale sigma_0 of the initial weights; it shows one run. The
readers are in `helpers.reading`: `largest_coefficients`, `overtaking` and `accuracies`.
"""

from collections.abc import Iterable

import numpy as np

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.descent import descend
from helpers.record import Record
from helpers.theory.assumptions import largest_init_std

PAPER_LR, PAPER_STEPS, PAPER_DELTA = 0.1, 200, 0.05


def paper_problem(*, flips: float = 0.1) -> SignalNoise:
    """The data of the paper's synthetic experiment: n SNR^2 = 20, balanced true classes, one flip rate for both.

    Parameters
    ----------
    flips
        the probability of a flip: 0.1 in the paper's run, 0 in the one beside it.
    """
    return SignalNoise(100, 2000, mu_norm=20.0, flip_plus=flips, flip_minus=flips, balanced=True)


def paper_run(seeds: int | Iterable[int], *, m: int = 10, flips: float = 0.1, init_scale: float = 1.0,
              zeta: float = 1.0, steps: int = PAPER_STEPS, **options: object) -> Record:
    """The paper's synthetic experiment for these seeds, every step recorded.

    Parameters
    ----------
    seeds
        of the data and the initial weights, as in `descend`.
    m
        filters of each sign; not given in the paper.
    flips
        as in `paper_problem`.
    init_scale
        sigma_0 in units of the largest that item 5 of Condition 4.1 allows with C = 1 and delta = 0.05, which is 0.005.
    zeta
        standard deviation of what the test distribution adds to a reused training patch: 1 = sigma is the paper's. (The
        error at zeta = 0 is exact and can be had from the same Record: the sum of `reused_parts`.)
    steps
        gradient steps.
    options
        of `descend`, such as `n_test`, the draws behind each test error.

    Returns
    -------
    record
        `reused_error` is on the paper's test distribution, estimated from n_test draws (see `Record.interval`).

    Examples
    --------
    >>> from helpers.experiments import paper_run
    >>> from helpers.reading import overtaking
    >>> record = paper_run(range(3), n_test=100)
    >>> overtaking(record)  # the paper's figure has its border near 25
    array([18., 15., 12.])
    """
    problem = paper_problem(flips=flips)
    init_std = checks.real("init_scale", init_scale, 0.0) * largest_init_std(problem, m, delta=PAPER_DELTA)
    return descend(problem, m, init_std, PAPER_LR, steps, seeds, record_at=np.arange(steps + 1), zeta=zeta, **options)
