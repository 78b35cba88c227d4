"""Chapter 9: the errors at the end of Stage I, and validation on noisy labels."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from problems import ideal_bound, problem
from scipy.stats import norm

from helpers import SignalNoise, descend
from helpers.engine.gram import final_weight_gram, inner_products_of_record
from helpers.intervals import slope_and_standard_error
from helpers.reading.stopping import stopping_validation_size
from helpers.streams import random_stream
from helpers.theory.early_stopping import (
    early_stopping_bound,
    early_stopping_error_bound,
    early_stopping_exponents,
    early_stopping_limit_exponent,
)
from helpers.theory.limit import limit_law

N, M = 200, 20


def stopped(law, m, init_std, s1, steps, seeds, **options):
    """Record at the last step only, which is at time s1."""
    lr = s1 / steps * law.n * m / (law.noise_std**2 * law.d)
    return descend(law, m, init_std, lr, steps, seeds, record_at=[steps], **options)


# The bound from the weights.

@pytest.mark.statement("lem-one-sided")
def test_lem_one_sided_scale_and_mean_are_those_of_the_wrong_filters():
    """lem-one-sided: the gradient of F_j is at most ||W_j|| / sqrt(m) for every pattern of active filters, its mean
    over fresh noise is sum |w| / (m sqrt(2 pi)), and exp(-...) is above the exact error of any draw."""
    rng = random_stream(0, "one-sided")
    m, d = 6, 9
    weight = rng.standard_normal((m, d))
    patterns = np.array(list(itertools.product([0, 1], repeat=m)))
    longest = np.linalg.norm(patterns @ weight / m, axis=1).max()
    assert longest <= np.linalg.norm(weight, 2) / math.sqrt(m) + 1e-12
    outputs = np.maximum(rng.standard_normal((200_000, d)) @ weight.T, 0).mean(1)
    mean = np.linalg.norm(weight, axis=1).mean() / math.sqrt(2 * math.pi)
    assert abs(outputs.mean() - mean) < 4 * outputs.std() / math.sqrt(len(outputs))


@pytest.mark.statement("lem-one-sided")
@pytest.mark.parametrize("orthogonal", [False, True])
def test_lem_one_sided_bounds_the_measured_error_and_beats_two_sides(orthogonal):
    """lem-one-sided on trained networks, d/n from 2 to 16: above the error in each run, and not vacuous.

    20,000 draws have a standard error below 0.0035; 0.01 is three of them.
    """
    laws = [problem(ratio * N, 2.0, orthogonal=orthogonal) for ratio in (2, 6, 16)]
    record = descend(laws, M, 1e-3, [0.06 * N * M / law.d for law in laws], 20, range(3), record_at=[20], n_test=20_000)
    gram = final_weight_gram(record, inner_products_of_record(record))
    bound = early_stopping_error_bound(record, gram)
    assert (record.fresh_error[:, 0] <= bound + 0.01).all()
    assert bound[-3:].max() < 0.02 and np.exp(-early_stopping_exponents(record, gram)).mean(1) == pytest.approx(bound)
    if orthogonal:  # there the two-sided bound knows that the signal parts of the weights do not matter; ours does not
        return
    two_sided = ((record.signal_response[:, 0] * (1, -1)).min(1) / record.noise_scale[:, 0]) ** 2 / 2
    assert (early_stopping_exponents(record, gram).min(1) > 1.5 * two_sided)[-3:].all()


@pytest.mark.statement("lem-one-sided")
def test_lem_one_sided_pairs_each_class_with_the_filters_of_the_other_sign():
    """lem-one-sided, eq-one-sided written out: A_+ against the filters of sign -1, A_- against those of sign +1."""
    record = stopped(problem(2_000, 4.0), 4, 1e-4, 0.5, 10, [0], n_test=10)
    record = dataclasses.replace(record, signal_response=record.signal_response * (1, 2))
    gram = final_weight_gram(record, inner_products_of_record(record))
    found = early_stopping_exponents(record, gram)[0]
    for k, signal, block in ((0, record.signal_response[0, 0, 0], gram[0, 4:, 4:]),
                             (1, -record.signal_response[0, 0, 1], gram[0, :4, :4])):
        mean = np.sqrt(np.diag(block)).mean() / math.sqrt(2 * math.pi)
        assert found[k] == pytest.approx((signal - mean) ** 2 / (2 * np.linalg.norm(block, 2) / 4), rel=1e-9)


# The theorem.

def check_theorem(bound, record, products, zeta=None):
    """Each claim of thm-early-stopping and each step of its proof where its hypotheses hold; returns the bound.

    The tolerance is for rounding: the claims are inequalities without slack constants.
    """
    half, slack, one = bound.stage.s1 / 2, 1e-9, bound.stage
    if one.lead <= 0 or one.signal_rate() <= 0 or one.norm_error >= 1:
        return bound
    law, m = record.runs[0], record.config["m"]
    sigma = law["noise_std"]
    own = (products.y_obs.numpy() > 0)[None, :] == np.array([[True], [False]])  # (2, n): j = y_obs
    rho = record.rho_final[0]
    assert record.gamma_final.min() >= 0 and record.gamma_final.max() <= half * bound.signal_sum + slack
    assert np.abs(rho.transpose(0, 2, 1)[~own]).max(initial=0) <= half * bound.cross_rho + slack
    assert rho.mean(1)[own].max() <= half * one.active_share * one.noise_rate() + slack
    assert (record.signal_response[0, 0] * (1, -1)).min() >= half * bound.signal - slack
    gram = final_weight_gram(record, [products])[0]
    rng = random_stream(0, "patterns")
    patterns = np.append(rng.integers(0, 2, (200, m)), np.ones((1, m)), 0)
    for block in (gram[:m, :m], gram[m:, m:]):
        longest = np.sqrt(np.einsum("ki,ij,kj->k", patterns, block, patterns).max()) / m
        assert sigma * longest <= half * bound.scale + slack
        assert sigma * np.sqrt(np.diag(block)).mean() / math.sqrt(2 * math.pi) <= half * bound.mean + slack
    # The measured errors have a standard error of at most 0.5 / sqrt(500): five of them.
    assert record.fresh_error[0, 0] <= math.exp(-bound.fresh_exponent) + 0.12
    if zeta is None and bound.reused_lead > 0:
        assert record.reused_error[0, 0] == 0
    if zeta is not None:
        assert record.reused_error[0, 0] <= math.exp(-bound.reused_exponent(zeta / sigma)) + 0.12
    return bound


@pytest.mark.statement("thm-early-stopping", "prop-early-stopping-paper")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("zeta", [0.0, 1.0])
def test_thm_early_stopping_applies_at_large_dimensions(seed, zeta):
    """thm-early-stopping at d = 1e7 and 1e9: its hypotheses hold, and so do its claims and each step of the proof.

    With zeta = 1 = sigma the reused error is that of the paper's test distribution (prop-early-stopping-paper).
    """
    for d in (10**7, 10**9):
        law = problem(d)
        record = stopped(law, M, 1e-6 / d**0.5, 0.05, 20, [seed], n_test=500, zeta=zeta)
        products = inner_products_of_record(record)[0]
        bound = check_theorem(early_stopping_bound(law, products, 0.05, 20), record, products, zeta or None)
        assert bound.fresh_exponent > 0.4 * d / N and bound.reused_lead > 0 and bound.reused_exponent(1.0) > 0


@pytest.mark.statement("thm-early-stopping")
@settings(max_examples=60)
@given(st.integers(4, 30), st.integers(1, 8), st.integers(2, 11), st.floats(0.2, 30), st.floats(0, 0.45),
       st.floats(0, 0.45), st.floats(1e-6, 1e-1), st.floats(0.01, 0.3), st.integers(1, 20), st.integers(0, 10**6))
def test_thm_early_stopping_holds_wherever_its_hypotheses_do(n, m, digits, c, plus, minus, init, s1, steps, seed):
    """Whatever the sizes: no claim of thm-early-stopping and no step of its proof fails where its hypothesis holds."""
    d = max(10**digits, n + 1)
    law = SignalNoise(n, d, n_snr2=c, flip_plus=plus, flip_minus=minus, noise_std=0.7)
    record = stopped(law, m, init / d**0.5, s1, steps, [seed], n_test=500)
    products = inner_products_of_record(record)[0]
    check_theorem(early_stopping_bound(law, products, s1, steps), record, products)


@pytest.mark.statement("thm-early-stopping")
@pytest.mark.parametrize("setting", [(2.0, 0.1, 0.5), (0.5, 0.3, 1.0), (20.0, 0.2, 0.7)])
def test_thm_early_stopping_exponent_tends_to_its_limit(setting):
    """thm-early-stopping: eq-early-limit is the limit of the exponent in units of d/n (B vanishes like sqrt(n/d))."""
    limit = early_stopping_limit_exponent(*setting[:2], active_share=setting[2])
    assert ideal_bound(*setting).fresh_exponent * 1e-12 == pytest.approx(limit, rel=1e-5)


@pytest.mark.statement("cor-early-stopping")
@given(st.floats(3, 100), st.integers(1, 10**4), st.integers(1, 10**5), st.floats(1e-6, 0.5), st.floats(1, 10**6))
def test_cor_early_stopping_condition_on_the_initial_weights_is_implied_by_the_papers(constant, n, m, delta, more):
    """eq-early-init follows from item 5 of Condition 4.1 where C >= 3 and d >= 2 log(4 / delta), sigma = 1."""
    d = 2 * math.log(4 / delta) * more
    init_std = math.sqrt(n) / (constant * d)
    assert init_std * (math.sqrt(d) + math.sqrt(m) + math.sqrt(2 * math.log(4 / delta))) <= math.sqrt(n * m / d)


@pytest.mark.statement("cor-early-stopping")
def test_cor_early_stopping_needs_no_stage_one_on_fresh_noise_but_does_on_reused():
    """cor-early-stopping: at n=1000 and d >> n^2 log n, sigma_0 tiny, every seed; the exponent is proportional to d."""
    def bounds(c, d):
        law = problem(d, c, n=1_000)
        record = stopped(law, 5, 1e-9 / d**0.5, 0.02, 40, range(3), n_test=10)
        return [early_stopping_bound(law, one, 0.02, 40) for one in inner_products_of_record(record)]

    weak, strong = bounds(0.6, 10**11), bounds(8.0, 10**11)  # c (1 - 2 tau) = 0.48 and 6.4
    assert all(one.fresh_exponent > 0.01 * 10**8 and one.reused_lead < 0 for one in weak)
    assert all(one.fresh_exponent > 0.4 * 10**8 and one.reused_lead > 0 for one in strong)
    larger = bounds(8.0, 10**12)
    ratio = np.mean([one.fresh_exponent for one in larger]) / np.mean([one.fresh_exponent for one in strong])
    assert 9 < ratio < 12


@pytest.mark.statement("cor-early-stopping")
def test_cor_early_stopping_fails_without_small_initial_weights():
    """cor-early-stopping, eq-early-init: with initial responses of order one the fresh error no longer falls with d."""
    def error(ratio, init):
        law = problem(ratio * N, 2.0)
        return stopped(law, M, init / law.d**0.5, 1.2, 20, range(5), n_test=4_000).fresh_error.mean()

    assert error(64, 0.03) < 0.001 and error(16, 2.0) > 0.1 and error(64, 2.0) > 0.1


@pytest.mark.statement("prop-early-stopping-paper")
def test_prop_early_stopping_paper_exponent_is_proportional_to_d_over_n():
    """prop-early-stopping-paper, measured: the exponent z^2/2 of the median fresh error at the turn grows like d/n.

    10 seeds of 10,000 draws; fitted power 0.97 when written. Seeds scatter by 10% in the exponent, over a factor of 6
    in d/n, hence 0.15; a power of 1/2 or 2 would be far off.
    """
    ratios = np.array([2, 4, 8, 12])
    laws = [problem(ratio * N, 1.5) for ratio in ratios]
    s1 = limit_law(1.5, 0.1, [0, 1]).turning_time
    record = descend(laws, M, 1e-3, [s1 / 20 * N * M / law.d for law in laws], 20, range(10), record_at=[20],
                     n_test=10_000)
    typical = np.median(record.fresh_error.reshape(len(ratios), -1), axis=1)
    assert abs(slope_and_standard_error(ratios, norm.isf(typical) ** 2 / 2)[0] - 1) < 0.15


# Validation on noisy labels.

ERRORS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6)
RATES = st.floats(0, 0.49)


def observed(errors, plus, minus):
    """(K,) observed error by the law of total probability over class, prediction and flip."""
    total = np.zeros(len(errors))
    for side, rate in ((0, plus), (1, minus)):
        for wrong, flip in itertools.product([False, True], repeat=2):
            share = np.where(wrong, errors[:, side], 1 - errors[:, side]) * (rate if flip else 1 - rate) / 2
            total += share * (wrong != flip)
    return total


@pytest.mark.statement("prop-noisy-validation")
@given(ERRORS, RATES, RATES)
def test_prop_noisy_validation_formula_and_its_bound(errors, plus, minus):
    """prop-noisy-validation 1 and 2: the formula by class, and how far its minimiser is from the true one."""
    errors = np.array(errors)
    noisy, true = observed(errors, plus, minus), errors.mean(1)
    formula = (plus + (1 - 2 * plus) * errors[:, 0] + minus + (1 - 2 * minus) * errors[:, 1]) / 2
    np.testing.assert_allclose(noisy, formula, atol=1e-12)
    worst = (1 - 2 * min(plus, minus)) / (1 - 2 * max(plus, minus))
    assert true[noisy.argmin()] <= worst * true.min() + 1e-9 * worst
    same = observed(errors, plus, plus)
    np.testing.assert_allclose(same, plus + (1 - 2 * plus) * true, atol=1e-12)
    assert true[same.argmin()] <= true.min() + 1e-9


@pytest.mark.statement("prop-noisy-validation")
def test_prop_noisy_validation_can_mislead_with_unequal_rates():
    """prop-noisy-validation 2: two classifiers whose order the observed labels reverse."""
    errors = np.array([[0.10, 0.02], [0.02, 0.07]])
    assert errors.mean(1).argmin() == 1 and observed(errors, 0.4, 0.0).argmin() == 0


@pytest.mark.statement("prop-noisy-validation")
@given(st.floats(0, 0.49), st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_prop_noisy_validation_variance_of_a_comparison(tau, weights):
    """prop-noisy-validation 4: mean and second moment of D, enumerated over who is right and whether a flip occurs."""
    weights = np.array(weights) / sum(weights)
    cases = list(itertools.product([False, True], repeat=2))  # (f_k wrong, f_l wrong)
    mean = second = 0.0
    for weight, (first, other) in zip(weights, cases):
        for flip, rate in ((True, tau), (False, 1 - tau)):
            difference = float(first != flip) - float(other != flip)
            mean, second = mean + weight * rate * difference, second + weight * rate * difference**2
    gap = sum(weight * (float(first) - float(other)) for weight, (first, other) in zip(weights, cases))
    disagree = sum(weight for weight, (first, other) in zip(weights, cases) if first != other)
    assert mean == pytest.approx((1 - 2 * tau) * gap, abs=1e-12) and second == pytest.approx(disagree)


@pytest.mark.statement("prop-noisy-validation")
def test_prop_noisy_validation_size_is_enough():
    """prop-noisy-validation 3: with stopping_validation_size labels the regret exceeds the gap in at most a share delta
    of draws, and with a hundredth of them in more than that."""
    rng, tau, gap, delta = random_stream(0, "validation"), 0.3, 0.1, 0.1
    errors = np.array([0.05] + [0.05 + gap + 1e-9] * 19)

    def failures(size):
        draws = rng.binomial(size, tau + (1 - 2 * tau) * errors, (2_000, len(errors)))
        return (draws.argmin(1) > 0).mean()

    size = stopping_validation_size(tau, gap, len(errors), delta=delta)
    assert failures(size) <= delta < failures(size // 100)
    assert stopping_validation_size(0.3, gap, 20) == pytest.approx(stopping_validation_size(0.0, gap, 20) / 0.16,
                                                                   rel=1e-3)


@pytest.mark.statement("prop-noisy-validation")
def test_prop_noisy_validation_in_runs():
    """prop-noisy-validation 1 on trained networks: 20,000 draws a run have a standard error of at most 0.0035."""
    record = descend(problem(600, 2.0, 0.2), M, 1e-3, 0.6, 60, range(4), n_test=20_000, n_val=20_000)
    for true, seen in ((record.fresh_error, record.observed_error),
                       (record.validation_error, record.validation_observed_error)):
        assert np.abs(seen - (0.2 + 0.6 * true)).max() < 0.015
    assert not np.array_equal(record.fresh_error, record.validation_error)
