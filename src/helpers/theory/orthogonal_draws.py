"""Draws whose signal and noise vectors are exactly orthogonal, so that no cross-talk hides what training does."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from helpers import checks
from helpers.data.signal_noise import Sample, SignalNoise
from helpers.engine.gram import InnerProducts
from helpers.entry import entry
from helpers.streams import random_stream


@entry
def orthogonal_sample(problem: SignalNoise, seed: int) -> Sample:
    """A Sample with the labels of `problem` whose signal and noise patches are exactly orthogonal.

    Needs d >= n + 1. All patches have the length that they have on average, ``|xi_i|^2 = noise_std^2 d``.
    """
    n, d = problem.n, problem.d
    seed = checks.integer("seed", seed, 0)
    checks.require(d >= n + 1, "problem.d", d, f">= n + 1 = {n + 1}")
    vectors = np.zeros((n + 1, d))
    vectors[np.arange(n + 1), np.arange(n + 1)] = problem.noise_std * math.sqrt(d)
    vectors[0, 0] = problem.mu_norm
    y, y_obs = problem.draw_labels(seed)
    return Sample(vectors[0], vectors[1:], y, y_obs, np.empty((0, d)), np.empty(0), problem)


@entry
def orthogonal_products(counts: Mapping[tuple[int, int], int], m: int, n_snr2: float, size: float,
                        seed: int) -> InnerProducts:
    """InnerProducts of an idealised draw, in units in which sigma^2 d = 1.

    An idealised draw has orthogonal vectors, noise patches of one length, given numbers of clean and noisy samples, and
    for each sample exactly half of the filters of either sign active at the start.

    Parameters
    ----------
    counts
        number of samples of each pair (y, y_obs), e.g. {(1, 1): 9, (1, -1): 1, (-1, -1): 9, (-1, 1): 1}.
    m
        filters of either sign, an even number.
    n_snr2
        c, so that ``|mu|^2 = c / n``.
    size
        b >= 0: initial responses are uniform in (0, b] up to sign; the signs and their sizes over b depend on `seed`
        alone. On the signal each sign is drawn; on a noise patch exactly m / 2 filters of either sign are active.
    seed
        of the random stream.
    """
    m = checks.integer("m", m, 2)
    checks.require(m % 2 == 0, "m", m, "even: half of the filters are active")
    for pair, count in counts.items():
        checks.require(set(pair) <= {1, -1} and count >= 0, "counts", counts, "numbers of samples by labels (+-1, +-1)")
    checks.require(0 < sum(counts.values()) <= 10**6, "counts", counts, "of one sample or more, at most 10^6")
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


@entry
def orthogonalise_products(products: InnerProducts, unit: float) -> InnerProducts:
    """The same labels and initial responses on orthogonal vectors, ``|mu|`` as it was, every ``|xi_i|^2 = unit``."""
    unit = checks.positive("unit", unit)
    squares = torch.full((len(products.gram),), unit, dtype=torch.float64)
    squares[0] = products.gram[0, 0]
    return replace(products, gram=torch.diag(squares))
