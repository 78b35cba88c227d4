"""Stage I with constants: when the clean samples are fitted first, and until when (chapter 3)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers import checks


@dataclass(frozen=True)
class StageOne:
    """The constants of the Stage I theorem (chapter 3) for one run, up to the time s_1 = eta sigma^2 d T_1 / (n m).

    n_snr2 : c = n SNR^2.
    norm_error : eps_1, the largest | |xi_i|^2 / (sigma^2 d) - 1 |.
    cross_talk : eps_x, the largest [sum_{k != i} |<xi_k, xi_i>| + n |<mu, xi_i>|] / (sigma^2 d).
    initial : beta, the largest |<w(0), mu>| or |<w(0), xi_i>|.
    lead : Delta, the smaller over the two classes of (clean - noisy samples) / n.
    clean_share, class_share : nu and omega, the larger over the classes of clean samples / n and of all samples / n.
    active_share : p, the largest share of filters with j = y_obs_i and <w(0), xi_i> >= -s_1 eps_x: no other can become
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
    def margin_bound(self):
        """M_1, a bound on every |f| until s_1; every loss derivative then stays within M_1 / 4 of -1/2."""
        growth = self.n_snr2 * self.clean_share + 1 + self.norm_error + 2 * self.cross_talk
        return self.s1 * growth + 2 * self.initial

    def signal_rate(self):
        """Lower bound of 2 gamma / s_1 for every filter."""
        return self.n_snr2 * (self.lead - self.class_share * self.margin_bound / 2)

    def noise_rate(self):
        """Upper bound of 2 rho / s_1 for every filter and sample."""
        return (1 + self.norm_error) * (1 + self.margin_bound / 2)

    def least_noise_rate(self):
        """Lower bound of rho / s_1 where j = y_obs_i and the filter starts and stays active; 0 where there is none."""
        return max(1 - self.norm_error, 0) * max(0.5 - self.margin_bound / 4, 0)

    def error_rate(self):
        """Upper bound of 2 / s_1 times what initial weights and cross-talk can do to a margin."""
        return 6 * (self.initial / self.s1 + self.cross_talk)

    def to_frame(self):
        """Both sides of each hypothesis (left must exceed right), and what it gives."""
        signal, noise, error = self.signal_rate(), self.noise_rate(), self.error_rate()
        rows = [("clean samples fitted", signal, error),
                ("noisy samples given their true label", signal, self.active_share * noise + error),
                ("gamma ahead of every rho", signal, noise),
                ("active filters stay active", self.least_noise_rate(), self.cross_talk)]
        frame = pd.DataFrame(rows, columns=["conclusion", "left", "right"])
        return frame.assign(holds=(frame["left"] > frame["right"]) & (self.lead > 0))


def stage_one_bounds(problem, products, s1):
    """StageOne constants of the run whose inner products are `products`, drawn from (or as) `problem`.

    Parameters
    ----------
    problem : the SignalNoise behind the run, for sigma^2 d; c is read off the products.
    products : its gram.InnerProducts, for the run's own seed, m and init_std.
    s1 : the time until which the theorem is asked to hold, > 0, in units of n m / (eta sigma^2 d) steps.
    """
    s1 = checks.positive("s1", s1)
    unit, n = problem.noise_std**2 * problem.d, problem.n
    gram = products.gram.numpy() / unit
    responses = products.responses.numpy()
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    noise, along = gram[1:, 1:], np.abs(gram[0, 1:])
    squares = np.diag(noise)
    cross_talk = float((np.abs(noise).sum(1) - squares + n * along).max())
    own = np.where(y_obs > 0, responses[0, :, 1:], responses[1, :, 1:])
    shares = [np.mean(y == side) for side in (1, -1)]
    clean = [np.mean((y == side) & (y_obs == y)) for side in (1, -1)]
    return StageOne(
        s1=s1, n_snr2=n * float(gram[0, 0]), norm_error=float(np.abs(squares - 1).max()), cross_talk=cross_talk,
        initial=float(np.abs(responses).max()), lead=float(min(2 * c - s for c, s in zip(clean, shares))),
        clean_share=float(max(clean)), class_share=float(max(shares)),
        active_share=float((own >= -s1 * cross_talk).mean(0).max()))
