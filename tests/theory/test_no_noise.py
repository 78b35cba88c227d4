"""Bounds for data without flips refuse data with flips."""

import pytest

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products
from helpers.theory.no_noise import no_noise_bounds
from helpers.theory.orthogonal_draws import orthogonal_sample


def test_no_noise_rejects_flips():
    law = SignalNoise(30, 31, n_snr2=4.0, flip_plus=0.3, flip_minus=0.3)
    sample = orthogonal_sample(law, 0)
    record = descend(sample, 5, 1e-3, 0.1 * 150 / 31, 5, [0], n_test=1)
    with pytest.raises(ValueError, match="without label noise"):
        no_noise_bounds(record, inner_products(sample, 5, 1e-3, 0))
