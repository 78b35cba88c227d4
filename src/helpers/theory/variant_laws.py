"""What theory says about the variants of chapter 12 with two classes: limit laws, growth rates and thresholds.

An idealised draw has orthogonal vectors, noise patches of one length, classes and flips in exact proportion, and
initial responses that vanish. Time is s = h t with h = eta sigma^2 d / (n m), strength ``c = n |mu|^2 / (sigma^2 d)``,
and g(z) = 1 / (1 + e^z); see `helpers.theory.limit` for the law that these modify.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import expit

from helpers import checks
from helpers.entry import entry
from helpers.streams import random_stream
from helpers.theory.limit import LimitLaw, limit_law, limit_law_times

LARGEST_STRENGTH = 1e3  # of a signal: beyond, explicit steps become too many


@entry
def leaky_relu_threshold(leak: float) -> float:
    """The value of c (1 - 2 tau) above which noisy samples are first given their true label (prop-leaky).

    It is 2 (1 + leak^2) / (1 + leak)^2 for a slope `leak` in (0, 1] on negative inputs, and 1 for relu, leak = 0, where
    half of the filters sleep.
    """
    leak = checks.real("leak", leak, 0.0, 1.0)
    return 2 * (1 + leak**2) / (1 + leak) ** 2 if leak else 1.0


@entry
def leaky_relu_law(n_snr2: float, flip_rate: float, leak: float, times: ArrayLike) -> LimitLaw:
    """The limit law of leaky relu with slope `leak` in (0, 1] (prop-leaky); else as `limit_law`.

    It is relu's with c / leaky_relu_threshold in the place of c and 2 (1 + leak^2) s in that of s; the ``n_snr2`` and
    the ``times`` of the result are those.
    """
    leak = checks.real("leak", leak, 0.0, 1.0, open_low=True)
    n_snr2 = checks.positive("n_snr2", n_snr2)
    return limit_law(n_snr2 / leaky_relu_threshold(leak), flip_rate, 2 * (1 + leak**2) * np.asarray(times, float))


class PatchVariantLaw(NamedTuple):
    """The law of flips that fall on one kind of samples only, beside a recurring patch a nu with a = -1 or +1.

    Attributes
    ----------
    signal, recurring
        responses to the signal and to the recurring patch.
    r_agreeing
        noise response of samples with a = y, whose labels are right.
    r_opposed, r_noisy
        the same of samples with a = -y, with a right and with a flipped label.
    """

    signal: Float[np.ndarray, " T"]
    recurring: Float[np.ndarray, " T"]
    r_agreeing: Float[np.ndarray, " T"]
    r_opposed: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]

    @property
    def noisy_margin(self) -> Float[np.ndarray, " T"]:
        """Margin of samples with a = -y whose label was flipped, so that a = y_obs."""
        return self.recurring - self.signal + self.r_noisy


@entry
def patch_variant_law(n_snr2: float, strength: float, flip_rate: float, times: ArrayLike) -> PatchVariantLaw:
    """The limit law where flips fall on samples with a = -y only, with probability 2 tau (prop-patch-flips).

    Three kinds of samples: a = y (share 1/2, clean), a = -y clean (1/2 - tau), a = -y flipped (tau).

    Parameters
    ----------
    n_snr2
        c, the strength of the signal.
    strength
        ``n |nu|^2 / (sigma^2 d)``, the same of the recurring patch a nu.
    flip_rate
        tau, the share of all labels that are wrong.
    times
        increasing, from 0 or later, in units of n m / (eta sigma^2 d) steps.

    Examples
    --------
    Beside a strong recurring patch, noisy samples are given their wrong label from the start:

    >>> from helpers.theory import patch_variant_law
    >>> laws = [patch_variant_law(4.0, strength, 0.2, [0.0, 1.0]) for strength in (0.1, 8.0)]
    >>> [round(float(law.noisy_margin[-1]), 2) for law in laws]
    [-0.18, 0.27]
    """
    c = checks.real("n_snr2", n_snr2, 0.0, LARGEST_STRENGTH, open_low=True)
    c_nu = checks.real("strength", strength, 0.0, LARGEST_STRENGTH)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)

    def slopes(_, state):
        signal, recurring, agreeing, opposed, noisy = state
        g_agreeing = expit(-(signal + recurring + agreeing))
        g_opposed, g_noisy = expit(-(signal - recurring + opposed)), expit(-(recurring - signal + noisy))
        clean, rest = g_agreeing / 2, (0.5 - tau) * g_opposed - tau * g_noisy
        return c / 2 * (clean + rest), c_nu / 2 * (clean - rest), g_agreeing / 2, g_opposed / 2, g_noisy / 2

    return PatchVariantLaw(*integrate_variant_law(slopes, 5, times))


def integrate_variant_law(slopes: Callable[[float, np.ndarray], tuple], size: int, times: ArrayLike, *,
                          method: str = "RK45") -> Float[np.ndarray, "size T"]:
    """The path at `times` of `size` numbers that are 0 at s = 0 and have these `slopes` of (s, state)."""
    times = limit_law_times(times)
    solution = solve_ivp(slopes, (0.0, times[-1]), np.zeros(size), method, t_eval=times, rtol=1e-9, atol=1e-12)
    return solution.y


@entry
def squared_relu_passage(rate: float, start: float, level: float, h: float) -> float:
    """Time s at which start^2 / 2 (1 + h rate)^(2 s / h) reaches `level` (prop-squared).

    That is the mean over filters of relu(z)^2 when half of the z are positive, have mean square start^2 and grow by the
    factor 1 + h rate in each step.
    """
    rate, start = checks.positive("rate", rate), checks.positive("start", start)
    level, h = checks.positive("level", level), checks.positive("h", h)
    return np.log(np.sqrt(2 * level) / start) * h / np.log1p(h * rate)


@entry
def squared_relu_threshold(n: int, flip_rate: float, start: float, level: float, *, h: float = 0.0) -> float:
    """The c (1 - 2 tau) above which a squared relu lifts the signal to `level` before the noise (prop-squared).

    For h = 0 it solves c (1 - 2 tau) = 2 + log(n / c) / log(sqrt(2 level) / start). Found by iteration.

    Parameters
    ----------
    n, flip_rate
        number of samples, and tau.
    start
        sigma_0 sigma sqrt(d), typical initial response to a noise patch; to the signal it is sqrt(c / n) of it.
    level
        the response at which the race ends.
    h
        the step in s; 0 for gradient flow.
    """
    n, tau = checks.integer("n", n), checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    start, level = checks.positive("start", start), checks.positive("level", level)
    h, flip_rate = checks.real("h", h, 0.0), tau
    checks.require(math.sqrt(2 * level) > start, "level", level, f"above start^2 / 2 = {start**2 / 2:g}")
    lead, logarithm = 2.0, np.log(np.sqrt(2 * level) / start)
    for _ in range(100):
        ratio = 1 + np.log(n * (1 - 2 * flip_rate) / lead) / (2 * logarithm)  # of the logarithmic growth rates
        lead = 2 * (np.expm1(ratio * np.log1p(h)) / h if h else ratio)
    return float(lead)


@entry
def squared_relu_drift(h: float, flip_rate: float, *, steps: int = 3000, samples: int = 500, seed: int = 0) -> float:
    """D, the mean of (1 - p) g(r) - p g(-r) in the stationary state of a squared relu's noise response r.

    Each step multiplies r by (1 + 2 h g(r))^2, or with probability p, the step's flip, by (1 - 2 h g(-r))^2: the
    response of an idealised draw before the signal matters (prop-label-noise). As the mean of log r stands still, D is
    also the mean of [(1 - p) psi(2 h g(r)) + p psi(-2 h g(-r))] / (2 h) with psi(x) = x - log(1 + x), which scatters
    less; that is averaged over the second half of a simulation.

    Parameters
    ----------
    h, flip_rate
        the step in (0, 1/2), and p in (0, 1/2).
    steps, samples, seed
        length of the simulation, number of independent responses, and seed of its random stream.
    """
    h = checks.real("h", h, 0.0, 0.5, open_low=True, open_high=True)
    p = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    steps, samples = checks.integer("steps", steps, 2, 10**7), checks.integer("samples", samples, 1, 10**7)
    rng, response, drift = random_stream(seed, "label-noise chain"), np.full(samples, np.log(1 / p - 1)), 0.0
    for step in range(steps):
        up, down = 2 * h * expit(-response), -2 * h * expit(response)
        if step >= steps // 2:
            drift += ((1 - p) * (up - np.log1p(up)) + p * (down - np.log1p(down))).mean() / (steps - steps // 2)
        response = response * (1 + np.where(rng.random(samples) < p, down, up)) ** 2
    return drift / (2 * h)
