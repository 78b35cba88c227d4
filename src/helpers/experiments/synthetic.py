"""The synthetic experiment of Han et al. (2025, Figure 1), over many seeds: n = 100, d = 2000, |mu| = 20, T = 200.

The paper gives every number but the width m and the scale sigma_0 of the initial weights; it shows one run. The
readers are in `helpers.reading`: `largest_coefficients`, `coefficient_overtaking` and `observed_accuracies`. In other
dimensions d the experiment keeps n, n SNR^2 and the time that a step takes, and its Condition 4.1 can be met.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.descent import descend
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.record import Record
from helpers.theory.assumptions import largest_init_std
from helpers.theory.paper_lemmas import paper_lemma_deviations

PAPER_D, PAPER_MU, PAPER_LR, PAPER_STEPS, PAPER_DELTA = 2000, 20.0, 0.1, 200, 0.05


@entry
def synthetic_problem(*, d: int = PAPER_D, flips: float = 0.1) -> SignalNoise:
    """The data of the paper's synthetic experiment: n SNR^2 = 20, balanced true classes, one flip rate for both.

    Parameters
    ----------
    d
        the dimension, 2000 in the paper; ``|mu|`` grows like sqrt(d), from 20 there, so that n SNR^2 stays.
    flips
        the probability of a flip: 0.1 in the paper's run, 0 in the one beside it.
    """
    check_ranges(flips=flips)
    d = checks.integer("d", d, 101, 10**15)
    mu_norm = PAPER_MU * (checks.integer("d", d) / PAPER_D) ** 0.5
    return SignalNoise(100, d, mu_norm=mu_norm, flip_plus=flips, flip_minus=flips, balanced=True)


@entry
def synthetic_run(seeds: int | Iterable[int], *, m: int = 10, d: int = PAPER_D, flips: float = 0.1,
                  init_scale: float = 1.0, lr: float = PAPER_LR, zeta: float = 1.0, steps: int = PAPER_STEPS,
                  **options: object) -> Record:
    """The paper's synthetic experiment for these seeds, every step recorded.

    Parameters
    ----------
    seeds
        of the data and the initial weights, as in `descend`.
    m
        filters of each sign; not given in the paper.
    d, flips
        as in `synthetic_problem`.
    init_scale
        sigma_0 in units of the largest that item 5 of Condition 4.1 allows with C = 1 and delta = 0.05, which is 0.005
        at d = 2000.
    lr
        eta at d = 2000; at other d it is lr 2000 / d, so that a step takes the same time eta sigma^2 d / (n m).
    zeta
        standard deviation of what the test distribution adds to a reused training patch: 1 = sigma is the paper's. (The
        error at zeta = 0 is exact and can be had from the same Record: the sum of `reused_error_parts`.)
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
    >>> from helpers.experiments import synthetic_run
    >>> from helpers.reading import coefficient_overtaking
    >>> record = synthetic_run(range(3), n_test=100)
    >>> coefficient_overtaking(record)  # the paper's figure has its border near 25
    array([18., 15., 12.])
    """
    check_ranges(m=m, flips=flips, init_scale=init_scale, lr=lr, steps=steps)
    d = checks.integer("d", d, 101, 10**15)
    problem = synthetic_problem(d=d, flips=flips)
    init_std = checks.real("init_scale", init_scale, 0.0) * largest_init_std(problem, m, delta=PAPER_DELTA)
    rate = checks.positive("lr", lr) * PAPER_D / d
    return descend(problem, m, init_std, rate, steps, seeds, record_at=np.arange(steps + 1), zeta=zeta, **options)


@entry
def synthetic_lemmas_over_d(dims: Sequence[int], seeds: Iterable[int], **options: object) -> pd.DataFrame:
    """The paper's lemmas in growing dimension: `paper_lemma_deviations` of the paper's run, indexed by d and run.

    Parameters
    ----------
    dims
        the dimensions.
    seeds, options
        as in `synthetic_run`.
    """
    checks.require(len(dims) > 0, "dims", dims, "one dimension or more")
    dims = [checks.integer("dims", d, 101, 10**15) for d in dims]
    seeds = list(seeds)
    return pd.concat({d: paper_lemma_deviations(synthetic_run(seeds, d=d, n_test=1, zeta=0.0,
                                                              **options)) for d in dims},
                     names=["d"])
