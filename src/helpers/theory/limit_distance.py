"""Draws on which gradient descent follows the limit law, exactly or nearly so, and how nearly (chapter 6).

An idealised draw has orthogonal vectors, noise patches of one length, given numbers of clean and noisy samples, and for
each sample exactly half of the filters of either sign active at the start. A real draw departs from it in five ways,
whose sizes `limit_errors` reads off: initial responses, cross-talk, norms, active shares, counts. `orthogonalised`
takes the cross-talk and the norms away and leaves the rest as drawn.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from helpers import checks
from helpers.engine.gram import InnerProducts
from helpers.engine.observables import readings
from helpers.engine.reduced import reduced_engine
from helpers.streams import random_stream
from helpers.theory.stage_one import stage_one_bounds

CPU = torch.device("cpu")


def ideal_products(counts, m, n_snr2, size, seed):
    """InnerProducts of an idealised draw, in units in which sigma^2 d = 1.

    Parameters
    ----------
    counts : {(y, y_obs): number of samples}, e.g. {(1, 1): 9, (1, -1): 1, (-1, -1): 9, (-1, 1): 1}.
    m : filters of either sign, an even number.
    n_snr2 : c, so that |mu|^2 = c / n.
    size : b >= 0: initial responses are uniform in (0, b] up to sign; the signs and their sizes over b depend on `seed`
        alone. On the signal each sign is drawn; on a noise patch exactly m / 2 filters of either sign are active.
    """
    m = checks.integer("m", m, 2)
    checks.require(m % 2 == 0, "m", m, "even: half of the filters are active")
    c, size = checks.positive("n_snr2", n_snr2), checks.real("size", size, 0.0)
    labels = np.repeat(np.array(list(counts), float), list(counts.values()), axis=0)
    n = len(labels)
    rng = random_stream(seed, "idealised draw")
    halves = np.resize([1.0, -1.0], (2, n, m))
    signs = np.concatenate([rng.choice([-1.0, 1.0], (2, m, 1)), rng.permuted(halves, axis=2).swapaxes(1, 2)], -1)
    responses = size * signs * (1 - rng.random(signs.shape))
    gram = np.diag(np.append(c / n, np.ones(n)))
    empty = np.empty((0, n + 1)), np.empty((2, m, 0)), np.empty(0)
    return InnerProducts(*map(torch.from_numpy, (gram, responses, np.zeros((2 * m, 2 * m)), labels[:, 0], labels[:, 1],
                                                 *empty)))


def orthogonalised(products, unit):
    """The same labels and initial responses on orthogonal vectors, |mu| as it was and every |xi_i|^2 = `unit`."""
    unit = checks.positive("unit", unit)
    squares = torch.full((len(products.gram),), unit, dtype=torch.float64)
    squares[0] = products.gram[0, 0]
    return replace(products, gram=torch.diag(squares))


@dataclass(frozen=True, eq=False)
class Course:
    """One run at T times s: margins (T, n), gamma (T, 2, m), rho (T, n), the mean over the filters with j = y_obs_i,
    active (T, n), the share of those filters that are active on xi_i, and reused_error (T,) without zeta."""

    times: np.ndarray
    margins: np.ndarray
    gamma: np.ndarray
    rho: np.ndarray
    active: np.ndarray
    reused_error: np.ndarray


def descend_products(products, h, steps, *, unit=1.0, every=1):
    """Course of gradient descent with step h = eta sigma^2 d / (n m), where `unit` is sigma^2 d."""
    steps, every, h = checks.integer("steps", steps, 0), checks.integer("every", every), checks.positive("h", h)
    n, m = len(products.y), products.responses.shape[1]
    engine = reduced_engine([products], [h * n * m / checks.positive("unit", unit)], CPU, torch.float64)
    times, seen = range(0, steps + 1, every), []
    for step in times:
        engine.advance(step - engine.step)
        seen.append(readings(engine.state(), engine.y, engine.y_obs))
    names = [field.name for field in fields(Course)][1:]
    return Course(h * np.array(times), *(torch.stack([one[name][0] for one in seen]).numpy() for name in names))


@dataclass(frozen=True)
class LimitErrors:
    """What separates one draw from the limit law until the time s1, and the bounds of thm-limit-law.

    n_snr2 : c.
    initial, cross_talk, norm_error : beta, eps_x, eps_1 of the Stage I theorem (helpers.conditions.StageOne).
    share_error : eps_a, how far the share of the filters with j = y_obs_i that are active on xi_i can be from 1/2.
    count_error : eps_n, the larger over the classes of |clean / n - (1 - tau) / 2| + |noisy / n - tau / 2|.
    """

    s1: float
    n_snr2: float
    initial: float
    cross_talk: float
    norm_error: float
    share_error: float
    count_error: float

    @property
    def response_error(self):
        """eps_0 = beta + s1 eps_x."""
        return self.initial + self.s1 * self.cross_talk

    @property
    def noise_drive(self):
        """eps_r = eps_a + (1/2 + eps_a) eps_1 + eps_0 / 2: error of a noise response's growth."""
        return self.share_error + (0.5 + self.share_error) * self.norm_error + self.response_error / 2

    @property
    def signal_drive(self):
        """eps_A = eps_n + (1/2 + eps_n) eps_0: error of the signal response's growth, over c."""
        return self.count_error + (0.5 + self.count_error) * self.response_error

    def signal_bound(self, times, s0, h):
        """Gamma, (len(times),): bound on every |gamma - A| at these times if all filters have turned by s0."""
        c, half = self.n_snr2, 0.5 + self.count_error
        early = (s0 - h) * (c * half + (1 + self.norm_error) * (0.5 + self.share_error)) + 4 * self.response_error
        rate = c * self.signal_drive + (2 * half * c) ** 0.5 * self.noise_drive
        return 2 * np.minimum(times, s0) * c * (self.count_error + early / 4) + rate * np.asarray(times)

    def margin_bound(self, times, s0, h):
        """Q = 2 Gamma + s eps_r + 4 eps_0, (len(times),): bound on every |margin - Euler scheme| at these times."""
        signal = self.signal_bound(times, s0, h)
        return 2 * signal + np.asarray(times) * self.noise_drive + 4 * self.response_error

    def turned_by(self, law):
        """The least s0 with which the theorem's hypotheses hold along the Euler scheme `law`; None if there is none."""
        h, times = law.times[1], law.times[1:]
        if h * (1 + self.n_snr2 * (1 + 2 * self.count_error)) > 8:
            return None
        for k, s0 in enumerate(times):
            spare = law.signal[1:] - self.signal_bound(times, s0, h)
            if (spare >= 0).all() and (spare[k:] > self.response_error).all():
                return float(s0)
        return None


def limit_errors(problem, products, flip_rate, s1):
    """LimitErrors of the run whose inner products are `products`, drawn from (or as) `problem`, until time s1."""
    base = stage_one_bounds(problem, products, s1)
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    own = np.where(y_obs > 0, products.responses[0, :, 1:].numpy(), products.responses[1, :, 1:].numpy())
    reach = s1 * base.cross_talk
    shares = np.stack([(own > reach).mean(0), (own >= -reach).mean(0)])
    pairs = [(np.mean((y == side) & (y_obs == y)) - (1 - flip_rate) / 2,
              np.mean((y == side) & (y_obs != y)) - flip_rate / 2) for side in (1, -1)]
    return LimitErrors(s1, base.n_snr2, base.initial, base.cross_talk, base.norm_error,
                       float(np.abs(shares - 0.5).max()), float(np.abs(pairs).sum(1).max()))


def euler_error(n_snr2, h, times):
    """Bound on |Euler scheme - law| for both margins, A, r_c and r_n: s h (1 + c)^2 / 16, where h (1 + c) <= 8."""
    c, h = checks.positive("n_snr2", n_snr2), checks.positive("h", h)
    checks.require(h * (1 + c) <= 8, "h", h, f"at most 8 / (1 + c) = {8 / (1 + c):g}")
    return np.asarray(times, float) * h * (1 + c) ** 2 / 16
