"""Limit laws of K classes with orthogonal signals, and the two levels at which losses settle (chapters 12 and 15).

Draws are idealised, and time and strength measured, as in `helpers.theory.variant_laws`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.noise_kinds import MatrixNoise
from helpers.entry import entry
from helpers.theory.limit import limit_law_times
from helpers.theory.variant_laws import LARGEST_STRENGTH, integrate_variant_law


class MulticlassLaw(NamedTuple):
    """The law of symmetric flips among K classes.

    Attributes
    ----------
    signal
        logit of the true class on its signal.
    r_clean, r_noisy
        logit of the observed class on a clean and on a noisy sample's noise patch.
    classes
        K, their number.
    """

    signal: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]
    classes: int

    @property
    def clean_margin(self) -> Float[np.ndarray, " T"]:
        """True logit minus the log-sum-exp of the others, of clean samples."""
        return self.signal + self.r_clean - np.log(self.classes - 1)

    @property
    def noisy_margin(self) -> Float[np.ndarray, " T"]:
        """Observed logit minus the log-sum-exp of the others, of noisy samples."""
        return self.r_noisy - np.log(np.exp(self.signal) + self.classes - 2)


@entry
def multiclass_law(n_snr2: float, flip_rate: float, classes: int, times: ArrayLike) -> MulticlassLaw:
    """The limit law of symmetric flips among K classes with orthogonal signals (prop-classes).

    Half of the filters of a class are active on its signal.

    Parameters
    ----------
    n_snr2, flip_rate, classes
        c, tau and K.
    times
        increasing, from 0 or later, in units of n m / (eta sigma^2 d) steps.

    Examples
    --------
    With more classes the same signal is learned more slowly:

    >>> from helpers.theory import multiclass_law
    >>> laws = [multiclass_law(8.0, 0.1, classes, [0.0, 1.0]) for classes in (2, 10)]
    >>> [round(float(law.signal[-1]), 2) for law in laws]
    [0.6, 0.3]
    """
    c, tau, classes = _strength_rate_classes(n_snr2, flip_rate, classes)
    others = classes - 1

    def slopes(_, state):
        signal, clean, noisy = state
        miss_clean = others / (others + np.exp(signal + clean))
        total = np.exp(signal) + np.exp(noisy) + others - 1
        gain = (1 - tau) * miss_clean - tau * np.exp(signal) / total
        return c / (2 * classes) * gain, miss_clean / 2, (1 - np.exp(noisy) / total) / 2

    return MulticlassLaw(*integrate_variant_law(slopes, 3, times), classes)


class MulticlassPairLaw(NamedTuple):
    """The law of pair flips, of each class to the next, among K classes.

    Attributes
    ----------
    signal, leak
        logits of the true class and of the next one on a signal.
    r_clean, r_noisy
        logit of the observed class on a clean and on a noisy sample's noise patch.
    classes
        K, their number.
    """

    signal: Float[np.ndarray, " T"]
    leak: Float[np.ndarray, " T"]
    r_clean: Float[np.ndarray, " T"]
    r_noisy: Float[np.ndarray, " T"]
    classes: int

    @property
    def clean_margin(self) -> Float[np.ndarray, " T"]:
        """True logit minus the log-sum-exp of the others, of clean samples."""
        return self.signal + self.r_clean - np.log(np.exp(self.leak) + self.classes - 2)

    @property
    def noisy_margin(self) -> Float[np.ndarray, " T"]:
        """Observed logit minus the log-sum-exp of the others, of noisy samples."""
        return self.leak + self.r_noisy - np.log(np.exp(self.signal) + self.classes - 2)


@entry
def multiclass_pair_law(n_snr2: float, flip_rate: float, classes: int, times: ArrayLike) -> MulticlassPairLaw:
    """The limit law of pair flips among K classes with orthogonal signals (prop-pair-law).

    Parameters
    ----------
    n_snr2
        c > 0.
    flip_rate
        tau in (0, 1/2), not 1/K.
    classes
        K >= 2.
    times
        increasing, from 0 or later, in units of n m / (eta sigma^2 d) steps.

    Raises
    ------
    ValueError
        On anything else, and where the leak would return to 0, at which the law ends.
    """
    c, tau, k = _strength_rate_classes(n_snr2, flip_rate, classes)
    tau = checks.real("flip_rate", flip_rate, 0.0, 0.5, open_low=True, open_high=True)
    checks.require(tau * k != 1, "flip_rate", tau, "other than 1/K, where the leak has no sign")
    times, zeros = limit_law_times(times), np.log(k - 2) if k > 2 else -np.inf  # K - 2 logits are 0

    def slopes(_, state):
        signal, leak, clean, noisy = state
        total_clean = np.logaddexp(np.logaddexp(signal + clean, leak), zeros)
        total_noisy = np.logaddexp(np.logaddexp(signal, leak + noisy), zeros)
        miss_clean, miss_noisy = -np.expm1(signal + clean - total_clean), -np.expm1(leak + noisy - total_noisy)
        gain = (1 - tau) * miss_clean - tau * np.exp(signal - total_noisy)
        gain_leak = tau * miss_noisy - (1 - tau) * np.exp(leak - total_clean)
        return c / (2 * k) * gain, (tau > 1 / k) * c / (2 * k) * gain_leak, miss_clean / 2, miss_noisy / 2

    states = integrate_variant_law(slopes, 4, times, method="LSODA")
    checks.require(bool((states[1] >= 0).all()), "times", times[-1], "a time up to which the leak is not negative")
    return MulticlassPairLaw(*states, k)


@entry
def multiclass_pair_lead(n_snr2: float, flip_rate: float, classes: int) -> float:
    """What has to exceed 1 for noisy samples of pair flips to be given their true label at first (prop-pair-law).

    With c, tau and K it is c/K (1 - K tau / (K - 1)) where tau <= 1/K, as for symmetric flips, and
    c (1 - 2 tau) / (K - 1) beyond.
    """
    n_snr2, flip_rate, k = _strength_rate_classes(n_snr2, flip_rate, classes)
    lead = 1 - flip_rate - 1 / k - max(flip_rate - 1 / k, 0.0)
    return n_snr2 * lead / (k - 1)


def _strength_rate_classes(n_snr2: float, flip_rate: float, classes: int) -> tuple[float, float, int]:
    """c, tau and K, checked."""
    k = checks.integer("classes", classes, 2, 10**6)
    return (checks.real("n_snr2", n_snr2, 0.0, LARGEST_STRENGTH, open_low=True),
            checks.real("flip_rate", flip_rate, 0.0, 1 - 1 / k, open_high=True), k)


@entry
def multiclass_loss_levels(noise: MatrixNoise, classes: int | Sequence[str]) -> tuple[float, float]:
    """Loss of a clean sample, and mean loss of a noisy one, for a network that answers T_y (prop-two-levels).

    T_y is the distribution of the observed label of class y. The levels are means over equally frequent classes of
    -log T_yy and, given a flip, of -log T_yj; the second is NaN where no label is ever wrong.

    Parameters
    ----------
    noise
        a kind of label noise with a transition matrix T.
    classes
        the names of the classes, or their number.
    """
    count = classes if isinstance(classes, int) else len(classes)
    checks.require(2 <= count <= 10**4, "classes", classes, "two classes or more, at most 10,000")
    matrix = noise.transition_matrix(classes)
    own = np.diag(matrix)
    checks.require(bool((own > 0).all()), "noise", noise, "one that leaves every class some right labels")
    off = matrix * (1 - np.eye(len(matrix)))
    cost = -np.sum(off * np.log(np.where(off > 0, off, 1.0)))
    return float(-(own * np.log(own)).sum() / own.sum()), float(cost / off.sum()) if off.sum() > 0 else np.nan
