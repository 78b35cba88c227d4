"""Every draw has a stream of its own, and a seed fixes it."""

import numpy as np
import pytest

from helpers import SignalNoise, TwoLayerCNN
from helpers.streams import random_stream


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_sample_and_initial_weights_of_one_seed_share_no_normals(seed):
    drawn = SignalNoise(20, 5000, snr=0.1).sample(seed, n_test=20)
    weight = TwoLayerCNN(5000, 10, 1.0, seed).weight.detach()
    sources = [drawn.xi.flatten().numpy(), drawn.xi_test.flatten().numpy(), weight.flatten().numpy()]
    for i, one in enumerate(sources):
        for other in sources[:i]:
            assert np.intersect1d(one, other).size == 0
            # Independent normals correlate by 1 / sqrt(100,000) = 0.003; five times that is met by chance once in 2e6.
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(one))


def test_each_stream_and_each_seed_is_its_own_draw():
    names = ("labels", "noise", "test noise", "test labels", "weights", "inner products", "test draws")
    draws = [random_stream(seed, name).standard_normal(1000) for name in names for seed in (0, 1, 2**32)]
    assert np.unique(np.concatenate(draws)).size == 1000 * len(draws)
    assert np.array_equal(draws[0], random_stream(0, "labels").standard_normal(1000))
