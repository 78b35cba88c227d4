"""Chapter 15: early learning in a linear model, what can be memorised, and the limit law in another world."""

import math
from dataclasses import astuple, replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, ndtr
from scipy.stats import norm

from helpers import SignalNoise
from helpers.engine.linear_mixture import descend_mixture, draw_mixture, mixture, separable
from helpers.plots import fitted_slope
from helpers.theory.limit import euler_law, limit_law
from helpers.theory.linear_limits import (
    cover_probability,
    first_alignment,
    law_of_run,
    population_gradient,
    separability_threshold,
)
from helpers.theory.linear_theory import (
    EarlyLearning,
    MixtureConstants,
    early_learning,
    least_change,
    likely_constants,
    limit_constants,
    measured_constants,
)

NUMBERS = ("spread", "spread_clean", "spread_noisy", "label_noise", "signal_rms", "start", "far_start", "far_along")


def numbers(k):
    return np.array([getattr(k, name) for name in NUMBERS] + [*k.start_noise, *k.along_noise])


def powers(low, high):
    return st.floats(low, high).map(lambda x: 10**x)


def until(draw, lr, target, most=4000):
    """The run at every step up to the first T with <theta_T, v> >= target, and T."""
    run = descend_mixture(draw, lr, np.arange(most + 1))
    T = int(np.argmax(run.signal >= target))
    assert run.signal[T] >= target, "T is later than the run is long"
    return run, T


def rms(values, axis=-1):
    return np.sqrt((np.asarray(values) ** 2).mean(axis))


def test_prop_mixture_gradient_against_autograd_and_two_logits():
    draw, lr = draw_mixture(mixture(40, 15, 0.6, 0.2), 2.0, seed=0), 0.3
    x, y_obs = torch.from_numpy(draw.x), torch.from_numpy(draw.y_obs)
    theta = torch.tensor(draw.start, requires_grad=True)
    torch.nn.functional.softplus(-y_obs * (x @ theta)).mean().backward()
    k = np.tanh(draw.x @ draw.start / 2) - draw.y_obs
    np.testing.assert_allclose(theta.grad.numpy(), k @ draw.x / 80, atol=1e-14)
    np.testing.assert_allclose(k, -2 * draw.y_obs * expit(-draw.signed @ draw.start), atol=1e-14)
    rng = np.random.default_rng(0)  # two logits, any split of theta: twice the step
    second = rng.standard_normal(len(draw.start))
    logits = torch.tensor(np.stack([draw.start + second, second]), requires_grad=True)
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(x @ logits.T, ((1 - y_obs) / 2).long())
        (gradient,) = torch.autograd.grad(loss, logits)
        np.testing.assert_allclose(gradient[0], -gradient[1], atol=1e-14)
        with torch.no_grad():
            logits -= lr * gradient
    run = descend_mixture(draw, 2 * lr, [20])
    difference = (logits[0] - logits[1]).detach().numpy()
    np.testing.assert_allclose(run.margins[0], draw.signed @ difference, atol=1e-12)


@pytest.mark.parametrize("Delta", [0.2, 0.5])
def test_thm_early_linear_paper_numbers_hold_where_the_noise_is_small(Delta):
    """Cosine 1/6, way 1, accuracies .5 and .9999, changes .05 and separability, at sigma = .004 and p / n = .95."""
    draw = draw_mixture(mixture(1000, 950, 0.004, Delta / 2), 2.0, seed=1)
    run, T = until(draw, 0.5, 0.1, 20)
    assert run.alignment[:T].min() >= 1 / 6 and run.signal[T] - run.signal[0] < 1
    assert abs(run.read_truly("noisy")[0] - 0.5) < 0.5 and run.read_truly("noisy")[T] > 0.9999
    k2 = {w: run.mean_over(run.squared_coefficients, w) for w in ("clean", "noisy")}
    assert k2["clean"][0] - k2["clean"][T] >= 0.05 and k2["noisy"][T] - k2["noisy"][0] >= 0.05
    assert separable(draw.signed[:400, :380])  # a corner of it, to save time: n = 400, p = 380


@settings(max_examples=20, deadline=None)
@given(st.floats(-1, 1), st.floats(0, 2), st.floats(0.05, 1.5), st.floats(0, 0.45), st.integers(0, 10**6))
def test_lem_population_gradient(signal, across, sigma, tau, seed):
    """Against the mean of 40,000 samples of R^3, to five standard errors."""
    rng, size = np.random.default_rng(seed), 40_000
    theta = np.array([signal, across, 0.0])
    y = rng.choice([-1.0, 1.0], size)
    x = sigma * rng.standard_normal((size, 3))
    x[:, 0] += y
    y_obs = np.where(rng.random(size) < tau, -y, y)
    terms = (y_obs - np.tanh(x @ theta / 2))[:, None] * x
    pull, shrink = population_gradient(signal, np.linalg.norm(theta), sigma, tau)
    gap = terms.mean(0) - (np.array([pull, 0, 0]) - shrink * theta)
    assert np.all(np.abs(gap) <= 5 * terms.std(0) / math.sqrt(size))


@pytest.mark.parametrize(("ratio", "radius", "sigma", "tau"), [(0.9, 2.0, 0.2, 0.2), (3.0, 1.0, 0.4, 0.1),
                                                               (0.3, 4.0, 0.5, 0.3)])
def test_prop_first_gradient(ratio, radius, sigma, tau):
    """Mean over 12 seeds; the deviation falls from n = 300 to n = 2400 and is then within three standard errors, the
    bias being of order 1 / n."""
    def cosines(n):
        problem = mixture(n, round(ratio * n), sigma, tau)
        return np.array([descend_mixture(draw_mixture(problem, radius, seed), 1.0, [0]).alignment[0]
                         for seed in range(12)])
    wide, limit = cosines(2400), first_alignment(ratio, radius, sigma, tau)
    assert abs(wide.mean() - limit) < 3 * wide.std(ddof=1) / math.sqrt(12) + 2 / 2400
    assert rms(wide - limit) < rms(cosines(300) - limit)


def check_early(draw, lr, target):
    """Claims 1 to 5 of thm-early-linear on one draw; returns whether the hypothesis holds."""
    k = measured_constants(draw, target=target)
    bound = early_learning(k)
    if not bound.holds:
        return False
    run, T = until(draw, lr, target, int(bound.last / lr + 2))
    assert np.all(run.alignment[:T] >= bound.alignment - 1e-12) and np.all(2 * run.pull[:T] >= bound.slowest - 1e-12)
    assert np.all(2 * run.pull[:T] <= bound.fastest + 1e-12)
    assert bound.first <= lr * T * (1 + 1e-12) and T <= bound.last / lr + 1
    start, theta = draw.start.copy(), draw.start.copy()
    for _ in range(T):
        theta += lr * expit(-draw.signed @ theta) @ draw.signed / len(draw.y)
        assert np.linalg.norm(theta - start) <= math.hypot(1, bound.tangent) * (theta - start)[0] * (1 + 1e-9)
    assert run.test_accuracy[T] >= bound.fresh - 1e-12
    assert run.read_truly("noisy")[T] >= bound.read_truly - 1e-12
    k2, gain = run.squared_coefficients, run.signal[T] - run.signal[0]
    for which, sign, at in (("clean", -1, 0), ("noisy", 1, 1)):
        change = sign * (run.mean_over(k2, which)[T] - run.mean_over(k2, which)[0])
        spread = (k.spread_clean, k.spread_noisy)[at] * bound.tangent
        assert change >= least_change(gain, k.start + k.start_noise[at], k.along_noise[at], spread) - 1e-12
    return True


@settings(max_examples=80, deadline=None)
@given(st.integers(10, 60), st.integers(2, 150), powers(-3, -0.5), st.sampled_from([0.0, 0.5, 2.0]),
       st.floats(0.05, 0.4), powers(-1, 0.7), st.floats(0.02, 0.5), st.integers(0, 10**6))
def test_thm_early_linear_holds_wherever_its_hypothesis_does(n, p, sigma, radius, tau, lr, target, seed):
    draw = draw_mixture(mixture(n, p, sigma, tau), radius, seed)
    if 0 < (draw.agree < 0).sum() < n:
        check_early(draw, lr, target)


@pytest.mark.parametrize(("sigma", "radius"), [(0.004, 2.0), (0.05, 2.0), (0.1, 2.0), (0.2, 0.0), (0.3, 0.0)])
def test_thm_early_linear_says_something_at_the_chapter_s_size(sigma, radius):
    assert check_early(draw_mixture(mixture(1000, 900, sigma, 0.2), radius, 0), 0.05, 0.1)


def test_thm_early_linear_travel_is_the_smallest_solution():
    """The reported tangent solves the fixed point (omega + a_0) sqrt(1 + q^2) = D, and a strong noise has none."""
    k = limit_constants(0.9, 0.1, 0.2, 2.0)
    bound = early_learning(k)
    travel = k.target * math.hypot(1, bound.tangent)
    margin = k.target + k.spread * (k.radius + travel)
    slowest = 1 - 2 * k.flip_rate - k.signal_rms * margin / 2
    assert bound.tangent == pytest.approx(k.spread * (1 + margin / 2) / slowest, rel=1e-9)
    assert bound.fresh == pytest.approx(norm.cdf(k.target / (0.1 * (2 + travel))), rel=1e-9)
    leaning = replace(k, start=0.02, far_start=0.1, far_along=0.05)
    lost = 0.15 + 9 * k.spread_noisy**2 * early_learning(leaning).tangent ** 2 * 1.2**2
    assert early_learning(leaning).read_truly == pytest.approx(1 - lost, rel=1e-12)
    for bad in (replace(k, spread=0.5), replace(k, start=0.1), replace(k, flip_rate=0.5)):
        lost = early_learning(bad)
        assert lost.holds is False and all(math.isnan(x) for x in astuple(lost)[1:])


def test_thm_early_linear_gets_weaker_when_a_constant_grows():
    k = limit_constants(0.9, 0.02, 0.2, 2.0, start=0.01)
    better = early_learning(k)
    for name in NUMBERS:
        worse = early_learning(replace(k, **{name: getattr(k, name) + 0.005}))
        assert worse.last >= better.last and worse.first <= better.first
        for claim in ("slowest", "alignment", "fresh", "read_truly", "fall", "rise"):
            assert getattr(worse, claim) <= getattr(better, claim), (name, claim)


@pytest.mark.parametrize(("n", "p"), [(200, 150), (100, 600)])
def test_lem_mixture_constants(n, p):
    """Not one of 150 draws beyond the bounds for delta = 0.2 more often than a fifth, and each bound within a factor of
    2.5 of the largest value seen, but for those of order 1 / sqrt(n)."""
    problem, delta = mixture(n, p, 0.3, 0.25), 0.2
    bounds = likely_constants(problem, 2.0, delta, target=2.0)
    seen = [measured_constants(draw_mixture(problem, 2.0, seed), target=2.0) for seed in range(150)]
    values = np.array([numbers(k) for k in seen])
    values[:, NUMBERS.index("label_noise")] += 2 * np.abs([k.flip_rate - 0.25 for k in seen])
    assert (values > numbers(bounds)).any(1).mean() <= delta and bounds.flip_rate == 0.25
    tight = [NUMBERS.index(name) for name in ("spread", "spread_clean", "spread_noisy", "signal_rms")] + [8, 9, 10, 11]
    assert np.all(numbers(bounds)[tight] <= 2.5 * values.max(0)[tight])


def test_lem_mixture_constants_moments_of_a_coordinate_of_the_sphere():
    """E u^(2k) <= E g^(2k) / p^k, the step that bounds a_0: exact moments, and the tail at p = 5."""
    for p, k in product((2, 3, 10), (1, 2, 5)):
        odd = math.prod(range(1, 2 * k, 2))
        assert odd / math.prod(range(p, p + 2 * k, 2)) <= odd / p**k
    u = np.random.default_rng(0).standard_normal((20_000, 5))
    u = np.abs(u[:, 0]) / np.linalg.norm(u, axis=1)
    assert all(np.mean(u >= r) <= 2 * math.exp(-5 * r**2 / 2) for r in (0.5, 0.7, 0.9, 0.99))


def test_cor_early_linear_constants_tend_to_their_limits():
    """Mean over the constants of the distance: below 0.01 at n = 1600, less than half of that at n = 100; 6 seeds."""
    limit = numbers(limit_constants(0.5, 0.2, 0.3, 1.0, target=0.5))

    def distance(n):
        problem = mixture(n, n // 2, 0.2, 0.3)
        draws = [draw_mixture(problem, 1.0, seed) for seed in range(6)]
        return np.mean([np.abs(numbers(measured_constants(draw, target=0.5)) - limit).mean() for draw in draws])
    assert distance(1600) < min(0.01, distance(100) / 2)


@pytest.mark.parametrize("Delta", [0.1, 0.5, 0.9])
def test_cor_early_linear_for_small_noise(Delta):
    a = 0.1
    bounds = [early_learning(limit_constants(1.0, sigma, Delta / 2, 2.0, target=a)) for sigma in (1e-3, 1e-4, 1e-5)]
    assert all(bound.holds for bound in bounds)
    off = np.array([[1 - b.alignment, 1 - b.read_truly, a * (1 - 5 / 16 * a) - b.rise] for b in bounds])
    assert np.all(off[-1] < 1e-4) and np.all(np.diff(off, axis=0) <= 0)
    assert not early_learning(limit_constants(1.0, 1e-5, Delta / 2, 2.0, target=2.01 * (1 - Delta))).holds


@pytest.mark.parametrize("Delta", [0.05, 0.5, 0.9])
def test_cor_early_linear_needs_a_bounded_step_for_the_coefficients(Delta):
    """cor-early-linear: for small sigma any step up to 4 leaves a (1 - 5 a / 16) above .05, wherever between omega and
    omega + a_0 + eta G+ / 2 the last step ends (concave in a: the ends are enough); from a = 16/5 on it is empty."""
    bound = early_learning(limit_constants(1.0, 1e-4, Delta / 2, 2.0))
    claims = [least_change(a, 0.0, 0.0, 0.0) for a in (0.1, 0.1 + 2 * bound.fastest)]
    assert min(claims) > 0.05 and least_change(3.2, 0.0, 0.0, 0.0) <= 1e-12


def test_cor_early_linear_likely_constants_hold_for_many_samples():
    sizes = [early_learning(likely_constants(mixture(n, n, 0.01, 0.2), 2.0, 0.05)) for n in (10**4, 10**6, 10**8)]
    limit = early_learning(limit_constants(1.0, 0.01, 0.2, 2.0))
    gaps = [limit.rise - size.rise for size in sizes]
    assert all(size.holds for size in sizes) and gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 25), st.integers(0, 40), st.floats(0.2, 2.0), st.floats(0.0, 3.0), st.integers(0, 10**6))
def test_prop_memorised_linear_loss_bound(n, extra, sigma, radius, seed):
    draw = draw_mixture(mixture(n, n + extra, sigma, 0.3), radius, seed)
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


def test_prop_memorised_linear_not_without_a_hyperplane():
    """p = 5, n = 100, a fifth of the labels wrong: not separable, and no recorded step memorises all."""
    draw = draw_mixture(mixture(100, 5, 0.3, 0.2), 1.0, seed=0)
    assert not separable(draw.signed)
    run = descend_mixture(draw, 1.0, np.arange(0, 2001, 50))
    assert np.all(run.margins.min(1) <= 0)


@pytest.mark.parametrize(("n", "q"), [(1, 1), (4, 1), (5, 2), (6, 3), (5, 5), (4, 6)])
def test_lem_cover_counts_every_pattern(n, q):
    x = np.random.default_rng(n * q).standard_normal((n, q))
    count = sum(separable(np.array(signs)[:, None] * x) for signs in product((-1.0, 1.0), repeat=n))
    assert count == 2 * sum(math.comb(n - 1, k) for k in range(q))
    assert cover_probability(n, q) == pytest.approx(count / 2**n)


def test_prop_separable():
    """Claim 1 on 20 draws; claim 2, with almost half or a tenth of the labels wrong, within four standard errors of
    300 draws; and its tail as a bound on the binomial."""
    draws = [draw_mixture(mixture(30, p, 0.1, 0.4), 0.0, seed) for p in (30, 31) for seed in range(10)]
    assert all(separable(draw.signed) for draw in draws)
    for n, p, tau in ((20, 9, 0.45), (20, 12, 0.1)):
        draws = [draw_mixture(mixture(n, p, 2.0, tau), 0.0, seed) for seed in range(300)]
        share = np.mean([separable(draw.signed) for draw in draws])
        assert share >= cover_probability(n, p - 1) - 4 * 0.5 / math.sqrt(300)
    for n, p in product((10, 51, 200), (30, 60, 110, 150)):
        if (n + 1) / 2 <= p < n:
            tail = 2 * math.exp(-2 * (p - (n + 1) / 2) ** 2 / (n - 1))
            assert cover_probability(n, p - 1) >= 1 - tail


@pytest.mark.parametrize(("sigma", "tau"), [(0.1, 0.1), (0.5, 0.3), (2.0, 0.2)])
def test_thm_separability_threshold_formula(sigma, tau):
    """Against the minimum of the mean over 400,000 pairs; below 1/2, rising in sigma and tau, 1/2 for large sigma."""
    rng = np.random.default_rng(0)
    z, u = rng.standard_normal((2, 400_000))
    u = sigma * u + np.where(rng.random(400_000) < tau, -1, 1)
    found = minimize_scalar(lambda a: np.mean(np.maximum(z - a * u, 0) ** 2)).fun
    there = separability_threshold(sigma, tau)
    assert abs(found - there) < 0.004 and 0 < there < 0.5
    assert separability_threshold(1.2 * sigma, tau) > there and separability_threshold(sigma, tau + 0.05) > there
    assert 0.499 < separability_threshold(100.0, tau) < 0.5


@pytest.mark.parametrize(("sigma", "tau"), [(0.2, 0.2), (1.0, 0.1)])
def test_thm_separability_threshold_by_linear_programs(sigma, tau):
    """20 draws at n = 300: at most 2 separable 0.12 below the threshold, at most 2 not so 0.12 above it."""
    n, there = 300, separability_threshold(sigma, tau)
    shares = [np.mean([separable(draw_mixture(mixture(n, round((there + off) * n), sigma, tau), 0.0, seed).signed)
                       for seed in range(20)]) for off in (-0.12, 0.12)]
    assert shares[0] <= 0.1 and shares[1] >= 0.9


@pytest.mark.parametrize(("n", "p", "sigma"), [(40, 30, 1.2), (40, 30, 0.5), (40, 400, 0.3), (10, 3, 2.0)])
def test_prop_linear_first_step(n, p, sigma):
    """Mean over 400 draws of the first change of each noisy sample's margin, to four standard errors; where the formula
    is far from 0 the sign is that of 1 - c (1 - 2 tau)."""
    gaps, changes = [], []
    for seed in range(400):
        draw = draw_mixture(mixture(n, p, sigma, 0.25), 0.0, seed)
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
    law, Q = law_of_run(draw, lr, steps)
    slack, c = 1e-10, law.n_snr2
    own = np.where(draw.agree > 0, law.r_clean[:, None], law.r_noisy[:, None])
    margins = np.where(draw.agree > 0, law.clean_margin[:, None], law.noisy_margin[:, None])
    assert np.all(np.abs(run.signal - law.signal) <= Q + slack)
    assert np.all(rms(run.noise_responses - own) <= Q / math.sqrt(c) + slack)
    assert np.all(rms(run.margins - margins) <= math.sqrt(1 + 1 / c) * Q + slack)
    return Q.max()


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 50), powers(0.5, 15), st.floats(0.1, 30.0), st.floats(0.0, 0.45), powers(-3, 0.3),
       st.floats(0.05, 1.0), st.integers(0, 10**6))
def test_thm_linear_law(n, p, c, tau, radius, step, seed):
    """Any sizes; at p = 1e15 the bound is about 1e-6, so that the law itself is tested to as many digits."""
    p = max(2, round(p))
    draw = draw_mixture(mixture(n, p, math.sqrt(n / (c * p)), tau), radius, seed)
    if np.mean(draw.agree < 0) < 0.5:
        check_linear_law(draw, step * 8 * c / (1 + c), 30)


@pytest.mark.parametrize("radius", [0.0, 2.0])
def test_thm_linear_law_is_sharp_for_orthogonal_noise(radius):
    draw = draw_mixture(mixture(60, 10**15, math.sqrt(60 / (8 * 1e15)), 0.2), radius, seed=3)
    assert check_linear_law(draw, 0.4, 100) < 2e-4
    law, _ = law_of_run(draw, 0.4, 100)
    scheme = euler_law(8.0, np.mean(draw.agree < 0), 0.1, 100)
    np.testing.assert_allclose(law.signal, scheme.signal, rtol=1e-9)


def test_thm_linear_law_distance_falls_like_the_root_of_p():
    """Slope -1/2 to 0.05: four decades of p, six seeds a point, and the next order is smaller by sqrt(n / p) < 0.1."""
    dimensions = [10**4, 10**5, 10**6, 10**8]

    def distance(p, seed):
        draw = draw_mixture(mixture(100, p, math.sqrt(100 / (4 * p)), 0.2), 0.0, seed)
        run, (law, _) = descend_mixture(draw, 0.2, np.arange(51)), law_of_run(draw, 0.2, 50)
        own = np.where(draw.agree > 0, law.r_clean[:, None], law.r_noisy[:, None])
        return [np.abs(run.signal - law.signal).max(), rms(run.noise_responses - own).max()]

    means = np.array([np.mean([distance(p, seed) for seed in range(6)], 0) for p in dimensions])
    for column in means.T:
        assert abs(fitted_slope(np.array(dimensions, float), column)[0] + 0.5) < 0.05


def test_cor_linear_law_memorisation_time_and_stage_one():
    """p = 1e12: the mean noisy margin returns at the law's time for the realised share, to 1.5 steps of h; and below
    c (1 - 2 tau) = 1 it never falls."""
    n, h = 400, 0.02
    for seed in range(3):
        draw = draw_mixture(mixture(n, 10**12, math.sqrt(n / (8 * 1e12)), 0.2), 2.0, seed)
        run = descend_mixture(draw, h * 4, np.arange(401))
        margin = run.mean_over(run.margins, "noisy")
        law = limit_law(8.0, np.mean(draw.agree < 0), [1.0])
        assert abs(h * np.flatnonzero(margin < 0)[-1] - law.memorisation_time) < 1.5 * h + 0.05 * h * 8
        assert abs(h * margin.argmin() - law.turning_time) < 0.1
        weak = draw_mixture(mixture(n, 10**12, math.sqrt(n / (1.2 * 1e12)), 0.2), 0.0, seed)
        rising = descend_mixture(weak, h * 0.6, np.arange(200))
        assert np.all(np.diff(rising.mean_over(rising.margins, "noisy")) > 0)


def test_cor_linear_law_is_one_copy_for_both_classes():
    """With unequal flip rates both classes' noisy margins are the law's at the overall share, to 1e-4 at p = 1e12."""
    sigma = math.sqrt(200 / (8 * 1e12))
    problem = SignalNoise(200, 10**12, mu_norm=1.0, noise_std=sigma, flip_plus=0.05, flip_minus=0.4)
    draw = draw_mixture(problem, 0.0, seed=0)
    run, (law, _) = descend_mixture(draw, 0.2, np.arange(201)), law_of_run(draw, 0.2, 200)
    for side in (1, -1):
        chosen = (draw.y == side) & (draw.agree < 0)
        assert chosen.any()
        np.testing.assert_allclose(run.margins[:, chosen].mean(1), law.noisy_margin, atol=1e-4)


@pytest.mark.parametrize(("n", "p"), [(20, 25), (30, 400)])
def test_prop_linear_fresh_identity(n, p):
    sigma = 0.4
    draw = draw_mixture(mixture(n, p, sigma, 0.2), 0.0, seed=1)
    run = descend_mixture(draw, 0.8, [1, 7, 60])
    z = draw.y_obs[:, None] * draw.noise / sigma
    w, across = z[:, 0], z[:, 1:]
    for A, r, length in zip(run.signal, run.noise_responses, run.length):
        rest = r - sigma * A * w
        square = A**2 + rest @ np.linalg.solve(across @ across.T, rest) / sigma**2
        assert square == pytest.approx(length**2, rel=1e-8)


def test_prop_linear_fresh_limit():
    """p = 1e10: |theta|^2 is the law's to a relative 1e-3."""
    n, c, p = 200, 8.0, 10**10
    draw = draw_mixture(mixture(n, p, math.sqrt(n / (c * p)), 0.2), 0.0, seed=0)
    run, (law, _) = descend_mixture(draw, 0.2, np.arange(1, 201)), law_of_run(draw, 0.2, 200)
    share = np.mean(draw.agree < 0)
    mean_square = (1 - share) * law.r_clean**2 + share * law.r_noisy**2
    np.testing.assert_allclose(run.length**2, (law.signal**2 + c * mean_square)[1:], rtol=1e-3)


def test_obs_linear_fresh():
    """Means of 10 seeds at p / n = 0.9, 2, 5 and s = 0.5, 2, 5, 30 within 0.01 of the law's accuracy."""
    n, c, tau = 200, 8.0, 0.2
    law = limit_law(c, tau, np.array([0.5, 2.0, 5.0, 30.0]))
    size = np.sqrt(law.signal**2 + c * ((1 - tau) * law.r_clean**2 + tau * law.r_noisy**2))
    for ratio in (0.9, 2.0, 5.0):
        p = round(ratio * n)
        problem = mixture(n, p, math.sqrt(n / (c * p)), tau)
        runs = [descend_mixture(draw_mixture(problem, 0.0, seed), 0.4, [5, 20, 50, 300]).test_accuracy
                for seed in range(10)]
        assert np.abs(np.mean(runs, 0) - ndtr(math.sqrt(c * ratio) * law.signal / size)).max() < 0.01


@pytest.mark.parametrize(("call", "words"), [
    (lambda: measured_constants(draw_mixture(mixture(9, 5, 0.1, 0.0), 1.0, 0)), "draw.y_obs"),
    (lambda: measured_constants("draw"), "draw='draw'"),
    (lambda: early_learning(0.1), "constants=0.1: must be a MixtureConstants"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1), 1.0, 0.1), "problem.n=10"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1), 1.0, 1.0), "delta=1.0"),
    (lambda: likely_constants(mixture(10, 10, 0.1, 0.1).replace(flip_minus=0.3), 1.0, 0.1), "problem.flip_minus=0.3"),
    (lambda: limit_constants(0.0, 0.1, 0.2, 1.0), "ratio=0.0"),
    (lambda: limit_constants(1.0, 0.1, 0.5, 1.0), "flip_rate=0.5"),
    (lambda: separability_threshold(0.0, 0.2), "noise_std=0.0"),
    (lambda: cover_probability(0, 3), "n=0"),
    (lambda: law_of_run(draw_mixture(mixture(50, 500, 0.1, 0.2), 0.0, 0), 9.0, 3), "lr=9.0")])
def test_bounds_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_records_are_plain_numbers():
    assert isinstance(limit_constants(1.0, 0.1, 0.2, 1.0), MixtureConstants)
    assert isinstance(early_learning(limit_constants(1.0, 0.1, 0.2, 1.0)), EarlyLearning)
