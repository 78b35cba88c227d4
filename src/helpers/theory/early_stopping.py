"""Test errors at the end of Stage I: bounds from the weights (lem-one-sided) and, before the run, from the constants of
its data and initial weights (thm-early-stopping)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.gram import InnerProducts
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.record import Record
from helpers.theory.responses import about_runs, with_readings
from helpers.theory.stage_one import StageOne, of_problem, stage_one_bounds


@entry
def early_stopping_exponents(record: Record, weight_gram: Float[np.ndarray, "runs filters filters"]
                        ) -> Float[np.ndarray, "runs 2"]:
    """The error of fresh samples of class +1 and -1 at the last recorded time is at most exp(-this) (lem-one-sided).

    It is 0 where the lemma says nothing. Noise that is projected off the signal makes the true exponents larger.

    Parameters
    ----------
    record
        the runs.
    weight_gram
        inner products of all 2m filters at the last recorded time, e.g. from `final_weight_gram`.
    """
    with_readings(about_runs(record, "noise_std"), "signal_response")
    gram = _weight_gram(weight_gram, len(record.y))
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


def _weight_gram(weight_gram: Float[np.ndarray, "runs filters filters"], runs: int) -> np.ndarray:
    gram = np.asarray(weight_gram, float)
    size = gram.shape[-1] if gram.ndim == 3 else 0
    fits = size >= 2 and size % 2 == 0 and gram.shape == (runs, size, size)
    checks.require(fits, "weight_gram.shape", gram.shape, f"({runs}, 2m, 2m)")
    squares = np.diagonal(gram, axis1=1, axis2=2)
    checks.require(bool((squares > 0).all()), "weight_gram", squares, "inner products, the squares positive")
    return gram


@entry
def early_stopping_error_bound(record: Record, weight_gram: Float[np.ndarray, "runs filters filters"]
                               ) -> Float[np.ndarray, " runs"]:
    """Bound of lem-one-sided on the fresh error, averaged over the classes; arguments of
    `early_stopping_exponents`.
    """
    return np.exp(-early_stopping_exponents(record, weight_gram)).mean(-1)


@dataclass(frozen=True)
class EarlyStoppingBound:
    """The constants of thm-early-stopping, in units of s_1 / 2.

    Attributes
    ----------
    stage
        the StageOne constants of the run.
    steps
        T_1.
    n_over_d
        n / d.
    label_share
        the larger share of the samples with one observed label.
    initial_scale
        ``sigma max_j ||W_j(0)|| / sqrt(m)``.
    initial_length
        sigma max_j of the mean of ``|w_{j,r}(0)|`` over r.
    """

    stage: StageOne
    steps: int
    n_over_d: float
    label_share: float
    initial_scale: float
    initial_length: float

    @property
    def signal(self) -> float:
        """G - 2E/3, below every signal response A_y."""
        return self.stage.signal_rate() - 2 * self.stage.error_rate() / 3

    @property
    def signal_sum(self) -> float:
        """S, above every signal coefficient gamma."""
        one = self.stage
        return one.n_snr2 * one.clean_share * (1 + one.margin_bound / 2)

    @property
    def cross_rho(self) -> float:
        """e, above every ``|rho_{j,r,i}|`` with j = -y_obs_i."""
        return self.stage.error_rate() / 3 + self.stage.noise_rate() / self.steps

    @entry
    def learned_scale(self, own: float) -> float:
        """sqrt((n/d) Q(own)): sigma times the length of what was learned, for coefficients up to `own`.

        Those are the coefficients on the samples of the filters' own sign; they are up to S on mu and e on the others.
        """
        own = checks.real("own", own, 0.0)
        one, signal, cross = self.stage, self.signal_sum, self.cross_rho
        small = 1 - one.norm_error
        if small <= 0:
            return math.inf
        square = signal**2 / one.n_snr2 + 2 * signal * (own + cross) * one.cross_talk / (one.n_snr2 * small)
        noise = self.label_share * own**2 + cross**2
        return math.sqrt(self.n_over_d * (square + noise * (1 + one.norm_error + one.cross_talk) / small**2))

    @property
    def scale(self) -> float:
        """lambda, above sigma times the Lipschitz constant of each F_j in its noise patch."""
        one = self.stage
        return self.learned_scale(one.active_share * one.noise_rate()) + 2 * self.initial_scale / one.s1

    @property
    def mean(self) -> float:
        """B, above the mean of each F_j over fresh noise patches."""
        learned = self.learned_scale(self.stage.noise_rate())
        return (learned + 2 * self.initial_length / self.stage.s1) / math.sqrt(2 * math.pi)

    @property
    def fresh_exponent(self) -> float:
        """The fresh error at T_1 is at most exp(-this); 0 where the theorem says nothing."""
        return self._exponent(self.signal - self.mean, self.scale)

    @property
    def reused_lead(self) -> float:
        """G - p R - E: where it is positive, the error on reused patches with zeta = 0 is 0 at T_1."""
        one = self.stage
        return one.signal_rate() - one.active_share * one.noise_rate() - one.error_rate()

    @entry
    def reused_exponent(self, ratio: float) -> float:
        """The error on reused patches plus zeta, of standard deviation `ratio` sigma, is at most exp(-this)."""
        ratio = checks.positive("ratio", ratio)
        return self._exponent(self.reused_lead - ratio * self.mean, ratio * self.scale)

    def _exponent(self, lead: float, scale: float) -> float:
        applies = self.stage.lead > 0 and self.stage.signal_rate() > 0 and lead > 0
        return (lead / scale) ** 2 / 2 if applies else 0.0


@entry
def early_stopping_bound(problem: SignalNoise, products: InnerProducts, s1: float, steps: int) -> EarlyStoppingBound:
    """The constants of thm-early-stopping for one draw, before any training.

    Parameters
    ----------
    problem
        the distribution behind the draw.
    products
        the inner products of the draw.
    s1
        the time s_1 = eta sigma^2 d T_1 / (n m) at which training stops.
    steps
        T_1, the gradient steps until then.

    Examples
    --------
    At s = 0.02 the network misreads no test sample with a noise patch of the training set, and hardly any fresh one:

    >>> from helpers import SignalNoise
    >>> from helpers.engine import inner_products
    >>> from helpers.theory import early_stopping_bound
    >>> problem = SignalNoise(200, 10**9, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    >>> bound = early_stopping_bound(problem, inner_products(problem, 20, 1e-9, 0), 0.02, 40)
    >>> bound.reused_lead > 0, bound.fresh_exponent > 10**6
    (True, True)
    """
    steps = checks.integer("steps", steps)
    of_problem(products, problem)
    gram, sigma = products.weight_gram, problem.noise_std
    m = len(gram) // 2
    norm = max(float(torch.linalg.eigvalsh(block)[-1]) for block in (gram[:m, :m], gram[m:, m:])) ** 0.5
    lengths = np.sqrt(gram.diagonal().numpy()).reshape(2, m)
    plus = float((products.y_obs > 0).double().mean())
    return EarlyStoppingBound(stage_one_bounds(problem, products, s1), steps, problem.n / problem.d,
                              max(plus, 1 - plus),
                              sigma * norm / math.sqrt(m), sigma * float(lengths.mean(1).max()))


@entry
def early_stopping_limit_exponent(n_snr2: float, flip_rate: float, *, active_share: float = 0.5) -> float:
    """What the exponent of thm-early-stopping tends to, in units of d/n: c^2 (1-2 tau)^2 / (2 c (1-tau)^2 + 4 p^2).

    `n_snr2` is c, `flip_rate` tau, and `active_share` p.
    """
    c, tau = checks.positive("n_snr2", n_snr2), checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    p = checks.real("active_share", active_share, 0.0, 1.0)
    return (c * (1 - 2 * tau)) ** 2 / (2 * c * (1 - tau) ** 2 + 4 * p**2)
