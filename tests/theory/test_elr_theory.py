"""The limit law with ELR's term: its Euler scheme, and the least pull on a clean sample."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.theory import elr_theory as elr
from helpers.theory.elr_theory import elr_euler, elr_law


@pytest.mark.parametrize(("strength", "memory"), [(3.0, 0.5), (0.3, 2.0), (7.0, 0.2), (3.0, 0.0)])
def test_law_is_the_limit_of_its_euler_scheme(strength, memory):
    """The error halves with h, within a fifth, at s = 4; for strength 7 and 3, 0 past the time at which r_n stops."""
    errors = []
    for h in (0.02, 0.01):
        momentum = 1 - h / memory if memory else 0.0
        scheme = elr_euler(8.0, 0.1, strength, momentum, h, round(4 / h))
        law = elr_law(8.0, 0.1, strength, memory, [0.0, 4.0])
        errors.append(abs(scheme.noisy_margin[-1] / law.noisy_margin[-1] - 1))
    assert errors[1] < 0.05 and errors[0] / errors[1] == pytest.approx(2, rel=0.2)


@settings(max_examples=40)
@given(st.floats(0.05, 9), st.floats(0.01, 0.5), st.floats(0.5, 1), st.floats(1, 30))
def test_least_clean_pull_is_the_minimum(strength, largest, w, ratio):
    q = np.linspace(0, largest, 20_001)
    values = q + strength * (1 - q) * np.maximum(w - ratio * q, 0) / (w + (1 - q) * ratio)
    least = elr._least_clean_pull(strength, largest, w, ratio)
    # at most the slope, 1 + strength (1 + ratio), times half the grid's step below
    assert least <= values.min() + 1e-12 and least >= values.min() - (1 + strength * (1 + ratio)) * largest / 40_000
