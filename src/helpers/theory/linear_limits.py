"""What logistic regression on two Gaussian clouds does in the limit (chapter 16).

The expected gradient (lem-population-gradient) and the first one at n -> inf (prop-first-gradient); when all labels can
be memorised (lem-cover, thm-separability-threshold); how near a run is to the limit law (thm-linear-law). The mixture
is that of `helpers.theory.linear_theory`.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from helpers import checks
from helpers.engine.linear_mixture import MixtureDraw
from helpers.theory.limit import LimitLaw, euler_law


def population_gradient(signal: float, length: float, noise_std: float, flip_rate: float) -> tuple[float, float]:
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


def first_alignment(ratio: float, radius: float, noise_std: float, flip_rate: float) -> float:
    """Limit of the cosine of -grad L(theta_0) with v for n -> inf at p / n = ratio (prop-first-gradient).

    `radius` is ``|theta_0|``, `noise_std` sigma, and `flip_rate` the share of wrong labels.
    """
    pull, shrink = population_gradient(0.0, radius, noise_std, flip_rate)
    tanh, weights = _tanh(0.0, radius, noise_std)
    sampling = noise_std**2 * ratio * (1 + weights @ tanh**2)
    return pull / math.sqrt(pull**2 + (shrink * radius) ** 2 + sampling)


def _tanh(signal: float, length: float,
          noise_std: float) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """tanh(u) at the nodes of the quadrature, and its weights, which sum to 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    return np.tanh((signal + noise_std * length * nodes) / 2), weights / weights.sum()


def cover_probability(n: int, q: int) -> float:
    """Probability that n vectors of R^q with independent fair signs, in general position, are separable (lem-cover)."""
    return float(binom.cdf(checks.integer("q", q, 0) - 1, checks.integer("n", n) - 1, 0.5))


def separability_threshold(noise_std: float, flip_rate: float) -> float:
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

    >>> from helpers.theory import separability_threshold
    >>> [round(separability_threshold(1.0, flip_rate), 3) for flip_rate in (0.0, 0.2, 0.4)]
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


def law_of_run(draw: MixtureDraw, lr: float, steps: int) -> tuple[LimitLaw, Float[np.ndarray, " T"]]:
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
    law = euler_law(c, float(np.mean(draw.agree < 0)), h, steps)
    return law, begin + law.times / 2 * math.sqrt(c) * ((1 + math.sqrt(c)) * leak + spread)
