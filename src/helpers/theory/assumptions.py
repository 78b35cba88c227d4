"""Hypotheses of the theorems at given sizes, both sides shown, before any draw."""

import math

import pandas as pd

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.theory import concentration
from helpers.theory.loss_decay import likely_curvature
from helpers.theory.stage_one import likely_stage_one

REPORTED, GOOD_EVENT, STAGE_ONE = "Condition 4.1, as reported", "good event", "Stage I theorem"
STEP, LIMIT, TEST = "step size", "limit law", "test error"


def conditions(problem: SignalNoise, m: int, init_std: float, lr: float, *, delta: float = 0.1,
               s1: float = 0.05) -> pd.DataFrame:
    """Where an experiment stands: both sides of Condition 4.1 and of each bound of the book, at its finite sizes.

    Parameters
    ----------
    problem
        the distribution.
    m, init_std, lr
        filters of each sign, sigma_0 and eta.
    delta
        the probability at which the good event (prop-good-event) and the Stage I theorem are asked to fail.
    s1
        the time, in units of n m / (eta sigma^2 d) steps, until which thm-stage-one is asked to hold.

    Returns
    -------
    DataFrame
        Columns ``left``, ``right`` and ``holds`` (left >= right), indexed by ``source`` and ``requirement``.

    Notes
    -----
    The sources, in their order:

    - Condition 4.1 as reported, second-hand; constants 1 and logarithms log(n/delta), log(m/delta) flatter it;
    - what the lemmas of chapter 1 need to say something (prop-good-event, lem-cross-talk);
    - the hypotheses of thm-stage-one, with its constants bounded on the good event, before any draw;
    - the step: that of the convergence proof (thm-convergence), and that of the limit law (def-limit-law);
    - the limit law: its two lines, and initial responses that exceed the cross-talk;
    - the exponent behind a small fresh error without flips, ``n |mu|^4 / (sigma^4 d)`` (thm-no-noise-paper).

    Examples
    --------
    At the book's usual size both lines of the limit law hold, and no hypothesis of the Stage I theorem:

    >>> from helpers import SignalNoise
    >>> from helpers.theory import conditions
    >>> problem = SignalNoise(200, 2000, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    >>> table = conditions(problem, 20, 1e-3, 0.2)
    >>> table.loc["limit law", "holds"].to_list(), table.loc["Stage I theorem", "holds"].to_list()
    ([True, True, False], [False, False, False, False])
    """
    n, d, c, ratio = problem.n, problem.d, problem.n_snr2, problem.mu_norm / problem.noise_std
    unit, flips = problem.noise_std * math.sqrt(d), max(problem.flip_plus, problem.flip_minus)
    checks.positive("lr", lr)
    event = concentration.good_event(problem, m, init_std, delta)
    log, big_log = math.log(n / delta), concentration.good_event_log(n, m, delta)
    fewest = min(concentration.expected_counts(problem)[name] for name in ("noisy_plus", "noisy_minus"))
    clock = lr * unit**2 / (n * m)
    rows = [
        (REPORTED, "d >= n^2 log(n/delta)", d, n**2 * log),
        (REPORTED, "d >= (n |mu| / sigma) sqrt(log(n/delta))", d, n * ratio * math.sqrt(log)),
        (REPORTED, "d >= n |mu|^2 / sigma^2", d, n * ratio**2),
        (REPORTED, "m >= log(n/delta)", m, log),
        (REPORTED, "n >= log(m/delta)", n, math.log(m / delta)),
        (GOOD_EVENT, "cross-talk of noise on noise <= 1", d, 12 * n**2 * big_log),
        (GOOD_EVENT, "cross-talk of noise on signal <= 1", d, 2 * n * ratio * math.sqrt(2 * big_log)),
        (GOOD_EVENT, "norms: 1 >= epsilon", 1.0, event.norms),
        (GOOD_EVENT, "some filter active on each sample", m / 2, event.active_filters),
        (GOOD_EVENT, "some noisy sample in each class", fewest, event.counts)]
    stage = likely_stage_one(problem, m, init_std, event, delta=delta, s1=s1).to_frame()
    rows += [(STAGE_ONE, row.conclusion, row.left, row.right) for row in stage.itertuples()]
    rows += [
        (STEP, "1 >= h Xi", 1.0, clock * likely_curvature(problem, event, delta=delta)),
        (STEP, "1 >= h (1 + c)", 1.0, clock * (1 + c)),
        (LIMIT, "Stage I exists: c (1 - 2 tau) > 1", c * (1 - 2 * flips), 1.0),
        (LIMIT, "clean patches safe: c (1 - 4 tau) > 1", c * (1 - 4 * flips), 1.0),
        (LIMIT, "initial responses above the cross-talk", init_std * unit, math.sqrt(n / d)),
        (TEST, "n |mu|^4 / (sigma^4 d) >= 1", c**2 * d / n, 1.0)]
    table = pd.DataFrame(rows, columns=["source", "requirement", "left", "right"])
    holds = table.left >= table.right
    holds[table.source == STAGE_ONE] = stage.holds.to_numpy()
    return table.assign(holds=holds).set_index(["source", "requirement"])
