"""Concentration bounds: monotone, measured once more by loops, and what is refused."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from problems import PROBLEMS

from helpers import SignalNoise, TwoLayerCNN
from helpers.engine.gram import inner_products
from helpers.theory import concentration
from helpers.theory.cross_talk import cross_talk_of_draw

M, INIT_STD = 12, 0.01
untimed = settings(deadline=None)  # a loaded machine is no failure


@untimed
@given(st.integers(1, 500), st.integers(3, 10**8), st.integers(1, 200), st.floats(0.001, 0.9))
def test_bounds_are_monotone(n, d, m, delta):
    """More samples, more filters and less risk loosen every bound; more dimensions tighten the relative ones."""
    def bounds(n, d, m, delta):
        return pd.Series(vars(concentration.concentration_bounds(SignalNoise(n, d, mu_norm=1.0), m, 1.0, delta)))

    base = bounds(n, d, m, delta)
    for looser in (bounds(n + 1, d, m, delta), bounds(n, d, m + 1, delta), bounds(n, d, m, delta / 2)):
        assert (looser >= base).all()
    wider = bounds(n, 2 * d, m, delta)
    assert wider.norms < base.norms
    assert wider.inner_products / 2 < base.inner_products
    assert (wider.drop(["norms", "inner_products", "noise_responses"])
            == base.drop(["norms", "inner_products", "noise_responses"])).all()


@pytest.mark.parametrize("orthogonal", [False, True])
def test_deviations_and_cross_talk_by_hand(orthogonal):
    problem = SignalNoise(7, 11, mu_norm=1.5, noise_std=0.5, flip_plus=0.3, flip_minus=0.4, orthogonal=orthogonal)
    sample = problem.sample(seed=3)
    draw = inner_products(sample, M, INIT_STD, 3)
    weight = TwoLayerCNN(11, M, INIT_STD, 3).weight.detach().numpy()
    mu, xi = sample.mu.numpy(), sample.xi.numpy()
    degrees = 10 if orthogonal else 11
    active = [sum(weight[j, r] @ v > 0 for r in range(M)) - M / 2 for j in (0, 1) for v in (mu, *xi)]
    y, y_obs = sample.y.numpy(), sample.y_obs.numpy()
    counts = [sum((y == a) & (y_obs == b)) - 7 / 2 * share for a, b, share in
              ((1, 1, 0.7), (-1, -1, 0.6), (1, -1, 0.3), (-1, 1, 0.4))]
    counts += [sum(y == 1) - 7 / 2, sum(y != y_obs) - 7 / 2 * 0.7]
    filters = weight.reshape(-1, 11)
    by_hand = (max(abs(v @ v / (0.25 * degrees) - 1) for v in xi), max(abs(v @ w) for v, w in combinations(xi, 2)),
               max(abs(mu @ v) for v in xi), max(abs(w @ mu) for w in filters),
               max(abs(w @ v) for w in filters for v in xi), max(map(abs, active)), max(map(abs, counts)))
    np.testing.assert_allclose(list(vars(concentration.concentration_deviations(problem, draw)).values()), by_hand,
                               rtol=1e-12)
    leaks = (max(sum(abs(xi[i] @ xi[k]) / (xi[i] @ xi[i]) for i in range(7) if i != k) for k in range(7)),
             sum(abs(v @ mu) / (v @ v) for v in xi), max(abs(v @ mu) for v in xi) / (mu @ mu))
    np.testing.assert_allclose(list(vars(cross_talk_of_draw(draw)).values()), leaks, rtol=1e-12)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: concentration.norm_concentration(0, 10, 0.1), "n=0: must be an integer >= 1"),
    (lambda: concentration.norm_concentration(5, 10, 1.0), r"delta=1.0: must be a finite number in \(0, 1\)"),
    (lambda: concentration.inner_product_concentration(5, 10, -1.0, 0.1), "noise_std=-1.0"),
    (lambda: concentration.signal_noise_concentration(5, 1.0, math.inf, 0.1), "mu_norm=inf"),
    (lambda: concentration.signal_response_concentration(5, 0, 1.0, 1.0, 0.1), "m=0"),
    (lambda: concentration.noise_response_concentration(5, 10, 3, 1.0, 0.0, 0.1), "init_std=0.0"),
    (lambda: concentration.active_filter_concentration(5, 2.5, 0.1), "m=2.5"),
    (lambda: concentration.count_concentration(5, math.nan), "delta=nan"),
    (lambda: concentration.good_event(PROBLEMS["orthogonal"], M, INIT_STD, 0), "delta=0"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
