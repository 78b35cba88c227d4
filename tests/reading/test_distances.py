"""Distances of two distributions of losses, of known shapes and over time."""

import numpy as np
import pytest
from problems import two_groups
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from helpers.reading.distances import binned_tv_distance, loss_distances, loss_distances_over_time
from helpers.reading.selection import selection_auc
from helpers.record import Record
from helpers.streams import random_stream


def test_distances_of_a_known_shape():
    """Log losses normal, unit variance, gap 1.5: ks, auc, w1_log are known; the shape distance is sampling error."""
    rng = random_stream(0, "normals")
    flipped = np.arange(40_000) < 10_000
    found = loss_distances(np.exp(rng.standard_normal(40_000) + 1.5 * flipped), flipped)
    assert found.ks == pytest.approx(2 * norm.cdf(0.75) - 1, abs=0.015)
    assert found.auc == pytest.approx(norm.cdf(1.5 / 2**0.5), abs=0.01)
    assert found.w1_log == pytest.approx(1.5, abs=0.04) and found.shape < 0.02
    wide = loss_distances(np.exp(rng.standard_normal(40_000) * np.where(flipped, 3.0, 1.0)), flipped)
    assert wide.shape > 0.15


def test_distances_validate_their_arguments():
    assert all(np.isnan(value) for value in loss_distances([1.0, 2.0], [False, False]))
    with pytest.raises(ValueError, match="losses="):
        loss_distances([0.0, 2.0], [True, False])
    with pytest.raises(ValueError, match=r"flipped\.shape="):
        loss_distances([1.0, 2.0], [True])


def test_binned_total_variation_grows_to_one():
    """Finer bins never give less; in the end each value has a bin of its own."""
    losses, flipped = two_groups(3, n=200)
    nested = [binned_tv_distance(losses[~flipped], losses[flipped], np.linspace(0, 16, 2**k + 1)) for k in range(1, 21)]
    assert (np.diff(nested) >= -1e-12).all() and nested[-1] == 1.0 and nested[0] < 0.7


def test_distances_over_time_agree_with_the_ranking():
    rng = random_stream(1, "margins")
    y = rng.integers(0, 2, (3, 50)) * 2.0 - 1
    record = Record(np.arange(4), y, np.where(rng.random((3, 50)) < 0.3, -y, y), rng.normal(size=(3, 4, 50)))
    found = loss_distances_over_time(record)
    assert found.ks.shape == (3, 4)
    np.testing.assert_allclose(found.auc, selection_auc(record), atol=1e-12)
    assert found.auc[2, 1] == pytest.approx(roc_auc_score(record.flipped[2], record.losses[2, 1]))
