"""How many filters become active where the initial weights are small against the cross-talk (chapter 7): a heuristic.

The law with a share p of active filters is (3) of `helpers.theory.limit`. Here p is predicted, as a function of time.
Let kappa_0 = sigma_0 sigma d / sqrt(n) be the initial scale: the size sigma_0 sigma sqrt(d) of the initial responses
<w, xi_i> over that of the cross-talk, sqrt(n/d). Take a filter of sample i's observed label j. Until its own noise
coefficient acts, <w, xi_i> moves only because the filter learns the others: rho_k of each sample k of label j on whose
noise it is active, about r_k / p, and gamma = A along the signal. Over sqrt(n/d) this is, with independent standard
normal numbers g of the filter and X_c, X_n, G of the sample and the filter::

    kappa_0 g + M(s),   M = [(1 - tau) / (2p)]^(1/2) r_c X_c + [tau / (2p)]^(1/2) r_n X_n + c^(-1/2) A G.     (4)

The first two terms sum <xi_i, xi_k> / (sigma^2 d), of variance 1/d, over n p / 2 samples; the third is
<mu, xi_i> / |mu|^2. It is absent where the noise is orthogonal to the signal. A filter that is active on xi_i is kept
so by its own coefficient, which grows at a rate of order 1 against sqrt(n/d). So half of the filters, g > 0, are active
throughout, and one with g < 0 becomes active when M first exceeds kappa_0 |g|::

    p(s) = 1/2 + P[max_{s' <= s} M(s') > kappa_0 |g|] / 2.                                                     (5)

At first M grows in one direction, and (5) is a closed form, `_early_share`: it rises from 1/2 to 3/4. Later the parts
of M grow in other proportions, and p passes 3/4.

What makes this a heuristic: shares are put in for counts, the noise of each filter is treated as fresh, filters that
join later are treated as if they had been active in proportion, and sqrt(n/d) as small. It has no free constant, and
exact runs at d from 2000 to 2 10^8 are within 0.03 of it; nothing here is proved. Initial responses that are not small
themselves are another matter: while filters of the other label are active too, with a share q that falls from 1/2 to 0
in a time of order sigma_0 sigma sqrt(d), a sample's noise pushes its margin at the rate p + q. So the window for the
law with p = 1/2 is sqrt(n/d) << sigma_0 sigma sqrt(d) << 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import erf, ndtri
from scipy.stats import qmc

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.entry import entry
from helpers.theory.limit import LimitMargins, limit_law_slopes, limit_law_times, limit_strength_and_rate

DRAWS_LOG2, STEPS_PER_E_FOLD, ROUNDS, LARGEST_C, LARGEST_S = 12, 15, 4, 1e3, 1e6


@dataclass(frozen=True, eq=False)
class ActiveShareLaw(LimitMargins):
    """The law (3) with the predicted share (5) in the place of p, at `times`; a heuristic.

    Attributes
    ----------
    n_snr2, flip_rate, scale
        c, tau and kappa_0.
    times, signal, r_clean, r_noisy
        s, A, r_c and r_n.
    share
        p(s), the predicted share of the filters of the observed label that are active on a sample's noise.
    """

    n_snr2: float
    flip_rate: float
    scale: float
    times: Float[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]
    share: Float[np.ndarray, " T"]

    def __repr__(self) -> str:
        return f"ActiveShareLaw(n_snr2={self.n_snr2:g}, flip_rate={self.flip_rate:g}, scale={self.scale:g}, " \
               f"{len(self.times)} times)"


@entry
def active_share_scale(problem: SignalNoise, init_std: float) -> float:
    """kappa_0 = sigma_0 sigma d / sqrt(n), the initial responses over the cross-talk sqrt(n/d).

    Condition 4.1 of Han et al. (2025) wants it at most 1/C; the limit law with p = 1/2 wants it large.

    Parameters
    ----------
    problem
        the distribution of the data.
    init_std
        sigma_0 >= 0.

    Examples
    --------
    >>> from helpers import SignalNoise
    >>> from helpers.theory import active_share_scale
    >>> round(active_share_scale(SignalNoise(100, 2000, n_snr2=20.0), 1e-3), 3)
    0.2
    """
    return checks.real("init_std", init_std, 0.0) * problem.noise_std * problem.d / problem.n**0.5


@entry
def active_share_law(n_snr2: float, flip_rate: float, times: ArrayLike, *, scale: float,
                     orthogonal: bool = False) -> ActiveShareLaw:
    """The law with the share of active filters that equation (5) predicts; a heuristic.

    Parameters
    ----------
    n_snr2, flip_rate, times
        as in `limit_law`, with c at most 1000 and times at most 1e6.
    scale
        kappa_0 >= 0 (`active_share_scale`).
    orthogonal
        whether the noise is projected off the signal.

    Returns
    -------
    ActiveShareLaw
        The share is averaged over 4096 quasi-random points: to about three digits.

    Raises
    ------
    ValueError
        On anything else.

    Examples
    --------
    >>> from helpers.theory import active_share_law
    >>> [active_share_law(8.0, 0.1, [10.0], scale=scale).share.round(2) for scale in (0.0, 0.5, 100.0)]
    [array([0.8]), array([0.7]), array([0.5])]
    """
    (c, tau), times = limit_strength_and_rate(n_snr2, flip_rate), limit_law_times(times)
    checks.real("n_snr2", n_snr2, 0.0, LARGEST_C, open_low=True)
    checks.require(times[-1] <= LARGEST_S, "times", times, f"at most {LARGEST_S:g}")
    scale = checks.real("scale", scale, 0.0)
    points = ndtri(qmc.Sobol(3, seed=0).random_base2(DRAWS_LOG2))
    grid = _grid(times[-1], c, scale)
    share = np.full(len(grid), 0.5)
    for _ in range(ROUNDS):  # the share at a time depends on the past alone, so that this settles fast
        path = _responses(c, tau, grid, share)
        share = _first_passages(path, c, tau, share, scale, points * [1, 1, not orthogonal])
    at = [np.interp(np.log1p(times), np.log1p(grid), row) for row in (*path, share)]
    return ActiveShareLaw(c, tau, scale, times, *at)


def _early_share(n_snr2: float, flip_rate: float, times: ArrayLike, *, scale: float,
                 orthogonal: bool = False) -> Float[np.ndarray, " T"]:
    """The predicted share while all losses still have their first slope: 1/2 + arctan(D s / kappa_0) / (2 pi).

    D = [1 + c (1 - 2 tau)^2]^(1/2) / 4, or 1/4 for orthogonal noise. It is (5) for s small, where in (4) r_c = r_n =
    p s / 2, p = 1/2 and A = c (1 - 2 tau) s / 4. Arguments as of `active_share_law`.

    Examples
    --------
    >>> from helpers.theory.active_shares import _early_share
    >>> _early_share(20.0, 0.1, [0.0, 0.1, 1.0], scale=0.2).round(2)
    array([0.5 , 0.57, 0.72])
    """
    (c, tau), times = limit_strength_and_rate(n_snr2, flip_rate), limit_law_times(times)
    drift = math.sqrt(1 + (0 if orthogonal else c * (1 - 2 * tau)**2)) / 4
    return 0.5 + np.arctan2(drift * times, checks.real("scale", scale, 0.0)) / (2 * math.pi)


def _grid(end: float, c: float, scale: float) -> Float[np.ndarray, " G"]:
    """0 and times to `end`, equally spaced in log s, from before the first filters join."""
    first = min(1e-3, max(1e-2 * scale, 1e-8)) / (1 + c)**0.5
    if end <= first:
        return np.linspace(0.0, max(end, 1e-12), 9)
    return np.append(0.0, np.geomspace(first, end, 2 + int(STEPS_PER_E_FOLD * math.log(end / first))))


def _responses(c: float, tau: float, grid: Float[np.ndarray, " G"],
               share: Float[np.ndarray, " G"]) -> Float[np.ndarray, "3 G"]:
    """A, r_c and r_n of (3) with this share over time."""
    def slopes(x, y):
        s = math.expm1(x)
        return (1 + s) * limit_law_slopes(y, c, tau, np.interp(s, grid, share))

    x = np.log1p(grid)
    return solve_ivp(slopes, (0.0, x[-1]), np.zeros(3), t_eval=x, method="LSODA", rtol=1e-7, atol=1e-12).y


def _first_passages(path: Float[np.ndarray, "3 G"], c: float, tau: float, share: Float[np.ndarray, " G"], scale: float,
                    points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " G"]:
    """Equation (5), with g integrated out, where `points` stand for (X_c, X_n, G)."""
    signal, r_clean, r_noisy = path
    parts = np.sqrt((1 - tau) / (2 * share)) * r_clean, np.sqrt(tau / (2 * share)) * r_noisy, signal / c**0.5
    highest = np.maximum.accumulate(points @ np.stack(parts), 1).clip(0)
    passed = erf(highest / (scale * 2**0.5)) if scale > 0 else highest > 0
    return 0.5 + passed.mean(0) / 2
