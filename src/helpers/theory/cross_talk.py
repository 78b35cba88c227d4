"""Cross-talk: how much of a learned direction leaks where it does not belong (lem-cross-talk)."""

import math
from dataclasses import dataclass

from helpers import checks
from helpers.data.signal_noise import SignalNoise, noise_dimension
from helpers.engine.gram import InnerProducts
from helpers.entry import entry
from helpers.theory.concentration import good_event_log


@dataclass(frozen=True)
class CrossTalk:
    """How much of a learned direction leaks where it does not belong, in units of the coefficients gamma and rho.

    Attributes
    ----------
    noise_on_noise
        max over k of ``sum_{i != k} |<xi_i, xi_k>| / |xi_i|^2``.
    noise_on_signal
        ``sum_i |<xi_i, mu>| / |xi_i|^2``.
    signal_on_noise
        max over i of ``|<mu, xi_i>| / |mu|^2``.
    """

    noise_on_noise: float
    noise_on_signal: float
    signal_on_noise: float


@entry
def cross_talk_bounds(problem: SignalNoise, m: int, delta: float) -> CrossTalk:
    """The bounds of lem-cross-talk, which hold on the good event of probability 1 - delta.

    Raises
    ------
    ValueError
        Where the noise fills fewer than 24 Lambda dimensions (`good_event_log`), where the lemma is silent.
    """
    n, d, log = problem.n, noise_dimension(problem), good_event_log(problem.n, m, delta)
    checks.require(d >= 24 * log, "dimension of the noise", d, f">= 24 Lambda = {24 * log:.1f}")
    noise = 2 * n * math.sqrt(3 * log / d)
    if problem.orthogonal:
        return CrossTalk(noise, 0.0, 0.0)
    ratio = problem.mu_norm / problem.noise_std
    return CrossTalk(noise, 2 * n * ratio * math.sqrt(2 * log) / d, math.sqrt(2 * log) / ratio)


def cross_talk_of_draw(products: InnerProducts) -> CrossTalk:
    """The cross-talk in one draw."""
    squares = products.gram.diagonal()
    leaks = products.gram.abs() / squares[:, None]  # row: the direction learned; column: the patch that hears it
    leaks = leaks - leaks.diagonal().diag()
    parts = leaks[1:, 1:].sum(0).max(), leaks[1:, 0].sum(), leaks[0, 1:].max()
    return CrossTalk(*map(float, parts))
