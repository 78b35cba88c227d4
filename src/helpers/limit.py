"""The law of training in the limit of many dimensions, samples and filters: three numbers a class.

Assumptions (a heuristic limit, not a theorem of the paper): d -> infinity at fixed c = n SNR^2, so that noise vectors
are orthogonal; m large, so that half of the filters of either sign are active on each noise vector; initial weights
that vanish, yet exceed the cross-talk between noise vectors; as many samples of either class; a step far below
1 / (1 + c) in units of s.

Derivation. Let A be the signal response y f([y mu, 0]), and r_c, r_n the noise responses y_obs f([0, xi_i]) of clean
and of noisy samples; g(z) = 1 / (1 + e^z) is minus the derivative of the logistic loss. All start at 0. The update
of gamma sums over the n/2 samples of the class; that of rho is each sample's own, and counts for the active half of
the filters. In the time s = eta sigma^2 d t / (n m), with u = A + r_c and v = r_n - A the clean and noisy margins,

    dA/ds = (c/2) [(1 - tau) g(u) - tau g(v)],      dr_c/ds = g(u) / 2,      dr_n/ds = g(v) / 2.          (1)

The classes decouple: unequal flip rates give two independent laws.

*Two variables.* By (1), A = c [(1 - tau) r_c - tau r_n] at all times. With a = c (1 - tau) and b = c tau,

    du/ds = [(1 + a) g(u) - b g(v)] / 2,      dv/ds = [(1 + b) g(v) - a g(u)] / 2,                        (2)
    A = [a u - b v] / (1 + c),      r_c = u - A,      r_n = v + A.

*Stage I.* Write q = g(v) / g(u), which starts at 1. Then dv/ds has the sign of q - a / (1 + b): the noisy margin
starts downward iff a > 1 + b, that is c (1 - 2 tau) > 1. If not, u - v >= 0 always (at u = v its slope is
(a - b) g(u) > 0), so q >= 1 >= a / (1 + b) and v never falls. If so, v turns exactly once: where dv/ds = 0,
du/ds = g(u) (1 + c) / (2 (1 + b)) > 0, so q is rising there. Hence v falls, turns, and returns to 0 once.

*The gap.* D = u - v = (1 + 2a) r_c - (1 + 2b) r_n has slope g(u) [(1 + 2a) - (1 + 2b) q] / 2, of the sign of
kappa - q, where

    kappa = (1 + 2a) / (1 + 2b) = (1 + 2c (1 - tau)) / (1 + 2c tau) > 1.                                  (3)

D > 0 for s > 0 (at D = 0, q = 1 its slope is positive). u always rises: at q = (1 + a) / b > kappa, where its slope
would vanish, q falls. While q < kappa, q rises (D rises, so u rises faster than v), and q never comes back below
kappa (there du/ds = dv/ds > 0 and u > v, so q is rising). Since D > 0 says r_n / r_c < kappa, in both phases
q = dr_n / dr_c exceeds r_n / r_c: that ratio rises at all times. By the first integral A / r_n = c [(1 - tau) r_c / r_n
- tau] and A / r_c = c [(1 - tau) - tau r_n / r_c] therefore both fall, starting from c (1 - 2 tau).

*Late times.* Once both margins are large q = e^D, which is drawn to kappa: D -> log kappa and r_n / r_c -> kappa. So

    A / r_n -> (kappa - 1) / (2 kappa) < 1/2,      A / r_c -> (kappa - 1) / 2,                            (4)

slowly, like 1 / log s, as margins grow like log s. The second limit is below 1 iff kappa < 3: c (1 - 4 tau) < 1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from helpers import checks

LARGEST_N_SNR2, LARGEST_TIME = 1e6, 1e300
STIFF = 1000.0  # the gap relaxes in log time at a rate of about 4 c tau (1 - tau): explicit steps become too many


@dataclass(frozen=True, eq=False)
class LimitLaw:
    """The law at `times` s = eta sigma^2 d t / (n m), for one class with flip rate tau and c = n SNR^2.

    Attributes
    ----------
    n_snr2, flip_rate : c and tau.
    times, signal, r_clean, r_noisy : (T,) s, A, r_c and r_n. With tau = 0 there is no noisy sample: r_noisy is then
        the response of a single one among infinitely many clean samples.
    """

    n_snr2: float
    flip_rate: float
    times: np.ndarray
    signal: np.ndarray
    r_clean: np.ndarray
    r_noisy: np.ndarray

    def __repr__(self):
        return f"LimitLaw(n_snr2={self.n_snr2:g}, flip_rate={self.flip_rate:g}, {len(self.times)} times)"

    @property
    def clean_margin(self):
        """(T,) A + r_c."""
        return self.signal + self.r_clean

    @property
    def noisy_margin(self):
        """(T,) r_n - A."""
        return self.r_noisy - self.signal

    @property
    def clean_loss(self):
        """(T,) cross-entropy of a clean sample, log(1 + exp(-margin))."""
        return np.logaddexp(0.0, -self.clean_margin)

    @property
    def noisy_loss(self):
        """(T,) cross-entropy of a noisy sample against its observed label."""
        return np.logaddexp(0.0, -self.noisy_margin)

    @property
    def clean_loss_derivative(self):
        """(T,) l' = -1 / (1 + exp(margin)) of a clean sample."""
        return -expit(-self.clean_margin)

    @property
    def noisy_loss_derivative(self):
        """(T,) l' = -1 / (1 + exp(margin)) of a noisy sample."""
        return -expit(-self.noisy_margin)

    @property
    def loss_derivative_ratio(self):
        """(T,) l'_noisy / l'_clean: 1 at the start, kappa in the end."""
        return self.noisy_loss_derivative / self.clean_loss_derivative

    @property
    def stage_one_exists(self):
        """Whether c (1 - 2 tau) > 1: noisy samples are first given their true label."""
        return self.n_snr2 * (1 - 2 * self.flip_rate) > 1

    @property
    def kappa(self):
        """The late ratio of loss derivatives, noisy to clean: (1 + 2c(1 - tau)) / (1 + 2c tau)."""
        return (1 + 2 * self.n_snr2 * (1 - self.flip_rate)) / (1 + 2 * self.n_snr2 * self.flip_rate)

    @property
    def late_margin_gap(self):
        """The limit of clean_margin - noisy_margin: log kappa."""
        return math.log(self.kappa)

    @property
    def clean_patches_mislead(self):
        """Whether kappa < 3, i.e. c (1 - 4 tau) < 1: in the end r_c > A too, and `reused_noise_error` is 1/2."""
        return self.n_snr2 * (1 - 4 * self.flip_rate) < 1

    @cached_property
    def memorization_time(self):
        """The time s > 0 at which the noisy margin returns to 0, whatever `times` are; to about 11 digits.

        It is 0.0 where Stage I does not exist: the noisy margin never leaves the side of the observed label.
        """
        if not self.stage_one_exists:
            return 0.0
        slope = _slopes(0.0, (0.0, 0.0), self.n_snr2, self.flip_rate)[1]

        def returns(x, margins, *_):
            return margins[1] / x if x > 0 else slope  # over x: the start, where v = 0 as well, is no root

        returns.terminal, returns.direction = True, 1
        solution = _solve(self.n_snr2, self.flip_rate, math.inf, events=returns)
        return float(np.expm1(solution.t_events[0][0]))

    @property
    def reused_noise_error(self):
        """(T,) error on true labels of test samples whose noise patch is drawn from the training set (zeta = 0).

        Half of them show the patch of sample i with a true label opposite to y_obs_i, so that y f = A - r_i:
        tau/2 1[r_n > A] + (1 - tau)/2 1[r_c > A]. At s = 0, where f = 0, it reads 0.
        """
        noisy = self.noisy_margin > 0
        return self.flip_rate / 2 * noisy + (1 - self.flip_rate) / 2 * (self.r_clean > self.signal)


def limit_law(n_snr2, flip_rate, times):
    """The LimitLaw at `times`, integrated to about ten digits for n_snr2 up to 1000 and eight beyond.

    Parameters
    ----------
    n_snr2 : c = n SNR^2 in (0, 1e6].
    flip_rate : tau in [0, 1/2), the flip rate of the class.
    times : (T,) strictly increasing numbers in [0, 1e300], in units of n m / (eta sigma^2 d) gradient steps.

    Raises ValueError on anything else.
    """
    c = checks.real("n_snr2", n_snr2, 0.0, LARGEST_N_SNR2, open_low=True)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
    times = _times(times)
    x, where = np.unique(np.log1p(times), return_inverse=True)  # neighbouring floats may share a logarithm
    u, v = _solve(c, tau, x[-1], t_eval=x).y[:, where] if x[-1] > 0 else np.zeros((2, 1))
    signal = c / (1 + c) * ((1 - tau) * u - tau * v)
    return LimitLaw(c, tau, times, signal, u - signal, v + signal)


def _times(value):
    try:
        times = np.array(value, dtype=float)
    except (TypeError, ValueError):
        times = np.empty(0)
    valid = times.ndim == 1 and times.size > 0 and bool(np.all(np.diff(times) > 0))
    valid = valid and 0 <= times[0] and times[-1] <= LARGEST_TIME
    checks.require(valid, "times", value, f"strictly increasing numbers in [0, {LARGEST_TIME:g}]")
    return times


def _solve(c, tau, end, **options):
    """Margins (u, v) over x = log(1 + s) from 0 to `end`. In log time the late law is smooth at any s."""
    method, rtol = ("DOP853", 1e-12) if c <= STIFF else ("Radau", 1e-9)
    return solve_ivp(_slopes, (0.0, end), (0.0, 0.0), method=method, rtol=rtol, atol=1e-3 * rtol,
                     args=(c, tau), **options)


def _slopes(x, margins, c, tau):
    """Equations (2), per unit of x = log(1 + s)."""
    a, b = c * (1 - tau), c * tau
    clean, noisy = (expit(-margin) for margin in margins)
    half_time = math.exp(x) / 2
    return half_time * ((1 + a) * clean - b * noisy), half_time * ((1 + b) * noisy - a * clean)
