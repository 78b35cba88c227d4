"""Test errors at the end of Stage I: bounds from the weights (lem-one-sided) and, before the run, from the constants of
its data and initial weights (thm-early-stopping)."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from helpers import checks
from helpers.engine.network import SIGNS
from helpers.theory.stage_one import StageOne, stage_one_bounds


def one_sided_exponents(record, weight_gram):
    """(runs, 2) the error of fresh samples of class +1 and -1 at the last recorded time is at most exp(-this).

    lem-one-sided; 0 where it says nothing. weight_gram : (runs, 2m, 2m) inner products of the filters at that time,
    e.g. memorisation.final_weight_gram. Noise that is projected off the signal makes the true exponents larger.
    """
    gram = np.asarray(weight_gram, float)
    m = gram.shape[-1] // 2
    noise_std = np.array([run["noise_std"] for run in record.runs])
    signal = record.signal_response[:, -1] * SIGNS  # (runs, 2): A_y
    exponents = []
    for k, wrong in ((0, slice(m, 2 * m)), (1, slice(m))):  # class +1 is misread by the filters of sign -1
        block = gram[:, wrong, wrong]
        mean = noise_std * np.sqrt(np.diagonal(block, axis1=1, axis2=2)).mean(1) / math.sqrt(2 * np.pi)
        scale = noise_std * np.sqrt(np.linalg.eigvalsh(block)[:, -1] / m)
        exponents.append((np.maximum(signal[:, k] - mean, 0) / scale) ** 2 / 2)
    return np.stack(exponents, -1)


def one_sided_bound(record, weight_gram):
    """(runs,) bound of lem-one-sided on the fresh error at the last recorded time, the mean over the two classes."""
    return np.exp(-one_sided_exponents(record, weight_gram)).mean(-1)


@dataclass(frozen=True)
class EarlyBound:
    """The constants of thm-early-stopping, in units of s_1 / 2.

    stage : the StageOne constants of the run. steps : T_1. n_over_d : n / d.
    label_share : the larger share of the samples with one observed label.
    initial_scale : sigma max_j ||W_j(0)|| / sqrt(m); initial_length : sigma max_j of the mean of |w_{j,r}(0)| over r.
    """

    stage: StageOne
    steps: int
    n_over_d: float
    label_share: float
    initial_scale: float
    initial_length: float

    @property
    def signal(self):
        """G - 2E/3, below every signal response A_y."""
        return self.stage.signal_rate() - 2 * self.stage.error_rate() / 3

    @property
    def signal_sum(self):
        """S, above every signal coefficient gamma."""
        one = self.stage
        return one.n_snr2 * one.clean_share * (1 + one.margin_bound / 2)

    @property
    def cross_rho(self):
        """e, above every |rho_{j,r,i}| with j = -y_obs_i."""
        return self.stage.error_rate() / 3 + self.stage.noise_rate() / self.steps

    def learned_scale(self, own):
        """sqrt((n/d) Q(own)): sigma times the length of what was learned, with coefficients up to S on mu, `own` on the
        samples of the filters' own sign and e on the others."""
        one, signal, cross = self.stage, self.signal_sum, self.cross_rho
        small = 1 - one.norm_error
        if small <= 0:
            return math.inf
        square = signal**2 / one.n_snr2 + 2 * signal * (own + cross) * one.cross_talk / (one.n_snr2 * small)
        noise = self.label_share * own**2 + cross**2
        return math.sqrt(self.n_over_d * (square + noise * (1 + one.norm_error + one.cross_talk) / small**2))

    @property
    def scale(self):
        """lambda, above sigma times the Lipschitz constant of each F_j in its noise patch."""
        one = self.stage
        return self.learned_scale(one.active_share * one.noise_rate()) + 2 * self.initial_scale / one.s1

    @property
    def mean(self):
        """B, above the mean of each F_j over fresh noise patches."""
        learned = self.learned_scale(self.stage.noise_rate())
        return (learned + 2 * self.initial_length / self.stage.s1) / math.sqrt(2 * math.pi)

    @property
    def fresh_exponent(self):
        """The fresh error at T_1 is at most exp(-this); 0 where the theorem says nothing."""
        return self._exponent(self.signal - self.mean, self.scale)

    @property
    def reused_lead(self):
        """G - p R - E: where it is positive, the error on reused patches with zeta = 0 is 0 at T_1."""
        one = self.stage
        return one.signal_rate() - one.active_share * one.noise_rate() - one.error_rate()

    def reused_exponent(self, ratio):
        """The error on reused patches plus zeta, of standard deviation `ratio` sigma, is at most exp(-this)."""
        ratio = checks.positive("ratio", ratio)
        return self._exponent(self.reused_lead - ratio * self.mean, ratio * self.scale)

    def _exponent(self, lead, scale):
        applies = self.stage.lead > 0 and self.stage.signal_rate() > 0 and lead > 0
        return (lead / scale) ** 2 / 2 if applies else 0.0


def early_bound(problem, products, s1, steps):
    """EarlyBound of the run with these gram.InnerProducts that reaches s_1 = eta sigma^2 d T_1 / (n m) in T_1 steps."""
    steps = checks.integer("steps", steps)
    gram, sigma = products.weight_gram, problem.noise_std
    m = len(gram) // 2
    norm = max(float(torch.linalg.eigvalsh(block)[-1]) for block in (gram[:m, :m], gram[m:, m:])) ** 0.5
    lengths = np.sqrt(gram.diagonal().numpy()).reshape(2, m)
    plus = float((products.y_obs > 0).double().mean())
    return EarlyBound(stage_one_bounds(problem, products, s1), steps, problem.n / problem.d, max(plus, 1 - plus),
                      sigma * norm / math.sqrt(m), sigma * float(lengths.mean(1).max()))


def limit_exponent(n_snr2, flip_rate, *, active_share=0.5):
    """What the exponent of thm-early-stopping tends to, in units of d/n: c^2 (1-2 tau)^2 / (2 c (1-tau)^2 + 4 p^2)."""
    c, tau = checks.positive("n_snr2", n_snr2), checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    p = checks.real("active_share", active_share, 0.0, 1.0)
    return (c * (1 - 2 * tau)) ** 2 / (2 * c * (1 - tau) ** 2 + 4 * p**2)
