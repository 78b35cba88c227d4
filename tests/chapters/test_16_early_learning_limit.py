"""Chapter 16: what a linear model can memorise, and the limit law in another world."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from linear import powers, rms
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from helpers import SignalNoise
from helpers.engine.linear_mixture import descend_mixture, draw_mixture, mixture_problem, separable_mixture
from helpers.intervals import slope_and_standard_error
from helpers.theory.limit import limit_law, limit_law_euler
from helpers.theory.linear_theory import linear_cover_probability, linear_law_of_run, linear_separability_threshold


@pytest.mark.statement("prop-memorised-linear")
@settings(max_examples=25, deadline=None)
@given(st.integers(3, 25), st.integers(0, 40), st.floats(0.2, 2.0), st.floats(0.0, 3.0), st.integers(0, 10**6))
def test_prop_memorised_linear_loss_bound(n, extra, sigma, radius, seed):
    draw = draw_mixture(mixture_problem(n, n + extra, sigma, 0.3), radius, seed)
    lr = 4 * n / np.linalg.norm(draw.x, 2) ** 2
    u = np.linalg.pinv(draw.signed) @ np.ones(n)
    assert np.all(draw.signed @ u >= 1 - 1e-6)
    u /= (draw.signed @ u).min()
    times = np.unique(np.geomspace(1, 3000, 40).round().astype(int))
    run = descend_mixture(draw, lr, times)
    loss, sure = np.logaddexp(0, -run.margins).mean(1), np.inf
    for growth in (0.1, 1.0, 3.0, 8.0):
        away = draw.outside**2 + ((draw.start - growth * u) ** 2).sum()
        sure = np.minimum(sure, np.exp(-growth) + away / (2 * lr * times))
    assert np.all(loss <= sure * (1 + 1e-9)) and np.all(np.diff(loss) <= 1e-12)
    assert np.all(run.margins[sure < np.log(2) / n] > 0)


@pytest.mark.statement("prop-memorised-linear")
def test_prop_memorised_linear_not_without_a_hyperplane():
    """p = 5, n = 100, a fifth of the labels wrong: not separable, and no recorded step memorises all."""
    draw = draw_mixture(mixture_problem(100, 5, 0.3, 0.2), 1.0, seed=0)
    assert not separable_mixture(draw.signed)
    run = descend_mixture(draw, 1.0, np.arange(0, 2001, 50))
    assert np.all(run.margins.min(1) <= 0)


@pytest.mark.statement("lem-cover")
@pytest.mark.parametrize(("n", "q"), [(1, 1), (4, 1), (5, 2), (6, 3), (5, 5), (4, 6)])
def test_lem_cover_counts_every_pattern(n, q):
    x = np.random.default_rng(n * q).standard_normal((n, q))
    count = sum(separable_mixture(np.array(signs)[:, None] * x) for signs in product((-1.0, 1.0), repeat=n))
    assert count == 2 * sum(math.comb(n - 1, k) for k in range(q))
    assert linear_cover_probability(n, q) == pytest.approx(count / 2**n)


@pytest.mark.statement("prop-separable")
def test_prop_separable():
    """Claim 1 on 20 draws; claim 2, with almost half or a tenth of the labels wrong, within four standard errors of
    300 draws; and its tail as a bound on the binomial."""
    draws = [draw_mixture(mixture_problem(30, p, 0.1, 0.4), 0.0, seed) for p in (30, 31) for seed in range(10)]
    assert all(separable_mixture(draw.signed) for draw in draws)
    for n, p, tau in ((20, 9, 0.45), (20, 12, 0.1)):
        draws = [draw_mixture(mixture_problem(n, p, 2.0, tau), 0.0, seed) for seed in range(300)]
        share = np.mean([separable_mixture(draw.signed) for draw in draws])
        assert share >= linear_cover_probability(n, p - 1) - 4 * 0.5 / math.sqrt(300)
    for n, p in product((10, 51, 200), (30, 60, 110, 150)):
        if (n + 1) / 2 <= p < n:
            tail = 2 * math.exp(-2 * (p - (n + 1) / 2) ** 2 / (n - 1))
            assert linear_cover_probability(n, p - 1) >= 1 - tail


@pytest.mark.statement("thm-separability-threshold")
@pytest.mark.parametrize(("sigma", "tau"), [(0.1, 0.1), (0.5, 0.3), (2.0, 0.2)])
def test_thm_separability_threshold_formula(sigma, tau):
    """Against the minimum of the mean over 400,000 pairs; below 1/2, rising in sigma and tau, 1/2 for large sigma."""
    rng = np.random.default_rng(0)
    z, u = rng.standard_normal((2, 400_000))
    u = sigma * u + np.where(rng.random(400_000) < tau, -1, 1)
    found = minimize_scalar(lambda a: np.mean(np.maximum(z - a * u, 0) ** 2)).fun
    there = linear_separability_threshold(sigma, tau)
    assert abs(found - there) < 0.004 and 0 < there < 0.5
    assert linear_separability_threshold(1.2 * sigma, tau) > there and linear_separability_threshold(sigma,
                                                                                                     tau + 0.05) > there
    assert 0.499 < linear_separability_threshold(100.0, tau) < 0.5


@pytest.mark.statement("thm-separability-threshold")
@pytest.mark.parametrize(("sigma", "tau"), [(0.2, 0.2), (1.0, 0.1)])
def test_thm_separability_threshold_by_linear_programs(sigma, tau):
    """20 draws at n = 300: at most 2 separable 0.12 below the threshold, at most 2 not so 0.12 above it."""
    n, there = 300, linear_separability_threshold(sigma, tau)
    shares = [np.mean([separable_mixture(draw_mixture(mixture_problem(n, round((there + off) * n), sigma, tau), 0.0,
                                                      seed).signed)
                       for seed in range(20)]) for off in (-0.12, 0.12)]
    assert shares[0] <= 0.1 and shares[1] >= 0.9


@pytest.mark.statement("prop-linear-first-step")
@pytest.mark.parametrize(("n", "p", "sigma"), [(40, 30, 1.2), (40, 30, 0.5), (40, 400, 0.3), (10, 3, 2.0)])
def test_prop_linear_first_step(n, p, sigma):
    """Mean over 400 draws of the first change of each noisy sample's margin, to four standard errors; where the formula
    is far from 0 the sign is that of 1 - c (1 - 2 tau)."""
    gaps, changes = [], []
    for seed in range(400):
        draw = draw_mixture(mixture_problem(n, p, sigma, 0.25), 0.0, seed)
        noisy = draw.agree < 0
        if noisy.any():
            change = descend_mixture(draw, 0.8, [1]).margins[0, noisy].mean()
            changes.append(change)
            gaps.append(change - 0.8 / (2 * n) * (-draw.agree.sum() + sigma**2 * p))
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / math.sqrt(len(gaps))
    c = n / (sigma**2 * p)
    if abs(c * 0.5 - 1) > 0.3:
        assert np.sign(np.mean(changes)) == np.sign(1 - c * 0.5)


def check_linear_law(draw, lr, steps):
    """The three claims of thm-linear-law at every step; returns the largest bound."""
    run = descend_mixture(draw, lr, np.arange(steps + 1))
    law, Q = linear_law_of_run(draw, lr, steps)
    slack, c = 1e-10, law.n_snr2
    own = np.where(draw.agree > 0, law.r_clean[:, None], law.r_noisy[:, None])
    margins = np.where(draw.agree > 0, law.clean_margin[:, None], law.noisy_margin[:, None])
    assert np.all(np.abs(run.signal - law.signal) <= Q + slack)
    assert np.all(rms(run.noise_responses - own) <= Q / math.sqrt(c) + slack)
    assert np.all(rms(run.margins - margins) <= math.sqrt(1 + 1 / c) * Q + slack)
    return Q.max()


@pytest.mark.statement("thm-linear-law")
@settings(max_examples=60, deadline=None)
@given(st.integers(4, 50), powers(0.5, 15), st.floats(0.1, 30.0), st.floats(0.0, 0.45), powers(-3, 0.3),
       st.floats(0.05, 1.0), st.integers(0, 10**6))
def test_thm_linear_law(n, p, c, tau, radius, step, seed):
    """Any sizes; at p = 1e15 the bound is about 1e-6, so that the law itself is tested to as many digits."""
    p = max(2, round(p))
    draw = draw_mixture(mixture_problem(n, p, math.sqrt(n / (c * p)), tau), radius, seed)
    if np.mean(draw.agree < 0) < 0.5:
        check_linear_law(draw, step * 8 * c / (1 + c), 30)


@pytest.mark.statement("thm-linear-law")
@pytest.mark.parametrize("radius", [0.0, 2.0])
def test_thm_linear_law_is_sharp_for_orthogonal_noise(radius):
    draw = draw_mixture(mixture_problem(60, 10**15, math.sqrt(60 / (8 * 1e15)), 0.2), radius, seed=3)
    assert check_linear_law(draw, 0.4, 100) < 2e-4
    law, _ = linear_law_of_run(draw, 0.4, 100)
    scheme = limit_law_euler(8.0, np.mean(draw.agree < 0), 0.1, 100)
    np.testing.assert_allclose(law.signal, scheme.signal, rtol=1e-9)


@pytest.mark.statement("thm-linear-law")
def test_thm_linear_law_distance_falls_like_the_root_of_p():
    """Slope -1/2 to 0.05: four decades of p, six seeds a point, and the next order is smaller by sqrt(n / p) < 0.1."""
    dimensions = [10**4, 10**5, 10**6, 10**8]

    def distance(p, seed):
        draw = draw_mixture(mixture_problem(100, p, math.sqrt(100 / (4 * p)), 0.2), 0.0, seed)
        run, (law, _) = descend_mixture(draw, 0.2, np.arange(51)), linear_law_of_run(draw, 0.2, 50)
        own = np.where(draw.agree > 0, law.r_clean[:, None], law.r_noisy[:, None])
        return [np.abs(run.signal - law.signal).max(), rms(run.noise_responses - own).max()]

    means = np.array([np.mean([distance(p, seed) for seed in range(6)], 0) for p in dimensions])
    for column in means.T:
        assert abs(slope_and_standard_error(np.array(dimensions, float), column)[0] + 0.5) < 0.05


@pytest.mark.statement("cor-linear-law")
def test_cor_linear_law_memorisation_time_and_stage_one():
    """p = 1e12: the mean noisy margin returns at the law's time for the realised share, to 1.5 steps of h; and below
    c (1 - 2 tau) = 1 it never falls."""
    n, h = 400, 0.02
    for seed in range(3):
        draw = draw_mixture(mixture_problem(n, 10**12, math.sqrt(n / (8 * 1e12)), 0.2), 2.0, seed)
        run = descend_mixture(draw, h * 4, np.arange(401))
        margin = run.mean_over(run.margins, "noisy")
        law = limit_law(8.0, np.mean(draw.agree < 0), [1.0])
        assert abs(h * np.flatnonzero(margin < 0)[-1] - law.memorisation_time) < 1.5 * h + 0.05 * h * 8
        assert abs(h * margin.argmin() - law.turning_time) < 0.1
        weak = draw_mixture(mixture_problem(n, 10**12, math.sqrt(n / (1.2 * 1e12)), 0.2), 0.0, seed)
        rising = descend_mixture(weak, h * 0.6, np.arange(200))
        assert np.all(np.diff(rising.mean_over(rising.margins, "noisy")) > 0)


@pytest.mark.statement("cor-linear-law")
def test_cor_linear_law_is_one_copy_for_both_classes():
    """With unequal flip rates both classes' noisy margins are the law's at the overall share, to 1e-4 at p = 1e12."""
    sigma = math.sqrt(200 / (8 * 1e12))
    problem = SignalNoise(200, 10**12, mu_norm=1.0, noise_std=sigma, flip_plus=0.05, flip_minus=0.4)
    draw = draw_mixture(problem, 0.0, seed=0)
    run, (law, _) = descend_mixture(draw, 0.2, np.arange(201)), linear_law_of_run(draw, 0.2, 200)
    for side in (1, -1):
        chosen = (draw.y == side) & (draw.agree < 0)
        assert chosen.any()
        np.testing.assert_allclose(run.margins[:, chosen].mean(1), law.noisy_margin, atol=1e-4)


@pytest.mark.statement("prop-linear-fresh")
@pytest.mark.parametrize(("n", "p"), [(20, 25), (30, 400)])
def test_prop_linear_fresh_identity(n, p):
    sigma = 0.4
    draw = draw_mixture(mixture_problem(n, p, sigma, 0.2), 0.0, seed=1)
    run = descend_mixture(draw, 0.8, [1, 7, 60])
    z = draw.y_obs[:, None] * draw.noise / sigma
    w, across = z[:, 0], z[:, 1:]
    for A, r, length in zip(run.signal, run.noise_responses, run.length):
        rest = r - sigma * A * w
        square = A**2 + rest @ np.linalg.solve(across @ across.T, rest) / sigma**2
        assert square == pytest.approx(length**2, rel=1e-8)


@pytest.mark.statement("prop-linear-fresh")
def test_prop_linear_fresh_limit():
    """p = 1e10: |theta|^2 is the law's to a relative 1e-3."""
    n, c, p = 200, 8.0, 10**10
    draw = draw_mixture(mixture_problem(n, p, math.sqrt(n / (c * p)), 0.2), 0.0, seed=0)
    run, (law, _) = descend_mixture(draw, 0.2, np.arange(1, 201)), linear_law_of_run(draw, 0.2, 200)
    share = np.mean(draw.agree < 0)
    mean_square = (1 - share) * law.r_clean**2 + share * law.r_noisy**2
    np.testing.assert_allclose(run.length**2, (law.signal**2 + c * mean_square)[1:], rtol=1e-3)


@pytest.mark.statement("obs-linear-fresh")
def test_obs_linear_fresh():
    """Means of 10 seeds at p / n = 0.9, 2, 5 and s = 0.5, 2, 5, 30 within 0.01 of the law's accuracy."""
    n, c, tau = 200, 8.0, 0.2
    law = limit_law(c, tau, np.array([0.5, 2.0, 5.0, 30.0]))
    size = np.sqrt(law.signal**2 + c * ((1 - tau) * law.r_clean**2 + tau * law.r_noisy**2))
    for ratio in (0.9, 2.0, 5.0):
        p = round(ratio * n)
        problem = mixture_problem(n, p, math.sqrt(n / (c * p)), tau)
        runs = [descend_mixture(draw_mixture(problem, 0.0, seed), 0.4, [5, 20, 50, 300]).test_accuracy
                for seed in range(10)]
        assert np.abs(np.mean(runs, 0) - ndtr(math.sqrt(c * ratio) * law.signal / size)).max() < 0.01
