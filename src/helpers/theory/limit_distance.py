"""How far gradient descent is from the limit law: the bounds of thm-limit-law (chapter 7).

On an idealised draw (`orthogonal_products`) gradient descent is the Euler scheme of the law. A real draw departs from
one in five ways, whose sizes `distance_from_limit` reads off: initial responses, cross-talk, norms, active shares,
counts. `orthogonalise_products` takes the cross-talk and the norms away and leaves the rest as drawn.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.gram import InnerProducts
from helpers.entry import entry
from helpers.theory.limit import LimitLaw
from helpers.theory.responses import own_responses
from helpers.theory.stage_one import stage_one_bounds


@dataclass(frozen=True)
class DistanceFromLimit:
    """What separates one draw from the limit law until the time s1, and the bounds of thm-limit-law.

    Attributes
    ----------
    s1
        the time until which they hold.
    n_snr2
        c = n SNR^2.
    initial, cross_talk, norm_error
        beta, eps_x, eps_1 of thm-stage-one, as in `StageOne`.
    share_error
        eps_a, how far the share of the filters with j = y_obs_i that are active on xi_i can be from 1/2.
    count_error
        eps_n, the larger over the classes of ``|clean / n - (1 - tau) / 2| + |noisy / n - tau / 2|``.
    """

    s1: float
    n_snr2: float
    initial: float
    cross_talk: float
    norm_error: float
    share_error: float
    count_error: float

    @property
    def response_error(self) -> float:
        """eps_0 = beta + s1 eps_x."""
        return self.initial + self.s1 * self.cross_talk

    @property
    def noise_drive(self) -> float:
        """eps_r = eps_a + (1/2 + eps_a) eps_1 + eps_0 / 2: error of a noise response's growth."""
        return self.share_error + (0.5 + self.share_error) * self.norm_error + self.response_error / 2

    @property
    def signal_drive(self) -> float:
        """eps_A = eps_n + (1/2 + eps_n) eps_0: error of the signal response's growth, over c."""
        return self.count_error + (0.5 + self.count_error) * self.response_error

    @entry
    def signal_bound(self, times: ArrayLike, s0: float, h: float) -> Float[np.ndarray, "..."] | float:
        """Gamma, a bound on every ``|gamma - A|`` at these times if all filters have turned by s0, for steps of size h.
        """
        times = np.asarray(times)
        checks.require(bool((times >= 0).all()), "times", times, "0 or more")
        s0, h = checks.real("s0", s0, 0.0), checks.real("h", h, 0.0)
        c, half = self.n_snr2, 0.5 + self.count_error
        early = (s0 - h) * (c * half + (1 + self.norm_error) * (0.5 + self.share_error)) + 4 * self.response_error
        rate = c * self.signal_drive + (2 * half * c) ** 0.5 * self.noise_drive
        return 2 * np.minimum(times, s0) * c * (self.count_error + early / 4) + rate * np.asarray(times)

    @entry
    def margin_bound(self, times: ArrayLike, s0: float, h: float) -> Float[np.ndarray, "..."] | float:
        """Q = 2 Gamma + s eps_r + 4 eps_0, a bound on every ``|margin - Euler scheme|``; arguments as above."""
        signal = self.signal_bound(times, s0, h)
        return 2 * signal + np.asarray(times) * self.noise_drive + 4 * self.response_error

    @entry
    def turned_by(self, law: LimitLaw) -> float | None:
        """The least s0 with which the theorem's hypotheses hold along the Euler scheme `law`; None if there is none."""
        checks.require(len(law.times) >= 2, "law", law, "one with two times or more")
        h, times = law.times[1], law.times[1:]
        if h * (1 + self.n_snr2 * (1 + 2 * self.count_error)) > 8:
            return None
        for k, s0 in enumerate(times):
            spare = law.signal[1:] - self.signal_bound(times, s0, h)
            if (spare >= 0).all() and (spare[k:] > self.response_error).all():
                return float(s0)
        return None


@entry
def distance_from_limit(problem: SignalNoise, products: InnerProducts, flip_rate: float,
                        s1: float) -> DistanceFromLimit:
    """What separates one draw from the limit law with this flip rate (thm-limit-law).

    Parameters
    ----------
    problem
        the distribution behind the draw, for sigma^2 d.
    products
        the inner products of the draw.
    flip_rate
        tau of the law.
    s1
        the time until which the errors are asked to hold, in units of n m / (eta sigma^2 d) steps.
    """
    flip_rate = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    base = stage_one_bounds(problem, products, s1)
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    own, reach = own_responses(products), s1 * base.cross_talk
    shares = np.stack([(own > reach).mean(0), (own >= -reach).mean(0)])
    pairs = [(np.mean((y == side) & (y_obs == y)) - (1 - flip_rate) / 2,
              np.mean((y == side) & (y_obs != y)) - flip_rate / 2) for side in (1, -1)]
    return DistanceFromLimit(s1, base.n_snr2, base.initial, base.cross_talk, base.norm_error,
                             float(np.abs(shares - 0.5).max()), float(np.abs(pairs).sum(1).max()))


@entry
def euler_distance_from_limit(n_snr2: float, h: float, times: ArrayLike) -> Float[np.ndarray, "..."] | float:
    """Bound on ``|Euler scheme - law|`` for both margins, A, r_c and r_n: s h (1 + c)^2 / 16, where h (1 + c) <= 8.

    `n_snr2` is c, h the step, and `times` are those of the law.
    """
    c, h = checks.positive("n_snr2", n_snr2), checks.positive("h", h)
    checks.require(h * (1 + c) <= 8, "h", h, f"at most 8 / (1 + c) = {8 / (1 + c):g}")
    times = np.asarray(times, float)
    checks.require(bool((times >= 0).all()), "times", times, "0 or more")
    return times * h * (1 + c) ** 2 / 16
