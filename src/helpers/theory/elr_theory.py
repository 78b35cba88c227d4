"""Early-learning regularisation in the signal-noise world: pulls, limit law, thresholds, contrary samples (chapter 17,
after Liu et al. 2020).

Let z be a sample's margin, P = sigmoid(z) the probability of its observed label, ``own`` and ``other`` its targets for
the observed and for the other class. With the target margin Delta = log((1 - other) / (1 - own)), minus the derivative
of cross-entropy + lambda log(1 - <p, t>) in the margin is (prop-elr-pull)::

    G = (1 - lambda) g(z) + lambda g(z - Delta),      g(z) = 1 / (1 + e^z).                                  (1)

The limit law is chapter 3's with G in the place of g, in the time s = eta sigma^2 d t / (n m) (def-elr-law)::

    dA/ds = (c/2) [(1 - tau) G_c - tau G_n],   dr_c/ds = G_c / 2,   dr_n/ds = G_n / 2 until r_n is back at 0.     (2)

Targets follow with the memory theta: d own/ds = (P - own) / theta, d other/ds = (1 - P - other) / theta, both from 0;
theta = h / (1 - beta) for steps of size h. In the settled law, theta = 0, Delta = z. A noise response r_n that is
pushed back to 0 stays there: relu passes no gradient any more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import expit, log_expit

from helpers import checks
from helpers.engine.elr_term import TERMS
from helpers.entry import entry
from helpers.theory.limit import LimitMargins, limit_law_times

SOLVER = {"method": "LSODA", "rtol": 1e-9, "atol": 1e-12}
Values = float | Float[np.ndarray, "..."]  # a number, or arrays that broadcast


@entry
def elr_pull(margin: Values, target_margin: Values, strength: Values) -> Values:
    """G of (1): minus the derivative of a sample's loss in its margin, with lambda = `strength` >= 0."""
    _pulling(strength)
    shape = np.broadcast_shapes(np.shape(margin), np.shape(strength))
    checks.broadcast("target_margin", np.asarray(target_margin), shape)
    return _pull(margin, target_margin, strength)


def _pull(margin: Values, target_margin: Values, strength: Values) -> Values:
    return (1 - strength) * expit(-margin) + strength * expit(target_margin - margin)


@entry
def settled_elr_pull(margin: ArrayLike, strength: Values) -> Values:
    """(1) with Delta = z: [1 + (lambda - 1) tanh(z / 2)] / 2 (prop-elr-settled)."""
    _pulling(strength)
    checks.broadcast("strength", np.asarray(strength), np.shape(margin))
    return (1 + (strength - 1) * np.tanh(np.asarray(margin) / 2)) / 2


def _kl_pull(margin: Values, own: Values, other: Values, strength: Values) -> Values:
    """The pull with strength times KL(t || p) in the term's place, whose derivative in the logits is ``|t| p - t``."""
    return expit(-margin) + strength * (own - (own + other) * expit(margin))


def _pulling(strength: Values) -> None:
    checks.require(bool(np.all(np.asarray(strength) >= 0)), "strength", strength, "0 or more")


@entry
def elr_dividing_margin(strength: float) -> float:
    """z* = -log(lambda / (lambda - 2)), below which the settled pull goes to the other label; -inf for lambda <= 2."""
    strength = checks.real("strength", strength, 0.0)
    return -math.log(strength / (strength - 2)) if strength > 2 else -math.inf


@entry
def elr_strength_needed(n_snr2: float, flip_rate: float) -> float:
    """lambda_c = (1 + c tau) / (c (1 - tau)), from which on noisy margins stay below 0 (thm-elr-settled)."""
    c, tau = _strengths(n_snr2, flip_rate)
    return (1 + c * tau) / (c * (1 - tau))


@entry
def elr_last_noisy_margin(n_snr2: float, flip_rate: float, strength: float) -> float:
    """The limit of the noisy margin in the settled law where c (1 - 2 tau) > 1 and lambda > 0 (thm-elr-settled)."""
    strength, ratio = checks.positive("strength", strength), 1 / elr_strength_needed(n_snr2, flip_rate)
    checks.require(n_snr2 * (1 - 2 * flip_rate) > 1, "n_snr2", n_snr2, "above 1 / (1 - 2 flip_rate): Stage I exists")
    if strength * (1 + ratio) >= 2:
        return -math.inf
    return 2 * math.atanh((1 - ratio * strength) / (1 - strength))


def elr_late_strength_needed(n_snr2: float, flip_rate: float, memory: float) -> float:
    """lambda_c (1 - theta U / 2) / (1 - theta U) with U = (1 + c) / (4 c (1 - tau)); inf for theta U >= 1.

    Where it is below 1, the late balance of the law (eq-elr-late) puts the noisy margin above 0 for smaller strengths.
    """
    lag = memory * (1 + n_snr2) / (4 * n_snr2 * (1 - flip_rate))
    return elr_strength_needed(n_snr2, flip_rate) * (1 - lag / 2) / (1 - lag) if lag < 1 else math.inf


@dataclass(frozen=True, eq=False)
class ElrLaw(LimitMargins):
    """The law, or its Euler scheme, at `times` s = eta sigma^2 d t / (n m).

    Attributes
    ----------
    times, signal, r_clean, r_noisy
        s, A, r_c and r_n.
    miss_clean, miss_noisy
        1 - own and 1 - other, what the targets of clean and of noisy samples lack of 1.
    """

    times: Float[np.ndarray, " T"]
    signal: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]
    miss_clean: Float[np.ndarray, "2 T"]
    miss_noisy: Float[np.ndarray, "2 T"]

    @property
    def noisy_target_margin(self) -> Float[np.ndarray, " T"]:
        """Delta of noisy samples: positive where their target believes the wrong label."""
        return np.log(self.miss_noisy[1]) - np.log(self.miss_noisy[0])

    @entry
    def reused_noise_error(self, flip_rate: float) -> Float[np.ndarray, " T"]:
        """Error on true labels of test samples with a noise patch of the training set, as in `LimitLaw`."""
        flip_rate = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
        return self._reused_error(flip_rate)


@entry
def elr_law(n_snr2: float, flip_rate: float, strength: float, memory: float, times: ArrayLike) -> ElrLaw:
    """The limit law of early-learning regularisation, (2), from s = 0 (def-elr-law).

    Parameters
    ----------
    n_snr2, flip_rate
        c > 0 and tau in [0, 1/2).
    strength
        lambda >= 0, the weight of the regulariser.
    memory
        theta >= 0 in units of s; 0 is the settled law, in which t = p at all times.
    times
        increasing from 0 on, such that margins stay below about 700.

    Examples
    --------
    A term that is strong enough keeps noisy samples from being memorised:

    >>> from helpers.theory import elr_law
    >>> laws = [elr_law(8.0, 0.1, strength, 1.0, [0.0, 30.0]) for strength in (0.0, 3.0)]
    >>> [round(float(law.noisy_margin[-1]), 1) for law in laws]
    [1.9, -20.8]
    """
    c, tau = _strengths(n_snr2, flip_rate)
    strength, memory = checks.real("strength", strength, 0.0), checks.real("memory", memory, 0.0)
    times = limit_law_times(times)

    def slopes(_, state, alive):
        margins = np.array([state[0] + state[1], state[2] - state[0]])
        own, other = state[3:].reshape(2, -1) if memory else (log_expit(-margins), log_expit(margins))
        clean, noisy = _pull(margins, other - own, strength)
        rates = c / 2 * ((1 - tau) * clean - tau * noisy), clean / 2, alive * noisy / 2
        if not memory:
            return np.array(rates)
        follow = [np.expm1(log_expit(-side * margins) - log) / memory for side, log in ((1, own), (-1, other))]
        return np.concatenate([rates, *follow])

    path = _integrate_until_silent(slopes, np.zeros(7 if memory else 3), times)
    margins = np.array([path[0] + path[1], path[2] - path[0]])
    miss = np.exp(path[3:].reshape(2, 2, -1)) if memory else np.array([expit(-margins), expit(margins)])
    return ElrLaw(times, *path[:3], miss[:, 0], miss[:, 1])


def _integrate_until_silent(slopes: Callable, state: Float[np.ndarray, " size"],
                            times: Float[np.ndarray, " T"]) -> Float[np.ndarray, "size T"]:
    """The path from `state`: with alive = True until r_n falls to 0, then with alive = False."""
    def silent(s, now, alive):
        return now[2] if s > 0 else 1.0  # the start, where r_n = 0 rises, is no event

    silent.terminal, silent.direction = True, -1
    first = solve_ivp(slopes, (0.0, times[-1]), state, args=(True,), events=silent, dense_output=True, **SOLVER)
    end = first.t[-1]
    parts = [first.sol(times[times <= end])]
    if end < times[-1]:
        rest = times[times > end]
        parts.append(solve_ivp(slopes, (end, times[-1]), first.y[:, -1], args=(False,), t_eval=rest, **SOLVER).y)
    return np.concatenate(parts, 1)


@entry
def elr_euler(n_snr2: float, flip_rate: float, strength: float, momentum: float, h: float, steps: int, *,
              term: str = "elr", clamp: float = 0.0) -> ElrLaw:
    """The Euler scheme of (2) with step h, as an ElrLaw at the times 0, h, ..., steps h.

    It is what gradient descent does on an idealised draw (prop-elr-exact): each step first moves the targets by
    `momentum`, then evaluates the pulls.

    Parameters
    ----------
    n_snr2, flip_rate, strength
        c, tau and lambda, as in `elr_law`.
    momentum
        beta in [0, 1); the memory is theta = h / (1 - beta).
    h, steps
        the step in s, and the number of steps.
    term, clamp
        as in `helpers.engine.variants.Variant`.
    """
    c, tau = _strengths(n_snr2, flip_rate)
    beta = checks.real("momentum", momentum, 0.0, 1.0, open_high=True)
    strength, h = checks.real("strength", strength, 0.0), checks.positive("h", h)
    clamp = checks.real("clamp", clamp, 0.0, 0.5, open_high=True)
    state, miss, alive = np.zeros(3), np.ones((2, 2)), True
    path, misses = [state], [miss]
    for _ in range(checks.integer("steps", steps)):
        margins = np.array([state[0] + state[1], max(state[2], 0.0) - state[0]])
        p, q = (np.clip(expit(side * margins), clamp, 1 - clamp) for side in (1, -1))
        miss = beta * miss + (1 - beta) * np.array([q, p])
        clean, noisy = _term_pull(margins, miss, strength, term, clamp)
        rates = c / 2 * ((1 - tau) * clean - tau * noisy), clean / 2, alive * noisy / 2
        state = state + h * np.array(rates)
        alive = alive and state[2] > 0
        path.append(state)
        misses.append(miss)
    signal, r_clean, r_noisy = np.array(path).T
    miss_clean, miss_noisy = np.array(misses).transpose(2, 1, 0)
    return ElrLaw(h * np.arange(steps + 1), signal, r_clean, np.maximum(r_noisy, 0), miss_clean, miss_noisy)


def _term_pull(margins: Values, miss: Values, strength: float, term: str, clamp: float) -> Values:
    if checks.one_of("term", term, TERMS) == "kl":
        return _kl_pull(margins, 1 - miss[0], 1 - miss[1], strength)
    inside = np.abs(margins) <= np.log1p(-clamp) - np.log(clamp) if clamp else True
    return _pull(margins, np.log(miss[1]) - np.log(miss[0]), strength * inside)


class ElrCertificate(NamedTuple):
    """The constants of thm-elr-memory at one time s1 of a law.

    Attributes
    ----------
    ratio
        r-bar.
    least_pull
        G_0.
    needed
        max((1 + b) / (2 a), b / (a - 1)).
    holds
        whether every hypothesis does, so that the noisy margin stays below 0 from s1 on.
    """

    ratio: float
    least_pull: float
    needed: float
    holds: bool


@entry
def elr_certificate(law: ElrLaw, k: int, n_snr2: float, flip_rate: float, strength: float,
                    memory: float) -> ElrCertificate:
    """Certificate at ``law.times[k]`` of a law with memory > 0; the other arguments are those that made it."""
    checks.place("k", k, len(law.times))
    n_snr2, flip_rate = _strengths(n_snr2, flip_rate)
    strength, memory = checks.real("strength", strength, 0.0), checks.positive("memory", memory)
    a, b, over = n_snr2 * (1 - flip_rate), n_snr2 * flip_rate, max(strength - 1, 0.0)
    own, other = law.miss_clean[:, k]
    q, room = float(expit(-law.clean_margin[k])), 1 - memory * b * over / 2
    bound = (1 + memory * (1 + a) * max(1.0, strength) / 2) / room if room > 0 else math.inf
    ratio = max(own / q, bound)
    least = _least_clean_pull(strength, q, min(other, 1 - q), ratio) if ratio < math.inf else 0.0
    needed = max((1 + b) / (2 * a), b / (a - 1)) if a > 1 else math.inf
    here = law.clean_margin[k] >= 0 and own <= other and law.r_clean[k] < law.signal[k]
    here = here and law.noisy_margin[k] <= 0 and law.noisy_target_margin[k] <= 0
    return ElrCertificate(ratio, least, needed, bool(here and least > needed))


def _least_clean_pull(strength: float, largest_miss: float, w: float, ratio: float) -> float:
    """G_0: the least of (1 - lambda) Q + lambda w / (w + r (1 - Q)) over 0 <= Q <= min(largest_miss, w / r).

    The function is convex in Q; for lambda <= 1 it rises.
    """
    end, best = min(largest_miss, w / ratio), 0.0
    if strength > 1:
        best = np.clip((w + ratio - math.sqrt(strength * w * ratio / (strength - 1))) / ratio, 0.0, end)
    return float((1 - strength) * best + strength * w / (w + ratio * (1 - best)))


def _strengths(n_snr2: float, flip_rate: float) -> tuple[float, float]:
    """c and tau, checked."""
    return checks.positive("n_snr2", n_snr2), checks.real("flip_rate", flip_rate, 0.0, 0.5, open_high=True)
