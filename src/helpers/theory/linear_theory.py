"""Early learning of logistic regression on two Gaussian clouds: thm-early-linear as numbers (chapter 16).

Its constants are measured on a draw, bounded with high probability (lem-mixture-constants) or taken in the limit
n, p -> inf (cor-early-linear). Further the expected gradient (lem-population-gradient) and the first one at n -> inf
(prop-first-gradient); when all labels can be memorised (lem-cover, thm-separability-threshold); how near a run is to
the limit law (thm-linear-law). A sample is x = y v + sigma z in R^p; a share ``flip_rate`` of the labels is wrong.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.linear_mixture import MixtureDraw
from helpers.entry import entry
from helpers.theory.limit import LimitLaw, limit_law_euler

HALF_NORMAL = math.sqrt(2 / math.pi)  # the mean of |Z|, Z standard normal
STEEPEST, CURVED = 32 / 27, 5 / 8  # bounds on |psi'| and |psi''|, psi(m) = 4 / (1 + e^m)^2
EVENTS = 13  # statements of lem-mixture-constants, each failing with probability at most delta / 13


@dataclass(frozen=True)
class LinearConstants:
    """The constants of thm-early-linear.

    Attributes
    ----------
    flip_rate
        share of noisy samples.
    spread
        spectral norm of the noise matrix sigma Z, over the root of the number of its rows.
    spread_clean, spread_noisy
        the same of its clean and of its noisy rows.
    label_noise
        ``|mean of y_obs <x, v> - (1 - 2 flip_rate)|``, which is that of y_obs sigma <z, v>.
    signal_rms
        root mean square of <x, v>.
    start, radius, noise_std
        ``|<theta_0, v>|``, ``|theta_0|`` and sigma.
    start_noise, along_noise
        pairs (clean, noisy) of means of ``sigma |<theta_0, z>|`` and of ``sigma |<v, z>|``.
    far_start
        share of the noisy samples with ``sigma |<theta_0, z>| >= target / 3``.
    far_along
        share of the noisy samples with ``sigma |<v, z>| >= 1 / (3 (1 + start / target))``.
    target
        omega, the level of <theta, v> that ends the early phase.
    """

    flip_rate: float
    spread: float
    spread_clean: float
    spread_noisy: float
    label_noise: float
    signal_rms: float
    start: float
    radius: float
    noise_std: float
    start_noise: tuple[float, float]
    along_noise: tuple[float, float]
    far_start: float
    far_along: float
    target: float


@entry
def measured_linear_constants(draw: MixtureDraw, *, target: float = 0.1) -> LinearConstants:
    """The LinearConstants of a draw, exactly. It must have clean and noisy samples."""
    draw, target = checks.instance("draw", draw, MixtureDraw), checks.positive("target", target)
    noise, noisy = draw.noise, draw.agree < 0
    checks.require(0 < noisy.sum() < len(noisy), "draw.y_obs", "<labels>", "with clean and noisy samples")

    def spread(rows):
        return float(np.linalg.norm(rows, 2)) / math.sqrt(len(rows))

    groups, along, start = (~noisy, noisy), np.abs(noise[:, 0]), abs(float(draw.start[0]))
    from_start = np.abs(noise @ draw.start)
    return LinearConstants(
        flip_rate=float(noisy.mean()), spread=spread(noise), spread_clean=spread(noise[~noisy]),
        spread_noisy=spread(noise[noisy]), label_noise=abs(float(np.mean(draw.y_obs * noise[:, 0]))),
        signal_rms=math.sqrt(np.mean(draw.x[:, 0] ** 2)), start=start,
        radius=math.hypot(np.linalg.norm(draw.start), draw.outside), noise_std=draw.noise_std,
        start_noise=tuple(float(from_start[group].mean()) for group in groups),
        along_noise=tuple(float(along[group].mean()) for group in groups),
        far_start=float(np.mean(from_start[noisy] >= target / 3)),
        far_along=float(np.mean(along[noisy] >= 1 / (3 * (1 + start / target)))), target=target)


@entry
def likely_linear_constants(problem: SignalNoise, radius: float, delta: float, *,
                            target: float = 0.1) -> LinearConstants:
    """Upper bounds on the LinearConstants that hold together with probability >= 1 - delta (lem-mixture-constants).

    Parameters
    ----------
    problem
        the mixture, with equal flip rates, as `helpers.engine.mixture_problem` makes it.
    radius, target
        ``|theta_0|``, and omega as in `LinearConstants`.
    delta
        the probability at which they may fail.
    """
    radius, target = checks.real("radius", radius, 0.0), checks.positive("target", target)
    checks.require(problem.flip_plus == problem.flip_minus, "problem.flip_minus", problem.flip_minus, "flip_plus")
    n, p, sigma, tau = problem.n, problem.d, problem.noise_std, problem.flip_plus
    x = math.log(2 * EVENTS / checks.real("delta", delta, 0.0, 1.0, open_low=True, open_high=True))
    off = math.sqrt(x / (2 * n))  # lem-hoeffding
    fewest = np.array([n * (1 - tau - off), n * (tau - off)])  # clean, noisy
    checks.require(fewest.min() >= 1, "problem.n", n, "so large that wrong labels are certain at this delta")

    def spread(rows):
        return sigma * (1 + math.sqrt(p / rows) + math.sqrt(2 * x / rows))

    half_normal = HALF_NORMAL + np.sqrt(2 * x / fewest)  # lem-gaussian-concentration
    start = radius * math.sqrt(2 * x / p)
    limit = linear_limit_constants(p / n, sigma, tau, radius, target=target, start=start)
    return LinearConstants(
        flip_rate=tau, spread=spread(n), spread_clean=spread(fewest[0]), spread_noisy=spread(fewest[1]),
        label_noise=sigma * math.sqrt(2 * x / n) + 2 * off, start=start, radius=radius, noise_std=sigma, target=target,
        signal_rms=1 + sigma * math.sqrt(1 + 2 * math.sqrt(x / n) + 2 * x / n),  # lem-chi-square
        start_noise=tuple(sigma * radius * half_normal), along_noise=tuple(sigma * half_normal),
        far_start=limit.far_start + math.sqrt(x / (2 * fewest[1])),
        far_along=limit.far_along + math.sqrt(x / (2 * fewest[1])))


@entry
def linear_limit_constants(ratio: float, noise_std: float, flip_rate: float, radius: float, *, target: float = 0.1,
                           start: float = 0.0) -> LinearConstants:
    """What the LinearConstants tend to for n -> inf at p / n = ratio (cor-early-linear).

    Parameters
    ----------
    ratio
        p / n > 0.
    noise_std, flip_rate, radius, target
        as in `LinearConstants`; flip_rate in (0, 1/2).
    start
        the limit of ``|<theta_0, v>|``.
    """
    ratio, sigma = checks.positive("ratio", ratio), checks.positive("noise_std", noise_std)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    radius, target = checks.real("radius", radius, 0.0), checks.positive("target", target)
    start = checks.real("start", start, 0.0)

    def spread(share):
        return sigma * (1 + math.sqrt(ratio / share))

    return LinearConstants(
        flip_rate=tau, spread=spread(1), spread_clean=spread(1 - tau), spread_noisy=spread(tau), label_noise=0.0,
        signal_rms=math.hypot(1, sigma), start=start, radius=radius, noise_std=sigma,
        start_noise=(sigma * radius * HALF_NORMAL,) * 2, along_noise=(sigma * HALF_NORMAL,) * 2,
        far_start=2 * norm.sf(target / (3 * sigma * radius)) if radius else 0.0,
        far_along=2 * norm.sf(1 / (3 * sigma * (1 + start / target))), target=target)


@dataclass(frozen=True)
class LinearEarlyLearning:
    """What thm-early-linear says; all but ``holds`` is NaN where its hypothesis fails.

    Attributes
    ----------
    holds
        whether the theorem applies.
    slowest, fastest
        G and G+, bounds on -2 <grad L, v>.
    tangent, alignment
        q, and the bound on the cosine of theta_T with v.
    first, last
        bounds on T, times the step size (add 1 to ``last`` over the step size).
    fresh
        bound on the accuracy of theta_T on fresh samples.
    read_truly
        bound on the share of noisy samples that theta_T reads by their true label.
    fall, rise
        bounds on the changes of the mean squared coefficients, of clean and of noisy samples, when the component along
        v has come from start to target.
    """

    holds: bool
    slowest: float = math.nan
    fastest: float = math.nan
    tangent: float = math.nan
    alignment: float = math.nan
    first: float = math.nan
    last: float = math.nan
    fresh: float = math.nan
    read_truly: float = math.nan
    fall: float = math.nan
    rise: float = math.nan


@entry
def linear_early_learning(constants: LinearConstants) -> LinearEarlyLearning:
    """What thm-early-linear says with these constants, at the smallest travel D that satisfies its hypothesis.

    Examples
    --------
    With many samples per dimension and a fifth of the labels wrong, theta_T is almost along v (its cosine with v comes
    second) and reads nearly all noisy samples by their true label:

    >>> from helpers.theory import linear_early_learning, linear_limit_constants
    >>> found = linear_early_learning(linear_limit_constants(0.01, 0.1, 0.2, 0.0))
    >>> found.holds, round(found.alignment, 3), round(float(found.read_truly), 3)
    (True, 0.978, 0.993)
    """
    k = checks.instance("constants", constants, LinearConstants)
    reach = k.target + k.start
    travel, before = reach, 0.0
    while travel - before > 1e-12 * travel:  # increases to the smallest solution, if there is one
        margin = k.target + k.spread * (k.radius + travel)
        slowest = 1 - 2 * k.flip_rate - k.label_noise - k.signal_rms * margin / 2
        if slowest <= 0 or k.start >= k.target:
            return LinearEarlyLearning(False)
        tangent = k.spread * (1 + margin / 2) / slowest
        travel, before = reach * math.hypot(1, tangent), travel
    fastest = 1 - 2 * k.flip_rate + k.label_noise + k.signal_rms * margin / 2
    lost = k.far_start + k.far_along + (3 * k.spread_noisy * tangent * (1 + k.start / k.target)) ** 2
    change = [_least_change(k.target - k.start, k.start + start, along, spread * tangent) for start, along, spread
              in zip(k.start_noise, k.along_noise, (k.spread_clean, k.spread_noisy))]
    return LinearEarlyLearning(
        True, slowest, fastest, tangent, 1 / math.hypot(1, tangent), 2 * (k.target - k.start) / fastest,
        2 * reach / slowest, norm.cdf(k.target / (k.noise_std * (k.radius + travel))), 1 - lost, *change)


def _least_change(gain: float, start: float, along: float, across: float) -> float:
    """Claim 5 of thm-early-linear: a (1 - 5/8 start - 5/16 a - 32/27 (along + across)) for the gain a of <theta, v>."""
    return gain * (1 - CURVED * start - CURVED / 2 * gain - STEEPEST * (along + across))


def _population_gradient(signal: float, length: float, noise_std: float, flip_rate: float) -> tuple[float, float]:
    """The two numbers with -2 E grad L(theta) = pull v - shrink theta (lem-population-gradient).

    pull = 1 - 2 flip_rate - E tanh(u) and shrink = sigma^2 / 2 E sech^2(u) with u = (signal + sigma length Z) / 2;
    expectations by Gauss-Hermite quadrature with 100 nodes.

    Parameters
    ----------
    signal, length
        <theta, v> and ``|theta|``.
    noise_std, flip_rate
        sigma and the share of wrong labels.

    Returns
    -------
    tuple
        pull and shrink.
    """
    tanh, weights = _tanh(signal, length, noise_std)
    return 1 - 2 * flip_rate - weights @ tanh, noise_std**2 / 2 * (weights @ (1 - tanh**2))


@entry
def linear_first_alignment(ratio: float, radius: float, noise_std: float, flip_rate: float) -> float:
    """Limit of the cosine of -grad L(theta_0) with v for n -> inf at p / n = ratio (prop-first-gradient).

    `radius` is ``|theta_0|``, `noise_std` sigma, and `flip_rate` the share of wrong labels.
    """
    ratio, noise_std = checks.positive("ratio", ratio), checks.positive("noise_std", noise_std)
    radius = checks.real("radius", radius, 0.0)
    flip_rate = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    pull, shrink = _population_gradient(0.0, radius, noise_std, flip_rate)
    tanh, weights = _tanh(0.0, radius, noise_std)
    sampling = noise_std**2 * ratio * (1 + weights @ tanh**2)
    return pull / math.sqrt(pull**2 + (shrink * radius) ** 2 + sampling)


def _tanh(signal: float, length: float,
          noise_std: float) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """tanh(u) at the nodes of the quadrature, and its weights, which sum to 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    return np.tanh((signal + noise_std * length * nodes) / 2), weights / weights.sum()


@entry
def linear_cover_probability(n: int, q: int) -> float:
    """Probability that n vectors of R^q with independent fair signs, in general position, are separable (lem-cover)."""
    return float(binom.cdf(checks.integer("q", q, 0) - 1, checks.integer("n", n) - 1, 0.5))


@entry
def linear_separability_threshold(noise_std: float, flip_rate: float) -> float:
    """h in (0, 1/2): for n -> inf all observed labels can be memorised if p/n > h, and not if p/n < h.

    It is the minimum over a of E (Z - a U)_+^2 with U = +-1 + sigma Z' (thm-separability-threshold).

    Parameters
    ----------
    noise_std
        sigma > 0.
    flip_rate
        the share of wrong labels, in [0, 1/2).

    Examples
    --------
    Wrong labels need more dimensions per sample; labels that are pure noise would need one half:

    >>> from helpers.theory import linear_separability_threshold
    >>> [round(linear_separability_threshold(1.0, flip_rate), 3) for flip_rate in (0.0, 0.2, 0.4)]
    [0.27, 0.437, 0.494]
    """
    sigma = checks.positive("noise_std", noise_std)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)

    def shortfall(a):
        scale = math.hypot(1, a * sigma)
        m = np.array([-a, a]) / scale  # clean, noisy
        return scale**2 * ([1 - tau, tau] @ ((1 + m**2) * norm.cdf(m) + m * norm.pdf(m)))

    return float(minimize_scalar(shortfall, bounds=(0, 10 / math.sqrt(sigma)), method="bounded",
                                 options={"xatol": 1e-9}).fun)


@entry
def linear_law_of_run(draw: MixtureDraw, lr: float, steps: int) -> tuple[LimitLaw, Float[np.ndarray, " T"]]:
    """The Euler scheme of the limit law that thm-linear-law compares a run with, and its bound Psi.

    c = n / (sigma^2 p), the flip rate is the share of wrong labels drawn, the step h = 2 lr / c; Psi bounds the
    distance of <theta, v> from the law's signal.

    Parameters
    ----------
    draw
        the training set and the start.
    lr, steps
        the step size of gradient descent, and the number of steps.

    Raises
    ------
    ValueError
        For lr > 8 c / (1 + c), and for a share of wrong labels of 1/2 or more.
    """
    n, sigma, p = len(draw.y), draw.noise_std, draw.p
    c = n / (sigma**2 * p)
    h = 2 * checks.positive("lr", lr) / c
    checks.require(h * (1 + c) <= 16, "lr", lr, "<= 8 c / (1 + c), c = n / (sigma^2 p)")
    noise = draw.noise / sigma
    across = noise @ noise.T / p - np.eye(n)
    spread, leak = np.linalg.norm(across, 2), np.linalg.norm(noise[:, 0]) / math.sqrt(p)
    begin = math.hypot(draw.start[0], math.sqrt(c * np.mean((draw.noise @ draw.start) ** 2)))
    law = limit_law_euler(c, float(np.mean(draw.agree < 0)), h, steps)
    return law, begin + law.times / 2 * math.sqrt(c) * ((1 + math.sqrt(c)) * leak + spread)
