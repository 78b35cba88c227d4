"""The limit law of training: many dimensions, samples and filters, three numbers per class (chapter 3).

Let A be the signal response y f([y mu, 0]), and r_c, r_n the noise responses y_obs f([0, xi_i]) of clean and of noisy
samples; g(z) = 1 / (1 + e^z) is minus the derivative of the logistic loss. All start at 0. In the time
s = eta sigma^2 d t / (n m), with u = A + r_c and v = r_n - A the clean and noisy margins (def-limit-law)::

    dA/ds = (c/2) [(1 - tau) g(u) - tau g(v)],      dr_c/ds = g(u) / 2,      dr_n/ds = g(v) / 2.          (1)

With a = c (1 - tau) and b = c tau this is a law of two variables (lem-first-integral)::

    du/ds = [(1 + a) g(u) - b g(v)] / 2,      dv/ds = [(1 + b) g(v) - a g(u)] / 2,                        (2)
    A = [a u - b v] / (1 + c),      r_c = u - A,      r_n = v + A.

How near a run of gradient descent is to it: thm-limit-law, with the constants of `helpers.theory.limit_distance`. What
follows from it: c (1 - 2 tau) > 1 (prop-stage-one-exists), the memorisation time (prop-memorisation-time), the late gap
log kappa with kappa = (1 + 2a) / (1 + 2b) (prop-late-gap), A / r_n -> (kappa - 1) / (2 kappa) (prop-signal-overtaken),
A / r_c -> (kappa - 1) / 2 (prop-clean-patches), the error on reused noise (prop-reused-jump), unequal flip rates as two
laws (prop-two-copies).

The 1/2 in r_c and r_n is the share of the filters of a sample's observed label that are active on its noise, where the
initial weights are large against the cross-talk. Where they are not, more become active; with a share p::

    dA/ds = (c/2) [(1 - tau) g(u) - tau g(v)],      dr_c/ds = p g(u),      dr_n/ds = p g(v).               (3)

In the time s' = 2 p s this is (1) with the strength c' = c / (2p), and A, r_c and r_n keep their sizes: divide (3) by
2p. So all that follows from (1) holds with c' in the place of c, in the time s'; Stage I exists iff c (1 - 2 tau) > 2p.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import expit

from helpers import checks
from helpers.entry import entry
from helpers.theory.responses import labels_of_samples

LARGEST_N_SNR2, LARGEST_TIME = 1e6, 1e300
STIFF = 1000.0  # the gap relaxes in log time at a rate of about 4 c tau (1 - tau): explicit steps become too many


class LimitMargins:
    """What the three responses of a law, A, r_c and r_n, say of its margins and of its reused error."""

    signal: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]

    @property
    def clean_margin(self) -> Float[np.ndarray, " T"]:
        """A + r_c."""
        return self.signal + self.r_clean

    @property
    def noisy_margin(self) -> Float[np.ndarray, " T"]:
        """r_n - A."""
        return self.r_noisy - self.signal

    def _reused_error(self, flip_rate: float) -> Float[np.ndarray, " T"]:
        """tau/2 1[r_n > A] + (1 - tau)/2 1[r_c > A] (eq-reused-error)."""
        return flip_rate / 2 * (self.noisy_margin > 0) + (1 - flip_rate) / 2 * (self.r_clean > self.signal)


@dataclass(frozen=True, eq=False)
class LimitLaw(LimitMargins):
    """The law at `times` s = eta sigma^2 d t / (n m), for one class with flip rate tau and c = n SNR^2.

    Attributes
    ----------
    n_snr2, flip_rate
        c and tau.
    times, signal, r_clean
        s, A and r_c.
    r_noisy
        r_n. With tau = 0 there is no noisy sample: it is then the response of a single one among infinitely many clean
        samples.
    share
        p, the share of the filters of the observed label that are active on a sample's noise.
    """

    n_snr2: float
    flip_rate: float
    times: Float[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]
    share: float = 0.5

    def __repr__(self) -> str:
        share = "" if self.share == 0.5 else f" share={self.share:g},"
        return f"LimitLaw(n_snr2={self.n_snr2:g}, flip_rate={self.flip_rate:g},{share} {len(self.times)} times)"

    @property
    def strength(self) -> float:
        """c' = c / (2p), the n SNR^2 of the law with p = 1/2 that this one is in the time 2 p s; c itself at p = 1/2.
        """
        return self.n_snr2 / (2 * self.share)

    @property
    def clean_loss(self) -> Float[np.ndarray, " T"]:
        """Cross-entropy of a clean sample, log(1 + exp(-margin))."""
        return np.logaddexp(0.0, -self.clean_margin)

    @property
    def noisy_loss(self) -> Float[np.ndarray, " T"]:
        """Cross-entropy of a noisy sample against its observed label."""
        return np.logaddexp(0.0, -self.noisy_margin)

    @property
    def clean_loss_derivative(self) -> Float[np.ndarray, " T"]:
        """l' = -1 / (1 + exp(margin)) of a clean sample."""
        return -expit(-self.clean_margin)

    @property
    def noisy_loss_derivative(self) -> Float[np.ndarray, " T"]:
        """l' = -1 / (1 + exp(margin)) of a noisy sample."""
        return -expit(-self.noisy_margin)

    @property
    def loss_derivative_ratio(self):
        """(T,) l'_noisy / l'_clean: 1 at the start, kappa in the end."""
        return self.noisy_loss_derivative / self.clean_loss_derivative

    @property
    def stage_one_exists(self) -> bool:
        """Whether c (1 - 2 tau) > 2p, that is > 1 at p = 1/2: noisy samples are first given their true label."""
        return self.strength * (1 - 2 * self.flip_rate) > 1

    @property
    def kappa(self) -> float:
        """The late ratio of loss derivatives, noisy to clean: (1 + 2c'(1 - tau)) / (1 + 2c' tau), c' = `strength`."""
        return (1 + 2 * self.strength * (1 - self.flip_rate)) / (1 + 2 * self.strength * self.flip_rate)

    @property
    def late_margin_gap(self) -> float:
        """The limit of clean_margin - noisy_margin: log kappa."""
        return math.log(self.kappa)

    @property
    def clean_patches_mislead(self) -> bool:
        """Whether kappa < 3, i.e. c (1 - 4 tau) < 2p: in the end r_c > A too, and `reused_noise_error` is 1/2."""
        return self.strength * (1 - 4 * self.flip_rate) < 1

    @cached_property
    def memorisation_time(self) -> float:
        """The time s > 0 at which the noisy margin returns to 0, whatever ``times`` are; to about 11 digits.

        It is 0.0 where Stage I does not exist: the noisy margin never leaves the side of the observed label.
        """
        return self._leaves_zero(lambda u, v: v, lambda du, dv: dv) if self.stage_one_exists else 0.0

    @cached_property
    def turning_time(self) -> float:
        """The time at which the noisy margin is lowest; 0.0 where Stage I does not exist."""
        if not self.stage_one_exists:
            return 0.0
        solution = _solve(self.strength, self.flip_rate, math.inf, events=_event(lambda *at: _slopes(*at)[1]))
        return self._time(solution.t_events[0][0])

    @cached_property
    def clean_patch_time(self) -> float:
        """The time from which r_c > A, so that clean samples' own patches mislead too (prop-clean-patches).

        0.0 where that is so from the start, inf where it never is, or only later than s = 1e300.
        """
        if not self.clean_patches_mislead:
            return math.inf
        a, b = self.strength * (1 - self.flip_rate), self.strength * self.flip_rate

        def lag(u, v):  # r_c - A
            return u - 2 * (a * u - b * v) / (1 + a + b)

        return self._leaves_zero(lag, lag) if self.stage_one_exists else 0.0

    def _leaves_zero(self, quantity: Callable[..., float], slope: Callable[..., float]) -> float:
        """The time s > 0 at which a combination of the margins, 0 and falling at s = 0, rises through 0."""
        at_start = slope(*_slopes(0.0, (0.0, 0.0), self.strength, self.flip_rate))

        def over_x(x, margins, *_):
            return quantity(*margins) / x if x > 0 else at_start  # over x: the start is no root

        solution = _solve(self.strength, self.flip_rate, math.log(LARGEST_TIME), events=_event(over_x))
        return self._time(solution.t_events[0][0]) if len(solution.t_events[0]) else math.inf

    def _time(self, x: float) -> float:
        """The time s at which log(1 + 2 p s) = x."""
        return float(np.expm1(x)) / (2 * self.share)

    @property
    def reused_noise_error(self) -> Float[np.ndarray, " T"]:
        """Error on true labels of test samples whose noise patch is drawn from the training set (zeta = 0).

        Half of them show the patch of sample i with a true label opposite to y_obs_i, so that y f = A - r_i:
        tau/2 1[r_n > A] + (1 - tau)/2 1[r_c > A]. At s = 0, where f = 0, it reads 0.
        """
        return self._reused_error(self.flip_rate)


@entry
def limit_law(n_snr2: float, flip_rate: float, times: ArrayLike, *, share: float = 0.5) -> LimitLaw:
    """The limit law of one class (def-limit-law), integrated from s = 0.

    Parameters
    ----------
    n_snr2
        c = n SNR^2 in (0, 1e6].
    flip_rate
        tau in [0, 1/2), the flip rate of the class.
    times
        strictly increasing numbers in [0, 1e300], in units of n m / (eta sigma^2 d) gradient steps.
    share
        p in (0, 1], the share of the filters of the observed label that are active on a sample's noise (3), with
        c / (2p) at most 1e6; 1/2 where the initial weights are large against the cross-talk.

    Returns
    -------
    LimitLaw
        The law at these times, to about ten digits for n_snr2 up to 1000 and eight beyond.

    Raises
    ------
    ValueError
        On anything else.

    Examples
    --------
    Noisy samples are first given their true label, and memorised later:

    >>> from helpers.theory import limit_law
    >>> law = limit_law(8.0, 0.1, [0.0, 2.0, 30.0])
    >>> law.noisy_margin.round(2)
    array([ 0.  , -0.77,  1.93])
    >>> law.stage_one_exists, round(law.memorisation_time, 2)
    (True, 6.54)

    With more active filters Stage I needs a stronger signal, c (1 - 2 tau) > 2p, and is over sooner:

    >>> more = limit_law(8.0, 0.1, [2.0], share=0.75)
    >>> more.noisy_margin.round(2), round(more.memorisation_time, 2)
    (array([-0.46]), 3.98)
    >>> limit_law(1.5, 0.1, [1.0]).stage_one_exists, limit_law(1.5, 0.1, [1.0], share=0.75).stage_one_exists
    (True, False)
    """
    c, tau = limit_strength_and_rate(n_snr2, flip_rate)
    times, share = limit_law_times(times), checks.real("share", share, 0.0, 1.0, open_low=True)
    strength = c / (2 * share)
    checks.require(strength <= LARGEST_N_SNR2, "share", share, f"at least n_snr2 / {2 * LARGEST_N_SNR2:g}")
    x, where = np.unique(np.log1p(2 * share * times), return_inverse=True)  # neighbours may share a logarithm
    u, v = _solve(strength, tau, x[-1], t_eval=x).y[:, where] if x[-1] > 0 else np.zeros((2, 1))
    signal = strength / (1 + strength) * ((1 - tau) * u - tau * v)
    return LimitLaw(c, tau, times, signal, u - signal, v + signal, share)


@entry
def limit_law_euler(n_snr2: float, flip_rate: float, h: float, steps: int, *, share: float = 0.5) -> LimitLaw:
    """The Euler scheme of (3), by default of (1), with step h, as a LimitLaw at the times 0, h, ..., steps h.

    It is what gradient descent does on an idealised draw (prop-limit-exact). `n_snr2`, `flip_rate` and `share` as in
    `limit_law`.
    """
    c, tau = limit_strength_and_rate(n_snr2, flip_rate)
    h, steps = checks.positive("h", h), checks.integer("steps", steps, 1, 10**8)
    share = checks.real("share", share, 0.0, 1.0, open_low=True)
    path = np.zeros((steps + 1, 3))
    for t, responses in enumerate(path[:-1]):
        path[t + 1] = responses + h * limit_law_slopes(responses, c, tau, share)
    return LimitLaw(c, tau, h * np.arange(steps + 1), *path.T, share)


@entry
def limit_laws_of_both_classes(n_snr2: float, y: ArrayLike, y_obs: ArrayLike,
                               law: Callable[[float, float], LimitLaw]) -> dict[int, LimitLaw]:
    """The laws of the classes +1 and -1 in a run with these labels (prop-two-copies).

    Class y has the strength c_y = 2 c n_y / n and its own share of noisy samples, which must be below 1/2.

    Parameters
    ----------
    n_snr2
        c of the run.
    y, y_obs
        true and observed labels of the n samples, each -1 or +1.
    law
        makes a LimitLaw of a strength and a flip rate, e.g. `limit_law` at given times.
    """
    n_snr2, (y, y_obs) = checks.positive("n_snr2", n_snr2), labels_of_samples(y, y_obs)
    checks.require(len(set(y.tolist())) == 2, "y", y, "labels of both classes")
    return {side: law(2 * n_snr2 * np.mean(y == side), np.mean(y_obs[y == side] != side)) for side in (1, -1)}


@entry
def limit_margins_of_samples(laws: LimitLaw | Mapping[int, LimitLaw], y: ArrayLike,
                             y_obs: ArrayLike) -> Float[np.ndarray, "T n"]:
    """The margins that a law gives to n samples: one LimitLaw for all, or one for each class as in
    `limit_laws_of_both_classes`.
    """
    laws = {1: laws, -1: laws} if isinstance(laws, LimitLaw) else laws
    checks.require(set(laws) == {1, -1}, "laws", laws, "a LimitLaw, or one of each class, {1: ..., -1: ...}")
    y, y_obs = labels_of_samples(y, y_obs)
    columns = {(side, side * sign): law.clean_margin if sign > 0 else law.noisy_margin
               for side, law in laws.items() for sign in (1, -1)}
    return np.stack([columns[pair] for pair in zip(y, y_obs)], -1)


def limit_law_slopes(responses: Float[np.ndarray, "3"], c: float, tau: float, share: float) -> Float[np.ndarray, "3"]:
    """The right-hand side of (3): the derivatives of A, r_c and r_n in s."""
    signal, r_clean, r_noisy = responses
    clean, noisy = expit(-(signal + r_clean)), expit(-(r_noisy - signal))
    return np.array([c / 2 * ((1 - tau) * clean - tau * noisy), share * clean, share * noisy])


def limit_strength_and_rate(n_snr2: float, flip_rate: float) -> tuple[float, float]:
    """c and tau, checked."""
    return (checks.real("n_snr2", n_snr2, 0.0, LARGEST_N_SNR2, open_low=True),
            checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True))


def limit_law_times(value: ArrayLike) -> Float[np.ndarray, " T"]:
    """The times of a law, checked."""
    try:
        times = np.array(value, dtype=float)
    except (TypeError, ValueError):
        times = np.empty(0)
    valid = times.ndim == 1 and times.size > 0 and bool(np.all(np.diff(times) > 0))
    valid = valid and 0 <= times[0] and times[-1] <= LARGEST_TIME
    checks.require(valid, "times", value, f"strictly increasing numbers in [0, {LARGEST_TIME:g}]")
    return times


def _solve(c: float, tau: float, end: float, **options):
    """SciPy's solution for the margins (u, v) over x = log(1 + s), 0 to `end`: in log time the late law is smooth."""
    method, rtol = ("DOP853", 1e-12) if c <= STIFF else ("Radau", 1e-9)
    return solve_ivp(_slopes, (0.0, end), (0.0, 0.0), method=method, rtol=rtol, atol=1e-3 * rtol,
                     args=(c, tau), **options)


def _event(function: Callable[..., float]) -> Callable[..., float]:
    """`function` of (x, margins, c, tau) as a terminal event where it rises through 0."""
    function.terminal, function.direction = True, 1
    return function


def _slopes(x: float, margins: ArrayLike, c: float, tau: float) -> tuple[float, float]:
    """Equations (2), per unit of x = log(1 + s)."""
    a, b = c * (1 - tau), c * tau
    clean, noisy = (expit(-margin) for margin in margins)
    half_time = math.exp(x) / 2
    return half_time * ((1 + a) * clean - b * noisy), half_time * ((1 + b) * noisy - a * clean)
