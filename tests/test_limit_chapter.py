"""Chapter 6: the limit law, how near gradient descent is to it, and what follows from it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products
from helpers.plots import fitted_slope
from helpers.theory.limit import class_laws, euler_law, limit_law, sample_margins
from helpers.theory.limit_distance import descend_products, euler_error, limit_errors
from helpers.theory.orthogonal_draws import ideal_products, orthogonalised

UNIT = SignalNoise(200, 10**6, n_snr2=1.0, noise_std=1e-3)  # sigma^2 d = 1, the unit of ideal_products
strengths = st.floats(0.05, 50.0)
flip_rates = st.one_of(st.just(0.0), st.floats(1e-3, 0.49))


def drawn(test):
    return settings(max_examples=40, deadline=None)(given(strengths, flip_rates)(test))


def balanced(n=200, tau=0.1):
    noisy = round(n / 2 * tau)
    return {(side, side * sign): noisy if sign < 0 else n // 2 - noisy for side in (1, -1) for sign in (1, -1)}


def disturbed(products, rng, shares=0.0, cross=0.0, norms=0.0):
    """A near-ideal draw: a share of the activations switched, inner products and norms off by so much."""
    size = len(products.gram)
    noise = rng.uniform(-1, 1, (size, size))
    gram = products.gram.numpy() + cross * np.triu(noise, 1) + cross * np.triu(noise, 1).T
    gram[np.arange(1, size), np.arange(1, size)] *= 1 + norms * rng.uniform(-1, 1, size - 1)
    signs = torch.from_numpy(np.where(rng.random(products.responses.shape) < shares, -1.0, 1.0))
    return replace(products, gram=torch.from_numpy(gram), responses=products.responses * signs)


def check_limit_law(products, tau, h, steps, strict=True):
    """Claims 1 to 4 of thm-limit-law at every step; where its hypothesis fails: an error, or None if not strict."""
    c = len(products.y) * float(products.gram[0, 0])
    scheme = euler_law(c, tau, h, steps)
    errors = limit_errors(UNIT.replace(n=len(products.y)), products, tau, h * steps)
    s0 = errors.turned_by(scheme)
    if s0 is None and not strict:
        return None
    assert s0 is not None, "the hypotheses are meant to hold here"
    course, rounding = descend_products(products, h, steps), 1e-12 * (1 + c)
    q, Q = (bound(scheme.times, s0, h) for bound in (errors.signal_bound, errors.margin_bound))
    clean = (products.y == products.y_obs).numpy()
    r = np.where(clean, scheme.r_clean[:, None], scheme.r_noisy[:, None])
    assert np.all(np.abs(course.gamma - scheme.signal[:, None, None]).max((1, 2)) <= q + rounding)
    assert np.all(np.abs(course.rho - r).max(1) <= q + scheme.times * errors.noise_drive + rounding)
    gaps = np.abs(course.margins - sample_margins(scheme, products.y, products.y_obs)).max(1)
    assert np.all(gaps <= Q + rounding)
    sure = np.minimum(abs(scheme.signal - scheme.r_clean), abs(scheme.signal - scheme.r_noisy)) > Q + rounding
    law = ((scheme.r_noisy > scheme.signal) * (1 - clean.mean()) + (scheme.r_clean > scheme.signal) * clean.mean()) / 2
    np.testing.assert_allclose(course.reused_error[sure], law[sure], rtol=0, atol=1e-12)
    return gaps, Q, sure


def powers(low, high):
    return st.floats(low, high).map(lambda x: 10**x)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([20, 40, 100]), st.sampled_from([2, 10, 50]), st.floats(0.5, 20.0),
       st.sampled_from([0, 0.1, 0.3]), powers(-7, -2), powers(-5, -2), powers(-10, -7), powers(-4, -1),
       st.floats(0.01, 0.3), st.sampled_from([0, 0, 1]), st.integers(0, 10**6))
def test_thm_limit_law_holds_wherever_its_hypotheses_do(n, m, c, tau, b, shares, cross, norms, h, extra, seed):
    counts = balanced(n, tau)
    counts[1, 1] += extra  # counts off the nominal ones
    products = disturbed(ideal_products(counts, m, c, b, seed), np.random.default_rng(seed), shares, cross, norms)
    check_limit_law(products, tau, h, steps=12, strict=False)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("shares", "cross", "norms", "extra"), [
    (0.001, 1e-8, 1e-3, 0), (0.01, 0, 0, 0), (0, 1e-8, 0, 0), (0, 0, 0.1, 0), (0, 0, 0, 2)])
def test_thm_limit_law_with_each_kind_of_error(shares, cross, norms, extra, seed):
    counts = balanced()
    counts[1, 1] += extra
    products = ideal_products(counts, 40, 8.0, 1e-3, seed)
    products = disturbed(products, np.random.default_rng(seed), shares, cross, norms)
    gaps, bound, _ = check_limit_law(products, 0.1, 0.1, 10)
    assert gaps[-1] > 1e-3 * bound[-1]  # the bound is loose, not absurd


def test_thm_limit_law_when_filters_turn_late():
    """Initial responses of many steps' size: filters turn one by one, and T_0 of thm-limit-law is well above 1."""
    h, steps = 0.005, 100
    products = ideal_products(balanced(), 10, 8.0, 0.02, 0)
    assert check_limit_law(products, 0.1, h, steps)
    s0 = limit_errors(UNIT, products, 0.1, h * steps).turned_by(euler_law(8.0, 0.1, h, steps))
    course, signs = descend_products(products, h, steps), torch.tensor([1.0, -1.0])[:, None]
    turned = (course.gamma + (signs * products.responses[..., 0]).numpy() > 0).all((1, 2))  # <w, j mu> > 0
    assert not turned[1] and not turned[2] and s0 > 3 * h
    assert turned[course.times >= s0 - 1e-12].all()


def test_thm_limit_law_bound_is_made_of_its_terms():
    """Each departure from the idealised draw enters q and Q of thm-limit-law, with the coefficient displayed."""
    errors = limit_errors(UNIT, ideal_products(balanced(), 10, 8.0, 1e-2, 0), 0.1, 2.0)
    assert (errors.cross_talk, errors.share_error, errors.norm_error) == (0, 0, 0)
    assert errors.count_error == pytest.approx(0, abs=1e-15)
    full = replace(errors, cross_talk=0.01, share_error=0.02, norm_error=0.03, count_error=0.04)
    c, s, s0, h, b = 8.0, 1.5, 0.4, 0.1, errors.initial
    eps0 = b + 2.0 * 0.01
    eps_r, eps_A = 0.02 + 0.52 * 0.03 + eps0 / 2, 0.04 + 0.54 * eps0
    M0 = 0.3 * (c * 0.54 + 1.03 * 0.52) + 4 * eps0
    q = 2 * c * s0 * (0.04 + M0 / 4) + s * (c * eps_A + np.sqrt(c * 1.08) * eps_r)
    assert full.signal_bound(s, s0, h) == pytest.approx(q)
    assert full.margin_bound(s, s0, h) == pytest.approx(2 * q + s * eps_r + 4 * eps0)


def test_share_error_counts_what_cross_talk_can_switch():
    """thm-limit-law: a filter whose initial response is within S eps_x of zero counts on either side."""
    products = ideal_products(balanced(), 10, 8.0, 1e-2, 0)
    responses = products.responses.clone()
    active = int(responses[0, :, 1].argmax())
    responses[0, active, 1] = 1e-9  # one of the five active filters of sign y_obs = +1 on the first sample, barely
    barely = replace(products, responses=responses)
    assert limit_errors(UNIT, barely, 0.1, 1.0).share_error == 0
    crossed = disturbed(barely, np.random.default_rng(0), cross=1e-10)  # too little for any other filter
    assert limit_errors(UNIT, crossed, 0.1, 1.0).share_error == pytest.approx(0.1)
    responses[0, active, 1] = -1e-9
    assert limit_errors(UNIT, replace(crossed, responses=responses), 0.1, 1.0).share_error == pytest.approx(0.1)
    other = int(responses[0, :, 1].argmin())  # a silent one that could wake up instead
    responses[0, active, 1], responses[0, other, 1] = 1e-2, -1e-9
    assert limit_errors(UNIT, replace(crossed, responses=responses), 0.1, 1.0).share_error == pytest.approx(0.1)


def test_count_error_adds_clean_and_noisy():
    """thm-limit-law: eps_n is the larger over the classes of |clean / n - (1 - tau) / 2| + |noisy / n - tau / 2|."""
    counts = {(1, 1): 92, (1, -1): 8, (-1, -1): 91, (-1, 1): 9}
    assert limit_errors(UNIT, ideal_products(counts, 2, 8.0, 1e-2, 0), 0.1, 1.0).count_error == pytest.approx(0.02)


def test_claim_four_of_thm_limit_law_sees_the_jump():
    """On a nearly idealised draw the error on reused noise is 0 before the memorisation time and tau/2 after it."""
    products = ideal_products(balanced(), 10, 8.0, 1e-6, 0)
    _, _, sure = check_limit_law(products, 0.1, 0.1, 120)
    assert sure[1:].mean() > 0.95  # all steps but those next to the jump
    errors = descend_products(products, 0.1, 120).reused_error
    assert errors[1:60].max() == 0 and errors[-20:].tolist() == [0.05] * 20


def test_cor_limit_law_along_a_sequence_of_draws():
    """cor-limit-law: bounds and distances fall along draws with growing n, m, d; the last meets the hypotheses."""
    rows = []
    for n, m, d, init in [(100, 20, 10**7, 1e-2), (300, 150, 10**11, 3e-3), (1000, 600, 10**15, 1e-3)]:
        problem = SignalNoise(n, d, n_snr2=4.0, flip_plus=0.1, flip_minus=0.1)
        products = inner_products(problem, m, init / d**0.5, 1)
        errors, scheme = limit_errors(problem, products, 0.1, 0.3), euler_law(4.0, 0.1, 0.05, 6)
        s0 = errors.turned_by(scheme)
        course = descend_products(products, 0.05, 6, unit=float(d))
        gap = np.abs(course.margins - sample_margins(scheme, products.y, products.y_obs)).max()
        rows.append((gap, errors.margin_bound(0.3, s0 or 0.05, 0.05), s0 is not None))
    gaps, bounds, holds = zip(*rows)
    assert holds[-1] and gaps[-1] <= bounds[-1]
    assert gaps[0] > 1.2 * gaps[1] > 1.2**2 * gaps[2] and bounds[0] > 1.5 * bounds[1] > 1.5**2 * bounds[2]


@pytest.mark.parametrize(("c", "tau"), [(8.0, 0.1), (4.0, 0.2), (1.0, 0.1), (5.0, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_prop_limit_exact(c, tau, seed):
    """prop-limit-exact: the Euler scheme to rounding for tiny b, an error linear in b, and below the stated Q."""
    h, steps = 0.1, 30
    scheme = euler_law(c, tau, h, steps)

    def gap(b):
        products = ideal_products(balanced(tau=tau), 10, c, b, seed)
        law = sample_margins(scheme, products.y, products.y_obs)
        return np.abs(descend_products(products, h, steps).margins - law).max(1)

    assert gap(1e-14).max() < 1e-12  # rounding of n sums
    sizes = np.array([1e-6, 1e-5, 1e-4, 1e-3])
    gaps = np.array([gap(b) for b in sizes])
    assert fitted_slope(sizes, gaps.max(1))[0] == pytest.approx(1, abs=2e-3)
    stated = (4 + 4 * h * c + scheme.times * (c + c**0.5 + 0.5)) * sizes[:, None]
    assert np.all(gaps <= stated)
    products = ideal_products(balanced(tau=tau), 10, c, 1e-5, seed)
    errors = limit_errors(UNIT, products, tau, h * steps)
    assert errors.turned_by(scheme) == pytest.approx(h)
    bound = errors.margin_bound(scheme.times[1:], h, h)
    np.testing.assert_allclose(bound, stated[1, 1:] * errors.initial / 1e-5, rtol=1e-9)


def test_prop_limit_exact_needs_half_of_the_filters():
    products = ideal_products(balanced(), 10, 8.0, 1e-9, 0)
    scheme = euler_law(8.0, 0.1, 0.1, 30)
    switched = disturbed(products, np.random.default_rng(0), shares=0.1)
    gap = np.abs(descend_products(switched, 0.1, 30).margins - sample_margins(scheme, products.y, products.y_obs)).max()
    assert gap > 0.1


@pytest.mark.parametrize("active", [2, 4, 7, 10])
def test_any_share_of_active_filters_is_the_law_at_another_strength(active):
    """Exercise ex-share: with a share p active, c / (2p) on the clock 2ps; its line is condition 5 of thm-stage-one."""
    c, tau, h, m = 6.0, 0.1, 0.05, 10
    products = ideal_products(balanced(), m, c, 1e-12, 0)
    signs = torch.where(torch.arange(m) < active, 1.0, -1.0)[:, None]
    responses = products.responses.clone()
    responses[..., 1:] = responses[..., 1:].abs() * signs
    course, share = descend_products(replace(products, responses=responses), h, 60), active / m
    law = sample_margins(euler_law(c / (2 * share), tau, 2 * share * h, 60), products.y, products.y_obs)
    np.testing.assert_allclose(course.margins, law, rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(strengths, flip_rates, st.floats(0.02, 1.0))
def test_lem_euler(c, tau, fraction):
    """lem-euler: u, v, A, r_c, r_n within s h (1 + c)^2 / 16 of the law; the steps shrink |du| + |dv|."""
    h, steps = fraction * 8 / (1 + c), 40
    scheme = euler_law(c, tau, h, steps)
    law = limit_law(c, tau, scheme.times)
    bound = euler_error(c, h, scheme.times) + 1e-9 * (1 + c)
    for name in ("signal", "r_clean", "r_noisy", "clean_margin", "noisy_margin"):
        assert np.all(np.abs(getattr(scheme, name) - getattr(law, name)) <= bound), name
    np.testing.assert_allclose(euler_error(c, h, 2.0), 2.0 * h * (1 + c) ** 2 / 16)
    # Two points of the (u, v) plane come no farther apart in one step.
    a, b = c * (1 - tau), c * tau
    points = np.random.default_rng(0).normal(0, 3, (2, 200, 2))

    def step(u, v):
        clean, noisy = 1 / (1 + np.exp(u)), 1 / (1 + np.exp(v))
        return u + h / 2 * ((1 + a) * clean - b * noisy), v + h / 2 * ((1 + b) * noisy - a * clean)

    moved = np.stack(step(points[..., 0], points[..., 1]), -1)
    assert np.all(np.abs(np.diff(moved, axis=0)).sum(-1) <= np.abs(np.diff(points, axis=0)).sum(-1) * (1 + 1e-12))


def test_lem_euler_has_slope_one_and_refuses_large_steps():
    widths = np.array([0.1, 0.05, 0.025, 0.0125])
    gaps = [np.abs(scheme.clean_margin - limit_law(8.0, 0.1, scheme.times).clean_margin).max()
            for scheme in (euler_law(8.0, 0.1, h, round(5 / h)) for h in widths)]
    assert fitted_slope(widths, gaps)[0] == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match=r"^h=.*must be at most"):
        euler_error(8.0, 0.9, 1.0)


@drawn
def test_lem_first_integral(c, tau):
    """lem-first-integral: A = a r_c - b r_n along the Euler scheme, to rounding, and the law in two variables."""
    scheme = euler_law(c, tau, 0.1, 50)
    a, b = c * (1 - tau), c * tau
    u, v = scheme.clean_margin, scheme.noisy_margin
    np.testing.assert_allclose(scheme.signal, a * scheme.r_clean - b * scheme.r_noisy, rtol=0, atol=1e-12 * (1 + c))
    np.testing.assert_allclose(scheme.signal, (a * u - b * v) / (1 + c), rtol=0, atol=1e-12 * (1 + c))
    g_u, g_v = -scheme.clean_loss_derivative[:-1], -scheme.noisy_loss_derivative[:-1]
    np.testing.assert_allclose(np.diff(u), 0.05 * ((1 + a) * g_u - b * g_v), rtol=0, atol=1e-12 * (1 + c))
    np.testing.assert_allclose(np.diff(v), 0.05 * ((1 + b) * g_v - a * g_u), rtol=0, atol=1e-12 * (1 + c))


def fine(c, tau, end=1e6):
    return limit_law(c, tau, np.geomspace(1e-3, end, 400))


@drawn
def test_lem_law_shape(c, tau):
    """lem-law-shape: D > 0, u rises with b q < 1 + a, q rises up to kappa and never returns, margins grow for ever."""
    law = fine(c, tau)
    q, a, b = law.loss_derivative_ratio, c * (1 - tau), c * tau
    assert np.all(law.clean_margin > law.noisy_margin) and np.all(q > 1)
    assert np.all(np.diff(law.clean_margin) > 0) and np.all(b * q < 1 + a)
    below = q[:-1] <= law.kappa * (1 - 1e-6)  # next to kappa the solver's rounding decides
    assert np.all(np.diff(q)[below] > 0)
    assert not np.any(np.diff(below.astype(int)) > 0)  # once above it stays
    gap = np.diff(law.clean_margin - law.noisy_margin)
    sure = np.abs(q[:-1] / law.kappa - 1) > 1e-3
    assert np.all(gap[sure & (q[1:] < law.kappa)] > 0) and np.all(gap[sure & (q[:-1] > law.kappa)] < 0)
    assert limit_law(c, tau, [1e50]).noisy_margin[0] > law.noisy_margin[-1] + 50


@drawn
def test_prop_stage_one_exists(c, tau):
    """prop-stage-one-exists: a turn, and only one, if and only if c (1 - 2 tau) > 1."""
    assume(abs(c * (1 - 2 * tau) - 1) > 0.02)  # nearer the line the turn comes before the grid
    law = fine(c, tau)
    rises = np.diff(np.append(0, law.noisy_margin)) > 0
    if c * (1 - 2 * tau) <= 1:
        assert rises.all() and law.turning_time == 0.0
    else:
        assert not rises[0] and rises[-1] and np.sum(rises[1:] != rises[:-1]) == 1
        at_turn = limit_law(c, tau, [law.turning_time]).loss_derivative_ratio[0]
        assert at_turn == pytest.approx(c * (1 - tau) / (1 + c * tau), rel=1e-7)


@drawn
def test_prop_memorisation_time(c, tau):
    """prop-memorisation-time: the noisy margin has one zero; its loss is above log 2 before and below after."""
    assume(c * (1 - 2 * tau) > 1.02)
    law = fine(c, tau)
    assert np.sum(np.diff(np.sign(law.noisy_margin)) != 0) == 1
    before, after = limit_law(c, tau, law.memorisation_time * np.array([0.999, 1.001])).noisy_loss
    assert before > np.log(2) > after
    assert 0 < law.turning_time < law.memorisation_time


def test_prop_memorisation_time_near_the_line():
    for eps in (1e-2, 1e-3):
        for tau in (0.0, 0.1, 0.3):
            c = (1 + eps) / (1 - 2 * tau)
            expected = 8 * eps / (c * (1 - tau))
            assert limit_law(c, tau, [1.0]).memorisation_time == pytest.approx(expected, rel=4 * eps)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 20.0), st.one_of(st.just(0.0), st.floats(0.02, 0.45)))
def test_prop_late_gap(c, tau):
    """prop-late-gap: kappa, a single maximum of the gap above log kappa, the 1/s rate with its constant, u - log s."""
    law = fine(c, tau, 1e8)
    gap = law.clean_margin - law.noisy_margin
    top = gap.argmax()
    assert gap[top] > law.late_margin_gap and gap[-1] == pytest.approx(law.late_margin_gap, abs=1e-5)
    away = np.abs(gap / law.late_margin_gap - 1) > 1e-6
    assert np.all(np.diff(gap)[:top] > 0) and np.all(np.diff(gap)[top:][away[top:-1]] < 0)
    a, b = c * (1 - tau), c * tau
    constant = 2 * (law.kappa - 1) * (1 + 2 * a) * (1 + 2 * b) ** 2 / ((1 + c) * (c + 4 * a * b))
    at = limit_law(c, tau, [1e4, 1e5])
    measured = at.times * (at.clean_margin - at.noisy_margin - law.late_margin_gap)
    power = min((c + 4 * a * b) / (1 + c), 1)  # y approaches its limit like s^-(lambda / nu - 1), or like log s / s
    off = np.abs(measured / constant - 1)
    assert off[1] < 0.1 and off[1] < off[0] * 10 ** (-0.7 * power) + 1e-4
    nu = (1 + c) / (2 * (1 + 2 * b))
    assert law.clean_margin[-1] == pytest.approx(np.log(nu * 1e8), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 20.0), st.one_of(st.just(0.0), st.floats(0.02, 0.45)))
def test_prop_signal_overtaken(c, tau):
    """prop-signal-overtaken: A / r_n falls from c(1 - 2 tau) to (kappa - 1) / (2 kappa), is 1 at T_mem; eq-slow."""
    law = fine(c, tau)
    ratio, theta = law.signal / law.r_noisy, (law.kappa - 1) / (2 * law.kappa)
    assert np.all(np.diff(ratio) < 0) and theta < 0.5
    assert limit_law(c, tau, [1e-7]).signal[0] / limit_law(c, tau, [1e-7]).r_noisy[0] == pytest.approx(
        c * (1 - 2 * tau), rel=1e-5)
    if c * (1 - 2 * tau) > 1.01:
        at = limit_law(c, tau, [law.memorisation_time])
        assert at.signal[0] / at.r_noisy[0] == pytest.approx(1, abs=1e-6)
    late, a = limit_law(c, tau, [1e8, 1e100]), c * (1 - tau)
    excess = late.signal - theta * late.r_noisy
    np.testing.assert_allclose(excess, a / (1 + 2 * a) * np.log(law.kappa), rtol=1e-4)
    r_slope = np.diff(late.r_noisy)[0] / np.diff(np.log(late.times))[0]
    assert excess[1] / r_slope == pytest.approx(a * (1 + c) / (1 + 2 * a) ** 2 * np.log(law.kappa), rel=1e-4)


@drawn
def test_prop_reused_jump(c, tau):
    """prop-reused-jump: 0 up to the memorisation time, tau/2 until r_c > A; without Stage I, 1/2 at once."""
    if c * (1 - 2 * tau) <= 1:
        assume(tau > 0 and c * (1 - 2 * tau) < 0.999)
        np.testing.assert_array_equal(fine(c, tau).reused_noise_error, 0.5)
        return
    assume(c * (1 - 2 * tau) > 1.02)
    law = limit_law(c, tau, [1.0])
    jump, last = law.memorisation_time, law.clean_patch_time
    assert jump < last
    np.testing.assert_allclose(limit_law(c, tau, jump * np.array([1e-3, 0.5, 0.999])).reused_noise_error, 0)
    between = jump * 1.001 if last == np.inf else jump * (last / jump) ** np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(limit_law(c, tau, np.atleast_1d(between)).reused_noise_error, tau / 2)


@drawn
def test_prop_clean_patches(c, tau):
    """prop-clean-patches: A / r_c falls to (kappa - 1) / 2 > 0 and passes 1 if and only if c (1 - 4 tau) < 1."""
    law = fine(c, tau)
    ratio, limit = law.signal / law.r_clean, (law.kappa - 1) / 2
    assert np.all(law.signal > 0) and np.all(ratio > limit * (1 - 1e-9))
    if tau > 0:
        assert np.all(np.diff(ratio) < 1e-9 * ratio[:-1])
    assume(abs(c * (1 - 4 * tau) - 1) > 1e-6)
    assert (law.kappa < 3) == (c * (1 - 4 * tau) < 1)
    if c * (1 - 4 * tau) > 1:
        assert law.clean_patch_time == np.inf
    elif c * (1 - 2 * tau) <= 1:
        assert law.clean_patch_time == 0.0
    elif 1.02 < c * (1 - 2 * tau) and law.clean_patch_time < 1e290:
        before, after = limit_law(c, tau, law.clean_patch_time * np.array([0.99, 1.01])).reused_noise_error
        assert before == tau / 2 and after == 0.5


@pytest.mark.parametrize(("c", "tau", "expected"), [(4.0, 0.2, 4510.8), (20.0, 0.3, 13.064), (8.0, 0.1, np.inf)])
def test_clean_patch_time_in_numbers(c, tau, expected):
    """prop-clean-patches: the numbers of the table, against the integrated law on a grid."""
    assert limit_law(c, tau, [1.0]).clean_patch_time == pytest.approx(expected, rel=1e-4)
    times = np.linspace(4000, 5000, 1001) if expected > 100 else np.linspace(1, 20, 1901)
    law = limit_law(c, tau, times)
    behind = times[law.r_clean > law.signal]
    assert (len(behind) == 0) == (expected == np.inf)
    if len(behind):
        assert behind[0] == pytest.approx(expected, abs=times[1] - times[0])


@pytest.mark.parametrize("h", [0.1, 0.02])
@pytest.mark.parametrize("counts", [
    {(1, 1): 95, (1, -1): 5, (-1, -1): 70, (-1, 1): 30}, {(1, 1): 110, (1, -1): 10, (-1, -1): 60, (-1, 1): 20}])
def test_prop_two_copies(counts, h):
    """prop-two-copies: each class follows its own law with c_y = 2 c n_y / n within the stated bound."""
    c, b, steps = 8.0, 1e-4, round(3 / h)
    products = ideal_products(counts, 10, c, b, 0)
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    laws = class_laws(c, y, y_obs, partial(euler_law, h=h, steps=steps))
    course = descend_products(products, h, steps)
    assert np.all(course.gamma[1:] > b)  # turned from step 1 on
    first = abs(laws[1].signal[1] - laws[-1].signal[1])
    strongest = max(law.n_snr2 for law in laws.values())
    gaps = np.abs(course.margins - sample_margins(laws, y, y_obs))
    for index, (side, law) in enumerate(laws.items()):
        own = y == side
        assert law.n_snr2 == pytest.approx(2 * c * own.mean())
        assert law.flip_rate == pytest.approx((y_obs != y)[own].mean())
        s, c_y = law.times, law.n_snr2
        q = 2 * first + 1.5 * h * strongest * b + s / 2 * (c_y + c_y**0.5) * b
        assert np.all(np.abs(course.gamma[1:, index] - law.signal[1:, None]).max(1) <= q[1:])
        assert np.all(gaps[:, own].max(1) <= 2 * q + s / 2 * b + 4 * b)
    other = {side: laws[-side] for side in laws}
    assert np.abs(course.margins - sample_margins(other, y, y_obs)).max() > 0.2  # and not the other class's


def test_prop_two_copies_error_on_reused_noise():
    """eq-reused-two: two jumps, by a quarter of each rate."""
    counts, c, h = {(1, 1): 95, (1, -1): 5, (-1, -1): 70, (-1, 1): 30}, 8.0, 0.05
    course = descend_products(ideal_products(counts, 10, c, 1e-7, 0), h, 300)
    rates = {1: 0.05, -1: 0.3}
    laws = {side: limit_law(c, rate, course.times) for side, rate in rates.items()}
    formula = sum(rates[y] * (laws[y].r_noisy > laws[y].signal) + (1 - rates[-y]) * (laws[-y].r_clean > laws[y].signal)
                  for y in (1, -1)) / 4
    differ = course.reused_error[1:] != pytest.approx(formula[1:])
    assert not differ or np.mean(np.abs(course.reused_error[1:] - formula[1:]) > 1e-12) < 0.02  # steps next to a jump
    first, second = laws[-1].memorisation_time, laws[1].memorisation_time
    for start, end, level in ((0.2, first, 0), (first, second, 0.3 / 4), (second, 15, 0.35 / 4)):
        inside = (course.times > start + 0.15) & (course.times < end - 0.15)
        assert inside.sum() > 20
        np.testing.assert_allclose(course.reused_error[inside], level)


def test_prop_two_copies_clean_patches_are_judged_by_the_other_class():
    """eq-reused-two pairs r_c of one class with A of the other: very different strengths tell the pairings apart."""
    counts, c, h = {(1, 1): 180, (1, -1): 0, (-1, -1): 14, (-1, 1): 6}, 3.0, 0.1
    course = descend_products(ideal_products(counts, 10, c, 1e-7, 0), h, 30)
    labels = zip(*[pair for pair, k in counts.items() for _ in range(k)])
    laws = class_laws(c, *labels, partial(euler_law, h=h, steps=30))
    strong, weak = laws[1], laws[-1]
    assert weak.signal[-1] < strong.r_clean[-1] and strong.signal[-1] > strong.r_clean[-1]
    noisy, clean = weak.r_noisy[-1] > weak.signal[-1], weak.r_clean[-1] > strong.signal[-1]
    expected = (180 * 1.0 + 6 * noisy + 14 * clean) / 400
    assert course.reused_error[-1] == pytest.approx(expected)


def test_follow_agrees_with_descend():
    problem, seed, h, m = SignalNoise(40, 500, n_snr2=6.0, flip_plus=0.2, flip_minus=0.2), 3, 0.1, 6
    record = descend(problem, m, 1e-2, h * 40 * m / 500, 20, [seed], record_at=[0, 10, 20], n_test=1)
    course = descend_products(inner_products(problem, m, 1e-2, seed), h, 20, unit=500.0, every=10)
    for name in ("margins", "gamma", "rho", "active", "reused_error"):
        theirs = getattr(record, name)[0]
        np.testing.assert_allclose(getattr(course, name), theirs, rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(course.times, [0, 1, 2])


def test_orthogonalised_keeps_the_start_and_nothing_else():
    problem = SignalNoise(30, 400, n_snr2=6.0, flip_plus=0.2, flip_minus=0.2)
    products = inner_products(problem, 4, 1e-2, 0)
    flat = orthogonalised(products, 400.0)
    np.testing.assert_array_equal(flat.gram, np.diag([float(products.gram[0, 0])] + [400.0] * 30))
    assert flat.responses is products.responses and flat.y_obs is products.y_obs
    errors = limit_errors(problem, flat, 0.2, 1.0)
    assert errors.cross_talk == 0 and errors.norm_error == 0


def test_ideal_products_are_ideal():
    products = ideal_products(balanced(), 6, 8.0, 0.5, 1)
    assert [(tuple(map(int, pair)), k) for pair, k in balanced().items()] == [
        (pair, int(((products.y == pair[0]) & (products.y_obs == pair[1])).sum())) for pair in balanced()]
    assert ((products.responses[..., 1:] > 0).sum(1) == 3).all() and (products.responses != 0).all()
    assert products.responses.abs().max() <= 0.5 and products.gram[0, 0] == 8.0 / 200
    small = ideal_products(balanced(), 6, 8.0, 0.05, 1)
    np.testing.assert_allclose(small.responses, products.responses / 10, rtol=1e-12)
    with pytest.raises(ValueError, match=r"^m=3: must be even"):
        ideal_products(balanced(), 3, 8.0, 0.5, 1)


def test_the_three_rates_of_the_distance():
    """The exponents -1/2 in n (counts), m (active shares) and d (cross-talk) of the chapter, on fewer draws."""
    scheme, c, tau = partial(euler_law, h=0.1, steps=30), 8.0, 0.1

    def part(name, seed, n=100, m=10, d=10**9, init=1e-3):
        problem = SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau)
        if name == "n":
            labels = problem.draw_labels(seed)
            other = sample_margins(class_laws(c, *labels, scheme), *labels)
            return np.abs(other - sample_margins(scheme(c, tau), *labels)).mean(1).max()
        products = inner_products(problem, m, init / d**0.5, seed)
        go = partial(descend_products, h=0.1, steps=30, unit=float(d), every=30)
        flat = go(orthogonalised(products, float(d))).margins
        labels = products.y, products.y_obs
        other = go(products).margins if name == "d" else sample_margins(class_laws(c, *labels, scheme), *labels)[::30]
        return np.abs(flat - other).mean(1).max()

    for name, values, repeats, extra in (("n", [100, 400, 1600], 60, {}), ("m", [5, 20, 80], 5, {}),
                                         ("d", [10**5, 10**6, 10**7], 8, {"init": 0.3})):
        means = [np.mean([part(name, seed, **{name: value}, **extra) for seed in range(repeats)]) for value in values]
        # standard errors: 60 half-normal draws 10% a point, hence 0.05 in the slope over a factor 16; the others less
        assert fitted_slope(np.array(values, float), means)[0] == pytest.approx(-0.5, abs=0.12), name
