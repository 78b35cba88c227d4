"""Hypotheses of the theorems, both sides shown: `conditions` for given sizes, `stage_one` for numbers of one run."""

import math

import pandas as pd
from scipy.special import ndtr

from helpers import checks
from helpers.theory import concentration
from helpers.theory.stage_one import StageOne

REPORTED, GOOD_EVENT, STAGE_ONE = "Condition 4.1, as reported", "good event", "Stage I theorem"
STEP, LIMIT, TEST = "step size", "limit law", "test error"


def conditions(problem, m, init_std, lr, *, delta=0.1, s1=0.05):
    """Where an experiment stands: both sides of Condition 4.1 and of each bound of the book, at its finite sizes.

    Parameters
    ----------
    problem : SignalNoise. m, init_std, lr : filters of each sign, sigma_0 and eta.
    delta : the probability at which the good event (prop-good-event) and the Stage I theorem are asked to fail.
    s1 : the time, in units of n m / (eta sigma^2 d) steps, until which thm-stage-one is asked to hold.

    Returns a DataFrame with columns left, right, holds (left >= right), indexed by source and requirement:

    - Condition 4.1 as reported, second-hand; constants 1 and logarithms log(n/delta), log(m/delta) flatter it;
    - what the lemmas of chapter 1 need to say something (prop-good-event, lem-cross-talk);
    - the hypotheses of thm-stage-one, with its constants bounded on the good event, before any draw;
    - the step: that of the convergence proof (thm-convergence), and that of the limit law (def-limit-law);
    - the limit law: its two lines, and initial responses that exceed the cross-talk;
    - the exponent behind a small fresh error without flips, n |mu|^4 / (sigma^4 d) (thm-no-noise-paper).
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
    stage = _stage_one_bounds(problem, m, init_std, delta, s1, event).to_frame()
    rows += [(STAGE_ONE, row.conclusion, row.left, row.right) for row in stage.itertuples()]
    rows += [
        (STEP, "1 >= h Xi", 1.0, clock * _curvature_bound(problem, delta, event)),
        (STEP, "1 >= h (1 + c)", 1.0, clock * (1 + c)),
        (LIMIT, "Stage I exists: c (1 - 2 tau) > 1", c * (1 - 2 * flips), 1.0),
        (LIMIT, "clean patches safe: c (1 - 4 tau) > 1", c * (1 - 4 * flips), 1.0),
        (LIMIT, "initial responses above the cross-talk", init_std * unit, math.sqrt(n / d)),
        (TEST, "n |mu|^4 / (sigma^4 d) >= 1", c**2 * d / n, 1.0)]
    table = pd.DataFrame(rows, columns=["source", "requirement", "left", "right"])
    holds = table.left >= table.right
    holds[table.source == STAGE_ONE] = stage.holds.to_numpy()
    return table.assign(holds=holds).set_index(["source", "requirement"])


def _curvature_bound(problem, delta, event):
    """Bound on Xi of thm-convergence: operator norm and length of Gaussian entries by their means plus a tail.

    E ||X|| <= sqrt(n) + sqrt(d) for n rows of d normals (Vershynin 2018, theorem 7.3.1), and the norm concentrates
    (lem-gaussian-concentration).
    """
    n, d, share = problem.n, problem.d, 0.5 + event.counts / problem.n
    long = math.sqrt(n) + math.sqrt(2 * math.log(4 / delta))
    along = 0.0 if problem.orthogonal else problem.mu_norm / problem.noise_std * long / d
    return share * problem.n_snr2 + 2 * math.sqrt(share * n) * along + (1 + long / math.sqrt(d)) ** 2


def _stage_one_bounds(problem, m, init_std, delta, s1, event):
    """StageOne constants that hold for every draw in the good event; p by eq-active-share, at level delta."""
    n, unit = problem.n, problem.noise_std**2 * problem.d
    cross_talk = n * (event.inner_products + event.signal_noise) / unit
    flips = problem.flip_plus, problem.flip_minus
    shortest = math.sqrt(max(1 - event.norms, 0.0) * unit)
    ever = ndtr(s1 * cross_talk / (init_std * shortest)) if shortest else 1.0
    return StageOne(
        s1=checks.positive("s1", s1), n_snr2=problem.n_snr2, norm_error=event.norms, cross_talk=cross_talk,
        initial=max(event.signal_responses, event.noise_responses), lead=(0.5 - max(flips)) - 2 * event.counts / n,
        clean_share=(1 - min(flips)) / 2 + event.counts / n, class_share=0.5 + event.counts / n,
        active_share=min(1.0, ever + math.sqrt(math.log(n / delta) / (2 * m))))
