"""What theory says about the variants of chapter 11: limit laws, growth rates and thresholds, for idealised draws.

An idealised draw has orthogonal vectors, noise patches of one length, classes and flips in exact proportion, and
initial responses that vanish. Time is s = h t with h = eta sigma^2 d / (n m), strength c = n |mu|^2 / (sigma^2 d), and
g(z) = 1 / (1 + e^z); see `helpers.limit` for the law that these modify.
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from helpers import checks
from helpers.streams import random_stream
from helpers.theory.limit import limit_law


def leaky_threshold(leak):
    """The value of c (1 - 2 tau) above which noisy samples are first given their true label, slope `leak` in (0, 1]:
    2 (1 + leak^2) / (1 + leak)^2, and 1 for relu, leak = 0, where half of the filters sleep."""
    leak = checks.real("leak", leak, 0.0, 1.0)
    return 2 * (1 + leak**2) / (1 + leak) ** 2 if leak else 1.0


def leaky_law(n_snr2, flip_rate, leak, times):
    """The limit law of leaky relu, leak in (0, 1]: relu's, with c / leaky_threshold for c, 2 (1 + leak^2) s for s."""
    leak = checks.real("leak", leak, 0.0, 1.0, open_low=True)
    return limit_law(n_snr2 / leaky_threshold(leak), flip_rate, 2 * (1 + leak**2) * np.asarray(times, float))


class PairLaw(NamedTuple):
    """Responses (T,) to the signal and to the recurring patch, noise responses of the three kinds of samples."""

    signal: np.ndarray
    recurring: np.ndarray
    r_agreeing: np.ndarray
    r_opposed: np.ndarray
    r_noisy: np.ndarray

    @property
    def noisy_margin(self):
        """(T,) of samples with a = -y whose label was flipped, so that a = y_obs."""
        return self.recurring - self.signal + self.r_noisy


def pair_law(n_snr2, strength, flip_rate, times):
    """The limit law where flips fall on a = -y only, with probability 2 tau, beside a patch a nu of `strength`.

    Three kinds of samples: a = y (share 1/2, clean), a = -y clean (1/2 - tau), a = -y flipped (tau).
    """
    c, c_nu, tau = n_snr2, strength, flip_rate

    def slopes(_, state):
        signal, recurring, agreeing, opposed, noisy = state
        g_agreeing = expit(-(signal + recurring + agreeing))
        g_opposed, g_noisy = expit(-(signal - recurring + opposed)), expit(-(recurring - signal + noisy))
        clean, rest = g_agreeing / 2, (0.5 - tau) * g_opposed - tau * g_noisy
        return c / 2 * (clean + rest), c_nu / 2 * (clean - rest), g_agreeing / 2, g_opposed / 2, g_noisy / 2

    return PairLaw(*_integrate(slopes, 5, times))


class ClassesLaw(NamedTuple):
    """Logit (T,) of the true class on its signal, of the observed class on a clean and on a noisy sample's patch."""

    signal: np.ndarray
    r_clean: np.ndarray
    r_noisy: np.ndarray
    classes: int

    @property
    def noisy_margin(self):
        """(T,) observed logit minus the log-sum-exp of the others, of noisy samples."""
        return self.r_noisy - np.log(np.exp(self.signal) + self.classes - 2)


def classes_law(n_snr2, flip_rate, classes, times):
    """The limit law of K classes with orthogonal signals: half of the filters of a class are active on its signal."""
    c, tau, others = n_snr2, flip_rate, classes - 1

    def slopes(_, state):
        signal, clean, noisy = state
        miss_clean = others / (others + np.exp(signal + clean))
        total = np.exp(signal) + np.exp(noisy) + others - 1
        gain = (1 - tau) * miss_clean - tau * np.exp(signal) / total
        return c / (2 * classes) * gain, miss_clean / 2, (1 - np.exp(noisy) / total) / 2

    return ClassesLaw(*_integrate(slopes, 3, times), classes)


def _integrate(slopes, size, times):
    times = np.asarray(times, float)
    solution = solve_ivp(slopes, (0.0, times[-1]), np.zeros(size), t_eval=times, rtol=1e-9, atol=1e-12)
    return solution.y


def squared_passage(rate, start, level, h):
    """Time s at which start^2 / 2 (1 + h rate)^(2 s / h) reaches `level`: the mean over filters of relu(z)^2 when half
    of the z are positive, have mean square start^2 and grow by the factor 1 + h rate a step."""
    return np.log(np.sqrt(2 * level) / start) * h / np.log1p(h * rate)


def squared_threshold(n, flip_rate, start, level, *, h=0.0):
    """The c (1 - 2 tau) above which a squared relu lifts the signal to `level` before the noise, in steps h of s.

    start : sigma_0 sigma sqrt(d), typical initial response to a noise patch; to the signal it is sqrt(c / n) of it.
    For h = 0 it solves c (1 - 2 tau) = 2 + log(n / c) / log(sqrt(2 level) / start). Found by iteration.
    """
    lead, logarithm = 2.0, np.log(np.sqrt(2 * level) / start)
    for _ in range(100):
        ratio = 1 + np.log(n * (1 - 2 * flip_rate) / lead) / (2 * logarithm)  # of the logarithmic growth rates
        lead = 2 * (np.expm1(ratio * np.log1p(h)) / h if h else ratio)
    return float(lead)


def label_noise_drift(h, flip_rate, *, steps=3000, samples=500, seed=0):
    """D, the mean of (1 - p) g(r) - p g(-r) in the stationary state of a squared relu's noise response r.

    Each step multiplies r by (1 + 2 h g(r))^2, or with probability p, the step's flip, by (1 - 2 h g(-r))^2: the
    response of an idealised draw before the signal matters. As the mean of log r stands still, D is also the mean of
    [(1 - p) psi(2 h g(r)) + p psi(-2 h g(-r))] / (2 h) with psi(x) = x - log(1 + x), which scatters less; that is
    averaged over the second half of a simulation. h in (0, 1/2), p in (0, 1/2).
    """
    h = checks.real("h", h, 0.0, 0.5, open_low=True, open_high=True)
    p = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    rng, response, drift = random_stream(seed, "label-noise chain"), np.full(samples, np.log(1 / p - 1)), 0.0
    for step in range(steps):
        up, down = 2 * h * expit(-response), -2 * h * expit(response)
        if step >= steps // 2:
            drift += ((1 - p) * (up - np.log1p(up)) + p * (down - np.log1p(down))).mean() / (steps - steps // 2)
        response = response * (1 + np.where(rng.random(samples) < p, down, up)) ** 2
    return drift / (2 * h)


def loss_levels(noise, classes):
    """(clean, noisy): loss of a clean sample, and mean loss of a noisy one, if the network gives each sample the soft
    label T_y (prop-two-levels): means over equally frequent classes of -log T_yy and, given a flip, of -log T_yj.

    noise : a kind with a transition matrix. classes : as its `transition_matrix` takes them.
    """
    matrix = noise.transition_matrix(classes)
    own = np.diag(matrix)
    checks.require(bool((own > 0).all()), "noise", noise, "one that leaves every class some right labels")
    off = matrix * (1 - np.eye(len(matrix)))
    cost = -np.sum(off * np.log(np.where(off > 0, off, 1.0)))
    return float(-(own * np.log(own)).sum() / own.sum()), float(cost / off.sum()) if off.sum() > 0 else np.nan


class NextClassLaw(NamedTuple):
    """Logits (T,) of the true class and of the next one on a signal, and of the observed class on a clean and on a
    noisy sample's noise patch."""

    signal: np.ndarray
    leak: np.ndarray
    r_clean: np.ndarray
    r_noisy: np.ndarray
    classes: int

    @property
    def clean_margin(self):
        """(T,) true logit minus the log-sum-exp of the others, of clean samples."""
        return self.signal + self.r_clean - np.log(np.exp(self.leak) + self.classes - 2)

    @property
    def noisy_margin(self):
        """(T,) observed logit minus the log-sum-exp of the others, of noisy samples."""
        return self.leak + self.r_noisy - np.log(np.exp(self.signal) + self.classes - 2)


def next_class_law(n_snr2, flip_rate, classes, times):
    """The limit law of pair flips among K = `classes` >= 2 classes with orthogonal signals (prop-pair-law).

    n_snr2 : c. flip_rate : tau in (0, 1/2), not 1/K. times : (T,) increasing, from 0 or later, of
    s = eta sigma^2 d t / (n m). Raises ValueError, also where the leak would return to 0, at which the law ends.
    """
    c, k = checks.positive("n_snr2", n_snr2), checks.integer("classes", classes, 2)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    checks.require(tau * k != 1, "flip_rate", tau, "other than 1/K, where the leak has no sign")
    times, zeros = np.asarray(times, float), np.log(k - 2) if k > 2 else -np.inf  # K - 2 logits are 0

    def slopes(_, state):
        signal, leak, clean, noisy = state
        total_clean = np.logaddexp(np.logaddexp(signal + clean, leak), zeros)
        total_noisy = np.logaddexp(np.logaddexp(signal, leak + noisy), zeros)
        miss_clean, miss_noisy = -np.expm1(signal + clean - total_clean), -np.expm1(leak + noisy - total_noisy)
        gain = (1 - tau) * miss_clean - tau * np.exp(signal - total_noisy)
        gain_leak = tau * miss_noisy - (1 - tau) * np.exp(leak - total_clean)
        return c / (2 * k) * gain, (tau > 1 / k) * c / (2 * k) * gain_leak, miss_clean / 2, miss_noisy / 2

    states = solve_ivp(slopes, (0.0, times[-1]), np.zeros(4), t_eval=times, rtol=1e-9, atol=1e-12, method="LSODA").y
    checks.require(bool((states[1] >= 0).all()), "times", times[-1], "a time up to which the leak is not negative")
    return NextClassLaw(*states, k)


def next_class_lead(n_snr2, flip_rate, classes):
    """What has to exceed 1 for noisy samples of pair flips to be given their true label at first (prop-pair-law):
    c/K (1 - K tau / (K - 1)) where tau <= 1/K, as for symmetric flips, and c (1 - 2 tau) / (K - 1) beyond."""
    k = checks.integer("classes", classes, 2)
    lead = 1 - flip_rate - 1 / k - max(flip_rate - 1 / k, 0.0)
    return n_snr2 * lead / (k - 1)
