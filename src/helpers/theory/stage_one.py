"""Stage I with constants: when the clean samples are fitted first, and until when (chapter 4).

`stage_one_bounds` reads the constants of thm-stage-one off one draw, `likely_stage_one` bounds them before any draw.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.gram import InnerProducts
from helpers.entry import entry
from helpers.theory.concentration import ConcentrationDeviations
from helpers.theory.responses import own_responses


@dataclass(frozen=True)
class StageOne:
    """The constants of thm-stage-one for one run.

    Attributes
    ----------
    s1
        s_1 = eta sigma^2 d T_1 / (n m), the time until which they hold.
    n_snr2
        c = n SNR^2.
    norm_error
        eps_1, the largest ``| |xi_i|^2 / (sigma^2 d) - 1 |``.
    cross_talk
        eps_x, the largest ``[sum_{k != i} |<xi_k, xi_i>| + n |<mu, xi_i>|] / (sigma^2 d)``.
    initial
        beta, the largest ``|<w(0), mu>|`` or ``|<w(0), xi_i>|``.
    lead
        Delta, the smaller over the two classes of (clean - noisy samples) / n.
    clean_share
        nu, the larger over the classes of clean samples / n.
    class_share
        omega, the larger over the classes of samples / n.
    active_share
        p, the largest share of filters with j = y_obs_i and <w(0), xi_i> >= -s_1 eps_x: no other filter can become
        active on xi_i until s_1.
    """

    s1: float
    n_snr2: float
    norm_error: float
    cross_talk: float
    initial: float
    lead: float
    clean_share: float
    class_share: float
    active_share: float

    @property
    def margin_bound(self) -> float:
        """M_1, a bound on every ``|f|`` until s_1; every loss derivative then stays within M_1 / 4 of -1/2."""
        growth = self.n_snr2 * self.clean_share + 1 + self.norm_error + 2 * self.cross_talk
        return self.s1 * growth + 2 * self.initial

    def signal_rate(self) -> float:
        """Lower bound of 2 gamma / s_1 for every filter."""
        return self.n_snr2 * (self.lead - self.class_share * self.margin_bound / 2)

    def noise_rate(self) -> float:
        """Upper bound of 2 rho / s_1 for every filter and sample."""
        return (1 + self.norm_error) * (1 + self.margin_bound / 2)

    def least_noise_rate(self) -> float:
        """Lower bound of rho / s_1 where j = y_obs_i and the filter starts and stays active; 0 where there is none."""
        return max(1 - self.norm_error, 0) * max(0.5 - self.margin_bound / 4, 0)

    def error_rate(self) -> float:
        """Upper bound of 2 / s_1 times what initial weights and cross-talk can do to a margin."""
        return 6 * (self.initial / self.s1 + self.cross_talk)

    def to_frame(self) -> pd.DataFrame:
        """Each hypothesis as a row: the ``conclusion`` it gives, ``left``, which must exceed ``right``, and ``holds``.

        No hypothesis holds unless each class has more clean than noisy samples.
        """
        signal, noise, error = self.signal_rate(), self.noise_rate(), self.error_rate()
        rows = [("clean samples fitted", signal, error),
                ("noisy samples given their true label", signal, self.active_share * noise + error),
                ("gamma ahead of every rho", signal, noise),
                ("active filters stay active", self.least_noise_rate(), self.cross_talk)]
        frame = pd.DataFrame(rows, columns=["conclusion", "left", "right"])
        return frame.assign(holds=(frame["left"] > frame["right"]) & (self.lead > 0))


@entry
def stage_one_bounds(problem: SignalNoise, products: InnerProducts, s1: float) -> StageOne:
    """The StageOne constants of one draw, before any training (thm-stage-one).

    Parameters
    ----------
    problem
        the distribution behind the draw, for sigma^2 d; c is read off the products.
    products
        inner products of the draw, for its own seed, m and init_std.
    s1
        the time until which the theorem is asked to hold, > 0, in units of n m / (eta sigma^2 d) steps.

    Examples
    --------
    At a billion dimensions all hypotheses of the theorem hold until s = 0.02:

    >>> from helpers import SignalNoise
    >>> from helpers.engine import inner_products
    >>> from helpers.theory import stage_one_bounds
    >>> problem = SignalNoise(200, 10**9, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    >>> bounds = stage_one_bounds(problem, inner_products(problem, 20, 1e-9, 0), 0.02)
    >>> bounds.to_frame().holds.to_list()
    [True, True, True, True]
    """
    s1 = checks.positive("s1", s1)
    of_problem(products, problem)
    unit, n = problem.noise_std**2 * problem.d, problem.n
    gram = products.gram.numpy() / unit
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    noise, along = gram[1:, 1:], np.abs(gram[0, 1:])
    squares = np.diag(noise)
    cross_talk = float((np.abs(noise).sum(1) - squares + n * along).max())
    shares = [np.mean(y == side) for side in (1, -1)]
    clean = [np.mean((y == side) & (y_obs == y)) for side in (1, -1)]
    return StageOne(
        s1=s1, n_snr2=n * float(gram[0, 0]), norm_error=float(np.abs(squares - 1).max()), cross_talk=cross_talk,
        initial=float(np.abs(products.responses.numpy()).max()),
        lead=float(min(2 * c - s for c, s in zip(clean, shares))),
        clean_share=float(max(clean)), class_share=float(max(shares)),
        active_share=float((own_responses(products) >= -s1 * cross_talk).mean(0).max()))


def of_problem(products: InnerProducts, problem: SignalNoise) -> None:
    """Raise a ValueError unless `products` are of as many samples as `problem` has."""
    n = len(products.y)
    checks.require(n == problem.n, "products", f"<of {n} samples>", f"of the problem's {problem.n} samples")


def likely_stage_one(problem: SignalNoise, m: int, init_std: float, event: ConcentrationDeviations, *, delta: float,
                     s1: float) -> StageOne:
    """StageOne constants that hold for every draw in the good event, with p bounded by eq-active-share.

    Parameters
    ----------
    problem, m, init_std
        the distribution, filters of each sign, and sigma_0.
    event
        the bounds of the good event, from `good_event`.
    delta
        the probability at which the bound on p may fail.
    s1
        as in `stage_one_bounds`.
    """
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
