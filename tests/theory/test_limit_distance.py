"""The distance of gradient descent from the limit law: its terms, idealised draws, rates."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from limit_draws import UNIT, balanced, disturbed

from helpers import SignalNoise, descend
from helpers.engine.gram import inner_products
from helpers.engine.products_descent import descend_products
from helpers.intervals import slope_and_standard_error
from helpers.theory.limit import limit_law_euler, limit_laws_of_both_classes, limit_margins_of_samples
from helpers.theory.limit_distance import distance_from_limit
from helpers.theory.orthogonal_draws import orthogonal_products, orthogonalise_products


@pytest.mark.statement("thm-limit-law")
def test_share_error_counts_what_cross_talk_can_switch():
    """thm-limit-law: a filter whose initial response is within S eps_x of zero counts on either side."""
    products = orthogonal_products(balanced(), 10, 8.0, 1e-2, 0)
    responses = products.responses.clone()
    active = int(responses[0, :, 1].argmax())
    responses[0, active, 1] = 1e-9  # one of the five active filters of sign y_obs = +1 on the first sample, barely
    barely = replace(products, responses=responses)
    assert distance_from_limit(UNIT, barely, 0.1, 1.0).share_error == 0
    crossed = disturbed(barely, np.random.default_rng(0), cross=1e-10)  # too little for any other filter
    assert distance_from_limit(UNIT, crossed, 0.1, 1.0).share_error == pytest.approx(0.1)
    responses[0, active, 1] = -1e-9
    assert distance_from_limit(UNIT, replace(crossed, responses=responses), 0.1, 1.0).share_error == pytest.approx(0.1)
    other = int(responses[0, :, 1].argmin())  # a silent one that could wake up instead
    responses[0, active, 1], responses[0, other, 1] = 1e-2, -1e-9
    assert distance_from_limit(UNIT, replace(crossed, responses=responses), 0.1, 1.0).share_error == pytest.approx(0.1)


@pytest.mark.statement("thm-limit-law")
def test_count_error_adds_clean_and_noisy():
    """thm-limit-law: eps_n is the larger over the classes of |clean / n - (1 - tau) / 2| + |noisy / n - tau / 2|."""
    counts = {(1, 1): 92, (1, -1): 8, (-1, -1): 91, (-1, 1): 9}
    assert distance_from_limit(UNIT, orthogonal_products(counts, 2, 8.0, 1e-2, 0), 0.1,
                               1.0).count_error == pytest.approx(0.02)


@pytest.mark.statement("thm-stage-one")
@pytest.mark.parametrize("active", [2, 4, 7, 10])
def test_any_share_of_active_filters_is_the_law_at_another_strength(active):
    """Exercise ex-share: with a share p active, c / (2p) on the clock 2ps; its line is condition 5 of thm-stage-one."""
    c, tau, h, m = 6.0, 0.1, 0.05, 10
    products = orthogonal_products(balanced(), m, c, 1e-12, 0)
    signs = torch.where(torch.arange(m) < active, 1.0, -1.0)[:, None]
    responses = products.responses.clone()
    responses[..., 1:] = responses[..., 1:].abs() * signs
    course, share = descend_products(replace(products, responses=responses), h, 60), active / m
    law = limit_margins_of_samples(limit_law_euler(c / (2 * share), tau, 2 * share * h, 60), products.y, products.y_obs)
    np.testing.assert_allclose(course.margins, law, rtol=0, atol=1e-9)


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
    flat = orthogonalise_products(products, 400.0)
    np.testing.assert_array_equal(flat.gram, np.diag([float(products.gram[0, 0])] + [400.0] * 30))
    assert flat.responses is products.responses and flat.y_obs is products.y_obs
    errors = distance_from_limit(problem, flat, 0.2, 1.0)
    assert errors.cross_talk == 0 and errors.norm_error == 0


def test_ideal_products_are_ideal():
    products = orthogonal_products(balanced(), 6, 8.0, 0.5, 1)
    assert [(tuple(map(int, pair)), k) for pair, k in balanced().items()] == [
        (pair, int(((products.y == pair[0]) & (products.y_obs == pair[1])).sum())) for pair in balanced()]
    assert ((products.responses[..., 1:] > 0).sum(1) == 3).all() and (products.responses != 0).all()
    assert products.responses.abs().max() <= 0.5 and products.gram[0, 0] == 8.0 / 200
    small = orthogonal_products(balanced(), 6, 8.0, 0.05, 1)
    np.testing.assert_allclose(small.responses, products.responses / 10, rtol=1e-12)
    with pytest.raises(ValueError, match=r"^m=3: must be even"):
        orthogonal_products(balanced(), 3, 8.0, 0.5, 1)


def test_the_three_rates_of_the_distance():
    """The exponents -1/2 in n (counts), m (active shares) and d (cross-talk) of the chapter, on fewer draws."""
    scheme, c, tau = partial(limit_law_euler, h=0.1, steps=30), 8.0, 0.1

    def part(name, seed, n=100, m=10, d=10**9, init=1e-3):
        problem = SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau)
        if name == "n":
            labels = problem.draw_labels(seed)
            other = limit_margins_of_samples(limit_laws_of_both_classes(c, *labels, scheme), *labels)
            return np.abs(other - limit_margins_of_samples(scheme(c, tau), *labels)).mean(1).max()
        products = inner_products(problem, m, init / d**0.5, seed)
        go = partial(descend_products, h=0.1, steps=30, unit=float(d), every=30)
        flat = go(orthogonalise_products(products, float(d))).margins
        labels = products.y, products.y_obs
        other = go(products).margins if name == "d" else limit_margins_of_samples(
            limit_laws_of_both_classes(c, *labels, scheme), *labels)[::30]
        return np.abs(flat - other).mean(1).max()

    for name, values, repeats, extra in (("n", [100, 400, 1600], 60, {}), ("m", [5, 20, 80], 5, {}),
                                         ("d", [10**5, 10**6, 10**7], 8, {"init": 0.3})):
        means = [np.mean([part(name, seed, **{name: value}, **extra) for seed in range(repeats)]) for value in values]
        # standard errors: 60 half-normal draws 10% a point, hence 0.05 in the slope over a factor 16; the others less
        assert slope_and_standard_error(np.array(values, float), means)[0] == pytest.approx(-0.5, abs=0.12), name
