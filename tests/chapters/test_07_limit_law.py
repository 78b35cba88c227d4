"""Chapter 7: the limit law, and how near gradient descent is to it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from limit_draws import UNIT, balanced, disturbed, flip_rates, strengths
from linear import powers

from helpers import SignalNoise
from helpers.engine.gram import inner_products
from helpers.engine.products_descent import descend_products
from helpers.intervals import slope_and_standard_error
from helpers.theory.limit import limit_law, limit_law_euler, limit_laws_of_both_classes, limit_margins_of_samples
from helpers.theory.limit_distance import distance_from_limit, euler_distance_from_limit
from helpers.theory.orthogonal_draws import orthogonal_products


def check_limit_law(products, tau, h, steps, strict=True):
    """Claims 1 to 4 of thm-limit-law at every step; where its hypothesis fails: an error, or None if not strict."""
    c = len(products.y) * float(products.gram[0, 0])
    scheme = limit_law_euler(c, tau, h, steps)
    errors = distance_from_limit(UNIT.replace(n=len(products.y)), products, tau, h * steps)
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
    gaps = np.abs(course.margins - limit_margins_of_samples(scheme, products.y, products.y_obs)).max(1)
    assert np.all(gaps <= Q + rounding)
    sure = np.minimum(abs(scheme.signal - scheme.r_clean), abs(scheme.signal - scheme.r_noisy)) > Q + rounding
    law = ((scheme.r_noisy > scheme.signal) * (1 - clean.mean()) + (scheme.r_clean > scheme.signal) * clean.mean()) / 2
    np.testing.assert_allclose(course.reused_error[sure], law[sure], rtol=0, atol=1e-12)
    return gaps, Q, sure


@pytest.mark.statement("thm-limit-law")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from([20, 40, 100]), st.sampled_from([2, 10, 50]), st.floats(0.5, 20.0),
       st.sampled_from([0, 0.1, 0.3]), powers(-7, -2), powers(-5, -2), powers(-10, -7), powers(-4, -1),
       st.floats(0.01, 0.3), st.sampled_from([0, 0, 1]), st.integers(0, 10**6))
def test_thm_limit_law_holds_wherever_its_hypotheses_do(n, m, c, tau, b, shares, cross, norms, h, extra, seed):
    counts = balanced(n, tau)
    counts[1, 1] += extra  # counts off the nominal ones
    products = disturbed(orthogonal_products(counts, m, c, b, seed), np.random.default_rng(seed), shares, cross, norms)
    check_limit_law(products, tau, h, steps=12, strict=False)


@pytest.mark.statement("thm-limit-law")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("shares", "cross", "norms", "extra"), [
    (0.001, 1e-8, 1e-3, 0), (0.01, 0, 0, 0), (0, 1e-8, 0, 0), (0, 0, 0.1, 0), (0, 0, 0, 2)])
def test_thm_limit_law_with_each_kind_of_error(shares, cross, norms, extra, seed):
    counts = balanced()
    counts[1, 1] += extra
    products = orthogonal_products(counts, 40, 8.0, 1e-3, seed)
    products = disturbed(products, np.random.default_rng(seed), shares, cross, norms)
    gaps, bound, _ = check_limit_law(products, 0.1, 0.1, 10)
    assert gaps[-1] > 1e-3 * bound[-1]  # the bound is loose, not absurd


@pytest.mark.statement("thm-limit-law")
def test_thm_limit_law_when_filters_turn_late():
    """Initial responses of many steps' size: filters turn one by one, and T_0 of thm-limit-law is well above 1."""
    h, steps = 0.005, 100
    products = orthogonal_products(balanced(), 10, 8.0, 0.02, 0)
    assert check_limit_law(products, 0.1, h, steps)
    s0 = distance_from_limit(UNIT, products, 0.1, h * steps).turned_by(limit_law_euler(8.0, 0.1, h, steps))
    course, signs = descend_products(products, h, steps), torch.tensor([1.0, -1.0])[:, None]
    turned = (course.gamma + (signs * products.responses[..., 0]).numpy() > 0).all((1, 2))  # <w, j mu> > 0
    assert not turned[1] and not turned[2] and s0 > 3 * h
    assert turned[course.times >= s0 - 1e-12].all()


@pytest.mark.statement("thm-limit-law")
def test_thm_limit_law_bound_is_made_of_its_terms():
    """Each departure from the idealised draw enters q and Q of thm-limit-law, with the coefficient displayed."""
    errors = distance_from_limit(UNIT, orthogonal_products(balanced(), 10, 8.0, 1e-2, 0), 0.1, 2.0)
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


@pytest.mark.statement("thm-limit-law")
def test_claim_four_of_thm_limit_law_sees_the_jump():
    """On a nearly idealised draw the error on reused noise is 0 before the memorisation time and tau/2 after it."""
    products = orthogonal_products(balanced(), 10, 8.0, 1e-6, 0)
    _, _, sure = check_limit_law(products, 0.1, 0.1, 120)
    assert sure[1:].mean() > 0.95  # all steps but those next to the jump
    errors = descend_products(products, 0.1, 120).reused_error
    assert errors[1:60].max() == 0 and errors[-20:].tolist() == [0.05] * 20


@pytest.mark.statement("cor-limit-law")
def test_cor_limit_law_along_a_sequence_of_draws():
    """cor-limit-law: bounds and distances fall along draws with growing n, m, d; the last meets the hypotheses."""
    rows = []
    for n, m, d, init in [(100, 20, 10**7, 1e-2), (300, 150, 10**11, 3e-3), (1000, 600, 10**15, 1e-3)]:
        problem = SignalNoise(n, d, n_snr2=4.0, flip_plus=0.1, flip_minus=0.1)
        products = inner_products(problem, m, init / d**0.5, 1)
        errors, scheme = distance_from_limit(problem, products, 0.1, 0.3), limit_law_euler(4.0, 0.1, 0.05, 6)
        s0 = errors.turned_by(scheme)
        course = descend_products(products, 0.05, 6, unit=float(d))
        gap = np.abs(course.margins - limit_margins_of_samples(scheme, products.y, products.y_obs)).max()
        rows.append((gap, errors.margin_bound(0.3, s0 or 0.05, 0.05), s0 is not None))
    gaps, bounds, holds = zip(*rows)
    assert holds[-1] and gaps[-1] <= bounds[-1]
    assert gaps[0] > 1.2 * gaps[1] > 1.2**2 * gaps[2] and bounds[0] > 1.5 * bounds[1] > 1.5**2 * bounds[2]


@pytest.mark.statement("prop-limit-exact")
@pytest.mark.parametrize(("c", "tau"), [(8.0, 0.1), (4.0, 0.2), (1.0, 0.1), (5.0, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_prop_limit_exact(c, tau, seed):
    """prop-limit-exact: the Euler scheme to rounding for tiny b, an error linear in b, and below the stated Q."""
    h, steps = 0.1, 30
    scheme = limit_law_euler(c, tau, h, steps)

    def gap(b):
        products = orthogonal_products(balanced(tau=tau), 10, c, b, seed)
        law = limit_margins_of_samples(scheme, products.y, products.y_obs)
        return np.abs(descend_products(products, h, steps).margins - law).max(1)

    assert gap(1e-14).max() < 1e-12  # rounding of n sums
    sizes = np.array([1e-6, 1e-5, 1e-4, 1e-3])
    gaps = np.array([gap(b) for b in sizes])
    assert slope_and_standard_error(sizes, gaps.max(1))[0] == pytest.approx(1, abs=2e-3)
    stated = (4 + 4 * h * c + scheme.times * (c + c**0.5 + 0.5)) * sizes[:, None]
    assert np.all(gaps <= stated)
    products = orthogonal_products(balanced(tau=tau), 10, c, 1e-5, seed)
    errors = distance_from_limit(UNIT, products, tau, h * steps)
    assert errors.turned_by(scheme) == pytest.approx(h)
    bound = errors.margin_bound(scheme.times[1:], h, h)
    np.testing.assert_allclose(bound, stated[1, 1:] * errors.initial / 1e-5, rtol=1e-9)


@pytest.mark.statement("prop-limit-exact")
def test_prop_limit_exact_needs_half_of_the_filters():
    products = orthogonal_products(balanced(), 10, 8.0, 1e-9, 0)
    scheme = limit_law_euler(8.0, 0.1, 0.1, 30)
    switched = disturbed(products, np.random.default_rng(0), shares=0.1)
    gap = np.abs(descend_products(switched, 0.1, 30).margins - limit_margins_of_samples(scheme, products.y,
                                                                                        products.y_obs)).max()
    assert gap > 0.1


@pytest.mark.statement("lem-euler")
@settings(max_examples=50, deadline=None)
@given(strengths, flip_rates, st.floats(0.02, 1.0))
def test_lem_euler(c, tau, fraction):
    """lem-euler: u, v, A, r_c, r_n within s h (1 + c)^2 / 16 of the law; the steps shrink |du| + |dv|."""
    h, steps = fraction * 8 / (1 + c), 40
    scheme = limit_law_euler(c, tau, h, steps)
    law = limit_law(c, tau, scheme.times)
    bound = euler_distance_from_limit(c, h, scheme.times) + 1e-9 * (1 + c)
    for name in ("signal", "r_clean", "r_noisy", "clean_margin", "noisy_margin"):
        assert np.all(np.abs(getattr(scheme, name) - getattr(law, name)) <= bound), name
    np.testing.assert_allclose(euler_distance_from_limit(c, h, 2.0), 2.0 * h * (1 + c) ** 2 / 16)
    # Two points of the (u, v) plane come no farther apart in one step.
    a, b = c * (1 - tau), c * tau
    points = np.random.default_rng(0).normal(0, 3, (2, 200, 2))

    def step(u, v):
        clean, noisy = 1 / (1 + np.exp(u)), 1 / (1 + np.exp(v))
        return u + h / 2 * ((1 + a) * clean - b * noisy), v + h / 2 * ((1 + b) * noisy - a * clean)

    moved = np.stack(step(points[..., 0], points[..., 1]), -1)
    assert np.all(np.abs(np.diff(moved, axis=0)).sum(-1) <= np.abs(np.diff(points, axis=0)).sum(-1) * (1 + 1e-12))


@pytest.mark.statement("lem-euler")
def test_lem_euler_has_slope_one_and_refuses_large_steps():
    widths = np.array([0.1, 0.05, 0.025, 0.0125])
    gaps = [np.abs(scheme.clean_margin - limit_law(8.0, 0.1, scheme.times).clean_margin).max()
            for scheme in (limit_law_euler(8.0, 0.1, h, round(5 / h)) for h in widths)]
    assert slope_and_standard_error(widths, gaps)[0] == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match=r"^h=.*must be at most"):
        euler_distance_from_limit(8.0, 0.9, 1.0)


@pytest.mark.statement("prop-two-copies")
@pytest.mark.parametrize("h", [0.1, 0.02])
@pytest.mark.parametrize("counts", [
    {(1, 1): 95, (1, -1): 5, (-1, -1): 70, (-1, 1): 30}, {(1, 1): 110, (1, -1): 10, (-1, -1): 60, (-1, 1): 20}])
def test_prop_two_copies(counts, h):
    """prop-two-copies: each class follows its own law with c_y = 2 c n_y / n within the stated bound."""
    c, b, steps = 8.0, 1e-4, round(3 / h)
    products = orthogonal_products(counts, 10, c, b, 0)
    y, y_obs = products.y.numpy(), products.y_obs.numpy()
    laws = limit_laws_of_both_classes(c, y, y_obs, partial(limit_law_euler, h=h, steps=steps))
    course = descend_products(products, h, steps)
    assert np.all(course.gamma[1:] > b)  # turned from step 1 on
    first = abs(laws[1].signal[1] - laws[-1].signal[1])
    strongest = max(law.n_snr2 for law in laws.values())
    gaps = np.abs(course.margins - limit_margins_of_samples(laws, y, y_obs))
    for index, (side, law) in enumerate(laws.items()):
        own = y == side
        assert law.n_snr2 == pytest.approx(2 * c * own.mean())
        assert law.flip_rate == pytest.approx((y_obs != y)[own].mean())
        s, c_y = law.times, law.n_snr2
        q = 2 * first + 1.5 * h * strongest * b + s / 2 * (c_y + c_y**0.5) * b
        assert np.all(np.abs(course.gamma[1:, index] - law.signal[1:, None]).max(1) <= q[1:])
        assert np.all(gaps[:, own].max(1) <= 2 * q + s / 2 * b + 4 * b)
    other = {side: laws[-side] for side in laws}
    assert np.abs(course.margins - limit_margins_of_samples(other, y, y_obs)).max() > 0.2  # and not the other class's


@pytest.mark.statement("prop-two-copies")
def test_prop_two_copies_error_on_reused_noise():
    """eq-reused-two: two jumps, by a quarter of each rate."""
    counts, c, h = {(1, 1): 95, (1, -1): 5, (-1, -1): 70, (-1, 1): 30}, 8.0, 0.05
    course = descend_products(orthogonal_products(counts, 10, c, 1e-7, 0), h, 300)
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


@pytest.mark.statement("prop-two-copies")
def test_prop_two_copies_clean_patches_are_judged_by_the_other_class():
    """eq-reused-two pairs r_c of one class with A of the other: very different strengths tell the pairings apart."""
    counts, c, h = {(1, 1): 180, (1, -1): 0, (-1, -1): 14, (-1, 1): 6}, 3.0, 0.1
    course = descend_products(orthogonal_products(counts, 10, c, 1e-7, 0), h, 30)
    labels = zip(*[pair for pair, k in counts.items() for _ in range(k)])
    laws = limit_laws_of_both_classes(c, *labels, partial(limit_law_euler, h=h, steps=30))
    strong, weak = laws[1], laws[-1]
    assert weak.signal[-1] < strong.r_clean[-1] and strong.signal[-1] > strong.r_clean[-1]
    noisy, clean = weak.r_noisy[-1] > weak.signal[-1], weak.r_clean[-1] > strong.signal[-1]
    expected = (180 * 1.0 + 6 * noisy + 14 * clean) / 400
    assert course.reused_error[-1] == pytest.approx(expected)
