"""The paper's own synthetic experiment: what its figure shows, over 50 seeds."""

import functools

import numpy as np
import pytest

from helpers.experiments.synthetic import synthetic_problem, synthetic_run
from helpers.reading.accuracy import observed_accuracies
from helpers.reading.coefficients import coefficient_overtaking, largest_coefficients
from helpers.theory.error_bounds import reused_error_parts


@functools.cache
def runs(**options):
    return synthetic_run(range(50), n_test=500, **options)


def test_the_data_are_the_papers():
    law = synthetic_problem()
    assert law.n_snr2 == pytest.approx(20) and law.balanced and law.flip_plus == law.flip_minus == 0.1
    record = synthetic_run(range(2), steps=3, n_test=10)
    assert (record.y.sum(1) == 0).all() and record.times.tolist() == [0, 1, 2, 3]
    assert {run["init_std"] for run in record.runs} == {100**0.5 / 2000}
    wide = synthetic_run(0, d=200_000, steps=3, n_test=10, lr=0.2).runs[0]
    assert wide["n_snr2"] == pytest.approx(20) and wide["mu_norm"] == pytest.approx(200)
    assert wide["lr"] == pytest.approx(0.002) and wide["init_std"] == pytest.approx(100**0.5 / 200_000)
    half = synthetic_run(0, steps=3, n_test=10, init_scale=0.5, flips=0.0)
    assert half.runs[0]["init_std"] == 0.0025 and not half.flipped.any()


@pytest.mark.parametrize(("m", "earliest", "median", "latest"), [(10, 8, 15, 30), (20, 18, 30, 50)])
def test_noise_overtakes_the_signal_and_the_printed_border_fits_a_width_between_10_and_20(m, earliest, median, latest):
    """The paper reads 25 off one run of a width that it does not give; the median of 50 seeds is 15 and 30."""
    border = coefficient_overtaking(runs(m=m))
    assert not np.isnan(border).any()
    assert earliest <= border.min() and border.max() <= latest and abs(np.median(border) - median) <= 1


@pytest.mark.parametrize("m", [10, 20])
def test_noisy_samples_are_first_ignored_and_then_memorised(m):
    shares = observed_accuracies(runs(m=m))
    assert (shares["noisy"].min(1) == 0).all() and (shares["noisy"][:, -1] > 0.8).all()
    assert (shares["clean"][:, 5:] == 1).all()


def test_without_flips_the_signal_stays_ahead():
    largest = largest_coefficients(runs(flips=0.0))
    assert (largest.gamma[:, 1:] > largest.clean[:, 1:]).all()


def test_the_papers_test_distribution_costs_half_the_flips_and_its_zeta_nothing():
    """Reused patches plus N(0, sigma^2 I), from 500 draws a run; without it exactly; fresh noise costs nothing."""
    record = runs()
    exact = sum(reused_error_parts(record).values())[:, -1].mean()
    half = record.flipped.mean() / 2
    assert record.test_sizes["reused"] == 500
    assert exact == pytest.approx(half, abs=0.002)
    assert record.reused_error[:, -1].mean() == pytest.approx(half, abs=4 * (0.05 * 0.95 / 25_000) ** 0.5)
    assert record.fresh_error[:, -1].max() < 0.005


@pytest.mark.parametrize("bad", [{"init_scale": -1.0}, {"m": 0}, {"flips": 0.5}, {"d": 50}, {"lr": 0.0},
                                 {"steps": 1.5}])
def test_bad_input_is_refused(bad):
    with pytest.raises((ValueError, TypeError)):
        synthetic_run(0, **bad)
