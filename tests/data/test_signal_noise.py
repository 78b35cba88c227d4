"""The data model (Han et al. 2025, section 3)."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products

P_VALUE = 1e-3  # the chance of a false alarm of a test on a fresh seed; the seeds are fixed, so it was met once


@given(n=st.integers(1, 1000), d=st.integers(2, 10**9), value=st.floats(1e-3, 1e3), noise_std=st.floats(0.1, 10),
       given_as=st.sampled_from(["n_snr2", "mu_norm", "snr"]))
def test_n_snr2_is_n_mu_norm_squared_over_noise_variance_and_d(n, d, value, noise_std, given_as):
    law = SignalNoise(n, d, noise_std=noise_std, **{given_as: value})
    assert getattr(law, given_as) == value
    # A few roundings of relative size 1e-16.
    assert law.snr == pytest.approx(law.mu_norm / (noise_std * np.sqrt(d)), rel=1e-13)
    assert law.n_snr2 == pytest.approx(n * law.mu_norm**2 / (noise_std**2 * d), rel=1e-13)


def test_replace_keeps_the_strength_that_was_given():
    law = SignalNoise(20, 100, n_snr2=4.0)
    assert law.replace(d=400) == SignalNoise(20, 400, n_snr2=4.0)
    assert law.replace(d=400).mu_norm == pytest.approx(2 * law.mu_norm)
    assert law.replace(snr=1.0) == SignalNoise(20, 100, snr=1.0)
    assert SignalNoise(20, 100, mu_norm=3.0).replace(n=40).mu_norm == 3.0


@pytest.mark.parametrize("orthogonal", [False, True])
def test_sample_has_the_shapes_and_the_types_it_promises(orthogonal):
    drawn = SignalNoise(7, 30, snr=0.5, flip_plus=0.4, flip_minus=0.4, orthogonal=orthogonal).sample(0, n_test=5)
    shapes = {"mu": (30,), "xi": (7, 30), "y": (7,), "y_obs": (7,), "xi_test": (5, 30), "y_test": (5,)}
    assert {name: tuple(getattr(drawn, name).shape) for name in shapes} == shapes
    assert all(getattr(drawn, name).dtype == torch.float64 for name in shapes)
    assert drawn.flipped.dtype == torch.bool and torch.equal(drawn.flipped, drawn.y != drawn.y_obs)
    assert torch.equal(drawn.vectors, torch.cat([drawn.mu[None], drawn.xi]))
    across = drawn.xi @ drawn.mu
    assert bool((across == 0).all()) == orthogonal


def test_labels_are_uniform_and_flip_at_the_rate_of_their_class():
    y, y_obs = SignalNoise(200_000, 2, snr=1.0, flip_plus=0.1, flip_minus=0.3).draw_labels(0)
    assert stats.binomtest(int((y > 0).sum()), len(y), 0.5).pvalue > P_VALUE
    for label, rate in ((1, 0.1), (-1, 0.3)):
        mine = y == label
        flips = int((y_obs[mine] == -label).sum())
        assert stats.binomtest(flips, int(mine.sum()), rate).pvalue > P_VALUE


@given(half=st.integers(1, 50), seed=st.integers(0, 10**6))
def test_a_balanced_set_has_half_of_each_true_class_in_a_random_order(half, seed):
    law = SignalNoise(2 * half, 4 * half, snr=1.0, flip_plus=0.4, balanced=True)
    y, y_obs = law.draw_labels(seed)
    assert (y > 0).sum() == (y < 0).sum() == half
    assert np.array_equal(y_obs[y < 0], y[y < 0])  # that class is never flipped


def test_every_order_of_balanced_labels_is_as_likely_and_the_flips_stay_independent():
    """n = 4: six orders, each 1/6 of the seeds; whole sets of flips are Bernoulli too, so their number still varies."""
    law = SignalNoise(4, 8, snr=1.0, flip_plus=0.2, flip_minus=0.4, balanced=True)
    drawn = [law.draw_labels(seed) for seed in range(3000)]
    _, counts = np.unique([y for y, _ in drawn], axis=0, return_counts=True)
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > P_VALUE
    for label, rate in ((1, 0.2), (-1, 0.4)):
        flips = np.bincount([int((y_obs[y == label] == -label).sum()) for y, y_obs in drawn], minlength=3)
        assert stats.chisquare(flips, 3000 * stats.binom.pmf(range(3), 2, rate)).pvalue > P_VALUE


def test_balance_changes_neither_the_noise_nor_the_draws_of_an_unbalanced_law(law):
    coins, balanced = law.sample(0, n_test=3), law.replace(balanced=True).sample(0, n_test=3)
    for name in ("xi", "xi_test", "y_test"):
        assert torch.equal(getattr(coins, name), getattr(balanced, name))
    # As drawn before there was a choice.
    assert SignalNoise(8, 20, snr=1.0).draw_labels(0)[0].tolist() == [-1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0]
    part = balanced.keep(np.arange(law.n) < 7)
    assert part.n == 7 and not part.distribution.balanced


def test_a_balanced_set_of_odd_size_is_refused():
    with pytest.raises(ValueError, match="n=7: must be even where the true classes are balanced"):
        SignalNoise(7, 20, snr=1.0, balanced=True)
    with pytest.raises(ValueError, match="balanced=2"):
        SignalNoise(8, 20, snr=1.0, balanced=2)


def test_no_flip_rate_means_no_flips():
    y, y_obs = SignalNoise(1000, 2, snr=1.0).draw_labels(0)
    assert np.array_equal(y, y_obs)


def test_noise_is_gaussian_with_standard_deviation_noise_std():
    drawn = SignalNoise(100, 200, snr=1.0, noise_std=3.0).sample(0, n_test=100)
    for noise in (drawn.xi, drawn.xi_test):
        assert stats.kstest(noise.flatten().numpy(), "norm", (0.0, 3.0)).pvalue > P_VALUE
    coordinates = SignalNoise(100, 200, snr=1.0, noise_std=3.0, orthogonal=True).sample(0).xi[:, 1:]
    assert stats.kstest(coordinates.flatten().numpy(), "norm", (0.0, 3.0)).pvalue > P_VALUE


def test_a_seed_fixes_the_sample_and_test_noise_does_not_move_it(law):
    first, again, other, tested = law.sample(5), law.sample(5), law.sample(6), law.sample(5, n_test=3)
    assert torch.equal(first.xi, again.xi) and torch.equal(first.y_obs, again.y_obs)
    assert torch.equal(first.xi, tested.xi) and torch.equal(first.y_obs, tested.y_obs)
    assert not torch.equal(first.xi, other.xi)


def test_labels_are_the_same_on_the_explicit_and_on_the_wishart_route(law):
    runs = {engine: descend(law, 2, 0.01, 0.1, 1, seeds=range(5), engine=engine) for engine in ("reduced", "explicit")}
    for seed in range(5):
        drawn, products = law.sample(seed), inner_products(law, 2, 0.01, seed)
        assert torch.equal(drawn.y, products.y) and torch.equal(drawn.y_obs, products.y_obs)
        for record in runs.values():
            assert np.array_equal(record.y[seed], drawn.y) and np.array_equal(record.y_obs[seed], drawn.y_obs)


def test_a_sample_too_large_for_memory_is_refused_before_it_is_drawn():
    with pytest.raises(MemoryError, match=r"d=1000000000000: .* bytes, more than is free"):
        SignalNoise(1000, 10**12, snr=1.0).sample(0)
