"""Draws that the tests of the limit law and of the distance from it share."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from helpers import SignalNoise

UNIT = SignalNoise(200, 10**6, n_snr2=1.0, noise_std=1e-3)  # sigma^2 d = 1, the unit of orthogonal_products
strengths = st.floats(0.05, 50.0)
flip_rates = st.one_of(st.just(0.0), st.floats(1e-3, 0.49))


def drawn(test):
    return settings(max_examples=40, deadline=None)(given(strengths, flip_rates)(test))


def balanced(n=200, tau=0.1):
    noisy = round(n / 2 * tau)
    return {(side, side * sign): noisy if sign < 0 else n // 2 - noisy for side in (1, -1) for sign in (1, -1)}


def disturbed(products, rng, shares=0.0, cross=0.0, norms=0.0):
    """A near-ideal draw: a share of the activations switched, inner products and norms off by so much."""
    size = len(products.gram)
    noise = rng.uniform(-1, 1, (size, size))
    gram = products.gram.numpy() + cross * np.triu(noise, 1) + cross * np.triu(noise, 1).T
    gram[np.arange(1, size), np.arange(1, size)] *= 1 + norms * rng.uniform(-1, 1, size - 1)
    signs = torch.from_numpy(np.where(rng.random(products.responses.shape) < shares, -1.0, 1.0))
    return replace(products, gram=torch.from_numpy(gram), responses=products.responses * signs)
