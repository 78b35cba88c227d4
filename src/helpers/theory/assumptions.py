"""Hypotheses of the theorems at given sizes, both sides shown, before any draw."""

import math

import pandas as pd

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.entry import entry
from helpers.theory import concentration
from helpers.theory.loss_decay import loss_decay_curvature
from helpers.theory.stage_one import likely_stage_one

PAPER, KOU, GOOD_EVENT = "Condition 4.1", "Kou et al., 2023", "good event"
STAGE_ONE, STEP, LIMIT, TEST = "Stage I theorem", "step size", "limit law", "test error"


@entry
def conditions(problem: SignalNoise, m: int, init_std: float, lr: float, *, delta: float = 0.1, s1: float = 0.05,
               eps: float = 0.01, constant: float = 1.0) -> pd.DataFrame:
    """Where an experiment stands: both sides of Condition 4.1 and of each bound of the book, at its finite sizes.

    Parameters
    ----------
    problem
        the distribution.
    m, init_std, lr
        filters of each sign, sigma_0 and eta.
    delta
        the probability at which the paper's statements, the good event (prop-good-event) and the Stage I theorem are
        asked to fail.
    s1
        the time, in units of n m / (eta sigma^2 d) steps, until which thm-stage-one is asked to hold.
    eps
        the training loss down to which Condition 4.1 is asked to lead: see `longest_training`.
    constant
        C of Condition 4.1, which the paper takes "sufficiently large".

    Returns
    -------
    DataFrame
        Columns ``left``, ``right`` and ``holds`` (left >= right), indexed by ``source`` and ``requirement``.

    Notes
    -----
    The sources, in their order:

    - Condition 4.1 of Han et al. (2025), all six items, as in the paper's ICLR 2025 version. Item 1 asks for numbers of
      order one, of which a single size cannot say anything: the rows ask for n SNR^2 >= 1/C and for an expected noisy
      sample in each class, tau n / 2 >= 1; without any flips, as in the paper's Theorem 4.3, the latter is left out;
    - the condition ``d >= C n |mu|^2 / sigma^2 log T*`` of Kou et al. (2023), which the paper drops. It bounds
      n SNR^2 by 1 / (C log T*);
    - what the lemmas of chapter 1 need to say something (prop-good-event, lem-cross-talk);
    - the hypotheses of thm-stage-one, with its constants bounded on the good event, before any draw;
    - the step: that of the convergence proof (thm-convergence), and that of the limit law (def-limit-law);
    - the limit law: its two lines, and initial responses that exceed the cross-talk, which item 5 excludes;
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

    Of the paper's Condition the two lower bounds on d fail, and one upper bound on the step:

    >>> paper = table.loc["Condition 4.1"]
    >>> [name[:2] for name, holds in paper.holds.items() if not holds]
    ['2.', '2.', '6.']
    """
    n, d, c, ratio = problem.n, problem.d, problem.n_snr2, problem.mu_norm / problem.noise_std
    unit, flips = problem.noise_std * math.sqrt(d), max(problem.flip_plus, problem.flip_minus)
    checks.positive("lr", lr)
    checks.positive("s1", s1)
    event = concentration.good_event(problem, m, init_std, delta)
    big_log = concentration.good_event_log(n, m, delta)
    fewest = min(concentration.expected_concentration_counts(problem)[name] for name in ("noisy_plus", "noisy_minus"))
    clock = lr * unit**2 / (n * m)
    rows = _paper_rows(problem, m, init_std, lr, delta, eps, constant)
    rows += [
        (GOOD_EVENT, "cross-talk of noise on noise <= 1", d, 12 * n**2 * big_log),
        (GOOD_EVENT, "cross-talk of noise on signal <= 1", d, 2 * n * ratio * math.sqrt(2 * big_log)),
        (GOOD_EVENT, "norms: 1 >= epsilon", 1.0, event.norms),
        (GOOD_EVENT, "some filter active on each sample", m / 2, event.active_filters),
        (GOOD_EVENT, "some noisy sample in each class", fewest, event.counts)]
    stage = likely_stage_one(problem, m, init_std, event, delta=delta, s1=s1).to_frame()
    rows += [(STAGE_ONE, row.conclusion, row.left, row.right) for row in stage.itertuples()]
    rows += [
        (STEP, "1 >= h Xi", 1.0, clock * loss_decay_curvature(problem, event, delta=delta)),
        (STEP, "1 >= h (1 + c)", 1.0, clock * (1 + c)),
        (LIMIT, "Stage I exists: c (1 - 2 tau) > 1", c * (1 - 2 * flips), 1.0),
        (LIMIT, "clean patches safe: c (1 - 4 tau) > 1", c * (1 - 4 * flips), 1.0),
        (LIMIT, "initial responses above the cross-talk", init_std * unit, math.sqrt(n / d)),
        (TEST, "n |mu|^4 / (sigma^4 d) >= 1", c**2 * d / n, 1.0)]
    table = pd.DataFrame(rows, columns=["source", "requirement", "left", "right"])
    holds = table.left >= table.right
    holds[table.source == STAGE_ONE] = stage.holds.to_numpy()
    return table.assign(holds=holds).set_index(["source", "requirement"])


def longest_training(problem: SignalNoise, m: int, lr: float, *, eps: float = 0.01) -> float:
    """T* = n m / (eta eps sigma^2 d), the number of steps for which Condition 4.1 is meant, up to logarithms.

    The paper prints sigma^-1 for sigma^-2; the units ask for the latter. In the book's time, T* is s = 1 / eps.

    Parameters
    ----------
    problem, m, lr
        the distribution, filters of each sign, and eta.
    eps
        the training loss that is to be reached.
    """
    lr, eps = checks.positive("lr", lr), checks.positive("eps", eps)
    return problem.n * checks.integer("m", m) / (lr * eps * problem.noise_std**2 * problem.d)


@entry
def largest_init_std(problem: SignalNoise, m: int, *, delta: float = 0.1, constant: float = 1.0) -> float:
    """The largest sigma_0 that item 5 of Condition 4.1 allows.

    It is ``min{sqrt(n) / (sigma d), 1 / (|mu| sqrt(log(m / delta)))} / C``.

    Parameters
    ----------
    problem, m
        the distribution, and filters of each sign.
    delta, constant
        as in `conditions`.

    Examples
    --------
    >>> from helpers import SignalNoise
    >>> from helpers.theory import largest_init_std
    >>> round(largest_init_std(SignalNoise(100, 2000, mu_norm=20.0), 10), 6)
    0.005
    """
    return min(_init_std_bounds(problem, m, delta, constant))


def _init_std_bounds(problem, m, delta, constant):
    """Both bounds of item 5 on sigma_0."""
    log = math.log(checks.integer("m", m) / checks.real("delta", delta, 0.0, 1.0, open_low=True, open_high=True))
    bounds = math.sqrt(problem.n) / (problem.noise_std * problem.d), 1 / (problem.mu_norm * math.sqrt(log))
    return tuple(bound / checks.positive("constant", constant) for bound in bounds)


def _paper_rows(problem, m, init_std, lr, delta, eps, constant):
    """Condition 4.1 of the paper, and the condition of Kou et al. that it drops: (source, requirement, left, right)."""
    n, d, sigma, ratio = problem.n, problem.d, problem.noise_std, problem.mu_norm / problem.noise_std
    long = math.log(max(longest_training(problem, m, lr, eps=eps), math.e))
    log_n, log_m = math.log(n / delta), math.log(m / delta)
    by_noise, by_signal = _init_std_bounds(problem, m, delta, constant)
    items = [
        ("1. n SNR^2 of order 1 (>= 1/C)", problem.n_snr2, 1 / constant),
        ("1. tau of order 1 (>= 2/n)", min(problem.flip_plus, problem.flip_minus), 2 / n),
        ("2. d >= C n^2 log(nm/delta) log(T*)^2", d, constant * n**2 * math.log(n * m / delta) * long**2),
        ("2. d >= C n (|mu|/sigma) sqrt(log(n/delta))", d, constant * n * ratio * math.sqrt(log_n)),
        ("3. m >= C log(n/delta)", m, constant * log_n),
        ("3. n >= C log(m/delta)", n, constant * log_m),
        ("4. |mu|^2 >= C sigma^2 log(n/delta)", ratio**2, constant * log_n),
        ("5. sqrt(n) / (C sigma d) >= sigma_0", by_noise, init_std),
        ("5. 1 / (C |mu| sqrt(log(m/delta))) >= sigma_0", by_signal, init_std),
        ("6. n^2 m sqrt(log(n/delta)) / (C sigma^2 d^(3/2)) >= eta",
         n**2 * m * math.sqrt(log_n) / (constant * sigma**2 * d**1.5), lr),
        ("6. n / (C sigma^2 d) >= eta", n / (constant * sigma**2 * d), lr)]
    if problem.flip_plus == problem.flip_minus == 0:
        del items[1]
    return [(PAPER, *item) for item in items] + [
        (KOU, "d >= C n (|mu|/sigma)^2 log T*", d, constant * n * ratio**2 * long)]
