"""Chapter 16: early learning in a linear model, and the constants of its theorem."""

import math
from dataclasses import astuple, replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from linear import powers, rms, until
from scipy.special import expit
from scipy.stats import norm

from helpers.engine.linear_mixture import descend_mixture, draw_mixture, mixture_problem, separable_mixture
from helpers.theory.linear_theory import (
    _least_change,
    _population_gradient,
    likely_linear_constants,
    linear_early_learning,
    linear_first_alignment,
    linear_limit_constants,
    measured_linear_constants,
)

NUMBERS = ("spread", "spread_clean", "spread_noisy", "label_noise", "signal_rms", "start", "far_start", "far_along")


def numbers(k):
    return np.array([getattr(k, name) for name in NUMBERS] + [*k.start_noise, *k.along_noise])


@pytest.mark.statement("prop-mixture-gradient")
def test_prop_mixture_gradient_against_autograd_and_two_logits():
    draw, lr = draw_mixture(mixture_problem(40, 15, 0.6, 0.2), 2.0, seed=0), 0.3
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


@pytest.mark.statement("thm-early-linear-paper")
@pytest.mark.parametrize("Delta", [0.2, 0.5])
def test_thm_early_linear_paper_numbers_hold_where_the_noise_is_small(Delta):
    """Cosine 1/6, way 1, accuracies .5 and .9999, changes .05 and separability, at sigma = .004 and p / n = .95."""
    draw = draw_mixture(mixture_problem(1000, 950, 0.004, Delta / 2), 2.0, seed=1)
    run, T = until(draw, 0.5, 0.1, 20)
    assert run.alignment[:T].min() >= 1 / 6 and run.signal[T] - run.signal[0] < 1
    assert abs(run.read_truly("noisy")[0] - 0.5) < 0.5 and run.read_truly("noisy")[T] > 0.9999
    k2 = {w: run.mean_over(run.squared_coefficients, w) for w in ("clean", "noisy")}
    assert k2["clean"][0] - k2["clean"][T] >= 0.05 and k2["noisy"][T] - k2["noisy"][0] >= 0.05
    assert separable_mixture(draw.signed[:400, :380])  # a corner of it, to save time: n = 400, p = 380


@pytest.mark.statement("lem-population-gradient")
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
    pull, shrink = _population_gradient(signal, np.linalg.norm(theta), sigma, tau)
    gap = terms.mean(0) - (np.array([pull, 0, 0]) - shrink * theta)
    assert np.all(np.abs(gap) <= 5 * terms.std(0) / math.sqrt(size))


@pytest.mark.statement("prop-first-gradient")
@pytest.mark.parametrize(("ratio", "radius", "sigma", "tau"), [(0.9, 2.0, 0.2, 0.2), (3.0, 1.0, 0.4, 0.1),
                                                               (0.3, 4.0, 0.5, 0.3)])
def test_prop_first_gradient(ratio, radius, sigma, tau):
    """Mean over 12 seeds; the deviation falls from n = 300 to n = 2400 and is then within three standard errors, the
    bias being of order 1 / n."""
    def cosines(n):
        problem = mixture_problem(n, round(ratio * n), sigma, tau)
        return np.array([descend_mixture(draw_mixture(problem, radius, seed), 1.0, [0]).alignment[0]
                         for seed in range(12)])
    wide, limit = cosines(2400), linear_first_alignment(ratio, radius, sigma, tau)
    assert abs(wide.mean() - limit) < 3 * wide.std(ddof=1) / math.sqrt(12) + 2 / 2400
    assert rms(wide - limit) < rms(cosines(300) - limit)


def check_early(draw, lr, target):
    """Claims 1 to 5 of thm-early-linear on one draw; returns whether the hypothesis holds."""
    k = measured_linear_constants(draw, target=target)
    bound = linear_early_learning(k)
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
        assert change >= _least_change(gain, k.start + k.start_noise[at], k.along_noise[at], spread) - 1e-12
    return True


@pytest.mark.statement("thm-early-linear")
@settings(max_examples=80, deadline=None)
@given(st.integers(10, 60), st.integers(2, 150), powers(-3, -0.5), st.sampled_from([0.0, 0.5, 2.0]),
       st.floats(0.05, 0.4), powers(-1, 0.7), st.floats(0.02, 0.5), st.integers(0, 10**6))
def test_thm_early_linear_holds_wherever_its_hypothesis_does(n, p, sigma, radius, tau, lr, target, seed):
    draw = draw_mixture(mixture_problem(n, p, sigma, tau), radius, seed)
    if 0 < (draw.agree < 0).sum() < n:
        check_early(draw, lr, target)


@pytest.mark.statement("thm-early-linear")
@pytest.mark.parametrize(("sigma", "radius"), [(0.004, 2.0), (0.05, 2.0), (0.1, 2.0), (0.2, 0.0), (0.3, 0.0)])
def test_thm_early_linear_says_something_at_the_chapter_s_size(sigma, radius):
    assert check_early(draw_mixture(mixture_problem(1000, 900, sigma, 0.2), radius, 0), 0.05, 0.1)


@pytest.mark.statement("thm-early-linear")
def test_thm_early_linear_travel_is_the_smallest_solution():
    """The reported tangent solves the fixed point (omega + a_0) sqrt(1 + q^2) = D, and a strong noise has none."""
    k = linear_limit_constants(0.9, 0.1, 0.2, 2.0)
    bound = linear_early_learning(k)
    travel = k.target * math.hypot(1, bound.tangent)
    margin = k.target + k.spread * (k.radius + travel)
    slowest = 1 - 2 * k.flip_rate - k.signal_rms * margin / 2
    assert bound.tangent == pytest.approx(k.spread * (1 + margin / 2) / slowest, rel=1e-9)
    assert bound.fresh == pytest.approx(norm.cdf(k.target / (0.1 * (2 + travel))), rel=1e-9)
    leaning = replace(k, start=0.02, far_start=0.1, far_along=0.05)
    lost = 0.15 + 9 * k.spread_noisy**2 * linear_early_learning(leaning).tangent ** 2 * 1.2**2
    assert linear_early_learning(leaning).read_truly == pytest.approx(1 - lost, rel=1e-12)
    for bad in (replace(k, spread=0.5), replace(k, start=0.1), replace(k, flip_rate=0.5)):
        lost = linear_early_learning(bad)
        assert lost.holds is False and all(math.isnan(x) for x in astuple(lost)[1:])


@pytest.mark.statement("thm-early-linear")
@pytest.mark.parametrize("flip_rate", [0.1, 0.2, 0.4])
def test_thm_early_linear_in_numbers_at_one_dimension_per_sample(flip_rate):
    """What the page says of p = n: .9999 holds at sigma = .0035 and not at .005, whatever the flip rate; without a
    start it holds at .008. Phi(1 / (20 sigma)) passes .9999 near sigma = .0134."""
    def promise(sigma, radius=2.0):
        return linear_early_learning(linear_limit_constants(1.0, sigma, flip_rate, radius))
    assert promise(0.0035).read_truly > 0.9999 > promise(0.005).read_truly and promise(0.008, 0.0).read_truly > 0.9999
    assert 1 / (20 * norm.ppf(0.9999)) == pytest.approx(0.0134, abs=5e-5)
    if flip_rate == 0.2:
        at = promise(0.1)
        assert at.holds and at.alignment > 1 / 6 and at.read_truly < 0 and not promise(0.2).holds


@pytest.mark.statement("thm-early-linear")
def test_thm_early_linear_gets_weaker_when_a_constant_grows():
    k = linear_limit_constants(0.9, 0.02, 0.2, 2.0, start=0.01)
    better = linear_early_learning(k)
    for name in NUMBERS:
        worse = linear_early_learning(replace(k, **{name: getattr(k, name) + 0.005}))
        assert worse.last >= better.last and worse.first <= better.first
        for claim in ("slowest", "alignment", "fresh", "read_truly", "fall", "rise"):
            assert getattr(worse, claim) <= getattr(better, claim), (name, claim)


@pytest.mark.statement("lem-mixture-constants")
@pytest.mark.parametrize(("n", "p"), [(200, 150), (100, 600)])
def test_lem_mixture_constants(n, p):
    """Not one of 150 draws beyond the bounds for delta = 0.2 more often than a fifth, and each bound within a factor of
    2.5 of the largest value seen, but for those of order 1 / sqrt(n)."""
    problem, delta = mixture_problem(n, p, 0.3, 0.25), 0.2
    bounds = likely_linear_constants(problem, 2.0, delta, target=2.0)
    seen = [measured_linear_constants(draw_mixture(problem, 2.0, seed), target=2.0) for seed in range(150)]
    values = np.array([numbers(k) for k in seen])
    values[:, NUMBERS.index("label_noise")] += 2 * np.abs([k.flip_rate - 0.25 for k in seen])
    assert (values > numbers(bounds)).any(1).mean() <= delta and bounds.flip_rate == 0.25
    tight = [NUMBERS.index(name) for name in ("spread", "spread_clean", "spread_noisy", "signal_rms")] + [8, 9, 10, 11]
    assert np.all(numbers(bounds)[tight] <= 2.5 * values.max(0)[tight])


@pytest.mark.statement("lem-mixture-constants")
def test_lem_mixture_constants_moments_of_a_coordinate_of_the_sphere():
    """E u^(2k) <= E g^(2k) / p^k, the step that bounds a_0: exact moments, and the tail at p = 5."""
    for p, k in product((2, 3, 10), (1, 2, 5)):
        odd = math.prod(range(1, 2 * k, 2))
        assert odd / math.prod(range(p, p + 2 * k, 2)) <= odd / p**k
    u = np.random.default_rng(0).standard_normal((20_000, 5))
    u = np.abs(u[:, 0]) / np.linalg.norm(u, axis=1)
    assert all(np.mean(u >= r) <= 2 * math.exp(-5 * r**2 / 2) for r in (0.5, 0.7, 0.9, 0.99))


@pytest.mark.statement("cor-early-linear")
def test_cor_early_linear_constants_tend_to_their_limits():
    """Mean over the constants of the distance: below 0.01 at n = 1600, less than half of that at n = 100; 6 seeds."""
    limit = numbers(linear_limit_constants(0.5, 0.2, 0.3, 1.0, target=0.5))

    def distance(n):
        problem = mixture_problem(n, n // 2, 0.2, 0.3)
        draws = [draw_mixture(problem, 1.0, seed) for seed in range(6)]
        return np.mean([np.abs(numbers(measured_linear_constants(draw, target=0.5)) - limit).mean() for draw in draws])
    assert distance(1600) < min(0.01, distance(100) / 2)


@pytest.mark.statement("cor-early-linear")
@pytest.mark.parametrize("Delta", [0.1, 0.5, 0.9])
def test_cor_early_linear_for_small_noise(Delta):
    a = 0.1
    bounds = [linear_early_learning(linear_limit_constants(1.0, sigma, Delta / 2, 2.0, target=a))
              for sigma in (1e-3, 1e-4, 1e-5)]
    assert all(bound.holds for bound in bounds)
    off = np.array([[1 - b.alignment, 1 - b.read_truly, a * (1 - 5 / 16 * a) - b.rise] for b in bounds])
    assert np.all(off[-1] < 1e-4) and np.all(np.diff(off, axis=0) <= 0)
    assert not linear_early_learning(linear_limit_constants(1.0, 1e-5, Delta / 2, 2.0, target=2.01 * (1 - Delta))).holds


@pytest.mark.statement("cor-early-linear")
@pytest.mark.parametrize("Delta", [0.05, 0.5, 0.9])
def test_cor_early_linear_needs_a_bounded_step_for_the_coefficients(Delta):
    """cor-early-linear: for small sigma any step up to 4 leaves a (1 - 5 a / 16) above .05, wherever between omega and
    omega + a_0 + eta G+ / 2 the last step ends (concave in a: the ends are enough); from a = 16/5 on it is empty."""
    bound = linear_early_learning(linear_limit_constants(1.0, 1e-4, Delta / 2, 2.0))
    claims = [_least_change(a, 0.0, 0.0, 0.0) for a in (0.1, 0.1 + 2 * bound.fastest)]
    assert min(claims) > 0.05 and _least_change(3.2, 0.0, 0.0, 0.0) <= 1e-12


@pytest.mark.statement("cor-early-linear")
def test_cor_early_linear_likely_constants_hold_for_many_samples():
    sizes = [linear_early_learning(likely_linear_constants(mixture_problem(n, n, 0.01, 0.2), 2.0, 0.05))
             for n in (10**4, 10**6, 10**8)]
    limit = linear_early_learning(linear_limit_constants(1.0, 0.01, 0.2, 2.0))
    gaps = [limit.rise - size.rise for size in sizes]
    assert all(size.holds for size in sizes) and gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.01
