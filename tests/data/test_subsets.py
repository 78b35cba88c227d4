"""Keeping some samples, and holding some out."""

import numpy as np
import pytest
import torch
from problems import problem

from helpers import descend
from helpers.data import raters
from helpers.data.datasets import load_digits
from helpers.data.label_noise import add_label_noise
from helpers.data.subsets import hold_out, keep_samples
from helpers.theory.limit import limit_law


def test_keep_samples_cuts_rows_and_keeps_the_signal():
    sample = problem(500, tau=0.2, n=40).sample(3, n_test=7)
    kept = ~sample.flipped.numpy()
    cut = keep_samples(sample, kept)
    assert cut.n == kept.sum() and torch.equal(cut.mu, sample.mu) and len(cut.y_test) == 7
    assert cut.distribution.mu_norm == sample.distribution.mu_norm
    assert cut.distribution.n_snr2 == pytest.approx(8.0 * kept.mean())
    rows = np.flatnonzero(np.append(True, kept))
    torch.testing.assert_close(cut.gram, sample.gram[rows][:, rows])
    assert not cut.flipped.any()
    again = descend(cut, 4, 1e-3, 0.2, 5, 0)
    explicit = descend(cut, 4, 1e-3, 0.2, 5, 0, engine="explicit")
    np.testing.assert_allclose(again.margins, explicit.margins, atol=1e-12)
    whole = descend(keep_samples(sample, np.ones(40, bool)), 4, 1e-3, 0.2, 5, 0)
    np.testing.assert_allclose(whole.margins, descend(sample, 4, 1e-3, 0.2, 5, 0).margins, atol=1e-12)


def test_keep_samples_of_images_and_its_refusals():
    data = add_label_noise(load_digits(), 0.2, seed=0)
    cut = keep_samples(data, data.flipped)
    assert cut.n == data.flipped.sum() and cut.flipped.all() and len(cut.y_test) == len(data.y_test)
    assert np.array_equal(cut.x, data.x[data.flipped])
    assert cut.noise["realised_flip_rate"] == 1 and keep_samples(data, ~data.flipped).noise["realised_flip_rate"] == 0
    held = hold_out(data, 300)
    assert held.noise["realised_flip_rate"] == held.flipped.mean() != data.flipped.mean()
    for bad in (np.ones(3, bool), np.zeros(data.n, bool), np.ones(data.n)):
        with pytest.raises(ValueError, match="kept"):
            keep_samples(data, bad)
    with pytest.raises(ValueError, match="data"):
        keep_samples(problem(500, tau=0.2, n=4), np.ones(4, bool))


def test_retraining_on_clean_samples_follows_the_law_at_the_smaller_strength():
    """eq-retraining: c' = c kept, tau' = 0. At d = 10^5 the signal response at s = 2 is the law's with c', not c."""
    law = problem(10**5, c=4.0, tau=0.3)
    sample = law.sample(0)
    kept = ~sample.flipped.numpy()
    cut = keep_samples(sample, kept)
    found = descend(cut, 50, 0.3 / 10**2.5, 0.05 * cut.n * 50 / 10**5, 40, 0, record_at=[40], n_test=1)
    new, old = (limit_law(c, 0.0, [2.0]).signal[0] for c in (4.0 * kept.mean(), 4.0))
    measured = np.abs(found.signal_response[0, 0]).mean()
    assert measured == pytest.approx(new, rel=0.05) and abs(measured - old) > 2 * abs(measured - new)


def test_hold_out_moves_the_last_images_with_their_observed_labels(rated):
    data, law = rated
    noisy = raters.with_ratings(data, raters.ask_raters(law, 1, 0)[0])
    held = hold_out(noisy, 100)
    assert held.n == noisy.n - 100 and np.array_equal(held.x_test[-100:], noisy.x[-100:])
    assert np.array_equal(held.y_test_obs[-100:], noisy.y_obs[-100:])
    assert np.array_equal(held.y_test[-100:], data.y[-100:])
    assert np.array_equal(held.y_test_obs[:-100], data.y_test)
    with pytest.raises(ValueError, match="n_val"):
        hold_out(noisy, noisy.n)
