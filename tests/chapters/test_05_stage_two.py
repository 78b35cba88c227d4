"""Chapter 5: memorisation, the loss that reaches any target, and what bounds which test error."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from problems import problem, run

from helpers import SignalNoise, TwoLayerCNN, descend
from helpers.engine.gram import final_weight_gram, inner_products, inner_products_of_record
from helpers.engine.reduced import reduced_engine
from helpers.experiments.synthetic import synthetic_run
from helpers.reading.times import rescaled_times
from helpers.theory.error_bounds import _output_moments, fresh_error_bound, reused_error_bound, reused_error_parts
from helpers.theory.loss_decay import loss_decay_constants
from helpers.theory.orthogonal_draws import orthogonal_sample
from helpers.theory.responses import noise_responses, signal_responses
from helpers.theory.signal_lead import signal_lead_barrier
from helpers.theory.stage_one import stage_one_bounds

CPU = torch.device("cpu")
# Sizes at which everything is cheap, and at which nothing is near any limit.
SIZES = {"n": st.integers(4, 25), "m": st.integers(1, 6), "extra": st.integers(1, 60), "c": st.floats(0.2, 20),
         "plus": st.floats(0, 0.45), "minus": st.floats(0, 0.45), "h": st.floats(0.02, 0.15),
         "init": st.floats(1e-3, 1.0), "seed": st.integers(0, 10**6)}


def drawn(n, m, extra, c, plus, minus, h, init, seed, steps=60, **options):
    law = SignalNoise(n, n + extra, n_snr2=c, flip_plus=plus, flip_minus=minus, noise_std=0.7)
    return run(law, m, init / law.d**0.5, h, steps, [seed], record_at=np.arange(steps + 1), n_test=1, **options)


def usual(**options):
    return run(problem(2_000, **options), 20, 1e-3, 0.1, 300, range(6), n_test=500)


@pytest.mark.statement("prop-memorised")
@settings(max_examples=25, deadline=None)
@given(**SIZES)
def test_prop_memorised_and_responses_are_those_of_the_network(n, m, extra, c, plus, minus, h, init, seed):
    """prop-memorised (1): fitted iff N > A on noisy samples; A and N against an explicit network's two patches."""
    law = SignalNoise(n, n + extra, n_snr2=c, flip_plus=plus, flip_minus=minus)
    sample = law.sample(seed)
    record = run(sample.distribution, m, 0.1, h, 0, [seed], n_test=1)  # the Record of another draw, for the identity
    memorised = noise_responses(record) > signal_responses(record)
    noisy = record.flipped[:, None]
    assert np.array_equal(memorised & noisy, record.fits_observed & noisy)
    explicit = descend(sample, m, 0.1, 1e-12, 0, [seed], n_test=1)
    with torch.no_grad():
        model, zeros = TwoLayerCNN(law.d, m, 0.1, seed), torch.zeros_like(sample.xi)
        signal = sample.y * model(sample.y[:, None] * sample.mu, zeros)
        noise = sample.y_obs * model(zeros, sample.xi)
    assert np.allclose(signal_responses(explicit)[0, 0], signal, atol=1e-12)
    assert np.allclose(noise_responses(explicit)[0, 0], noise, atol=1e-12)


@pytest.mark.statement("prop-memorised")
def test_prop_memorised_compares_rho_with_gamma_up_to_cross_talk():
    """prop-memorised (2) at d = 1e8, where 3 b is small, on every noisy sample, at all times with gamma >= 0."""
    law = problem(10**8)
    record = run(law, 20, 0.03 / law.d**0.5, 0.1, 200, range(3), n_test=1)
    decided = 0
    for k, products in enumerate(inner_products_of_record(record)):
        for t, s in enumerate(rescaled_times(record)[k]):
            if s == 0 or record.gamma[k, t].min() < 0:
                continue
            found = stage_one_bounds(law, products, s)
            b = found.initial + s * found.cross_talk
            gamma = record.gamma[k, t].mean(-1)[np.where(record.y[k] > 0, 0, 1)]
            gap, fitted = record.rho[k, t] - gamma, record.fits_observed[k, t]
            noisy = record.flipped[k]
            assert (gap[noisy & fitted] > -3 * b).all() and fitted[noisy & (gap > 3 * b)].all()
            decided += (np.abs(gap[noisy]) > 3 * b).sum()
    assert decided > 500, "the band of 3 b must not be everything"


@pytest.mark.statement("thm-stage-two")
@settings(max_examples=20, deadline=None)
@given(**SIZES)
def test_thm_stage_two_identity_and_bound_hold_for_any_weights(**sizes):
    """thm-stage-two (1)-(3): the count, the identity and the bound, at every step of small runs of any kind."""
    record = drawn(**sizes)
    parts, loss, share = reused_error_parts(record), record.losses.mean(-1), record.flipped.mean(1)[:, None]
    assert np.abs(sum(parts.values()) - record.reused_error).max() < 1e-12
    memorised = (record.fits_observed & record.flipped[:, None]).mean(-1)
    assert (memorised >= share - loss / np.log(2) - 1e-12).all()
    assert (record.reused_error >= (share - loss / np.log(2)) / 2 - 1e-12).all()
    small = loss < np.log(2) / record.margins.shape[-1]
    assert record.fits_observed[small].all()


@pytest.mark.statement("thm-stage-two")
def test_thm_stage_two_bound_is_an_equality_in_the_clear_regime():
    """thm-stage-two (3): n=200, c=8, tau=.1: after convergence exactly half the share of flips, all six seeds."""
    record = run(problem(10**6), 20, 3e-5, 0.1, 400, range(6), record_at=[10, 400], n_test=1)
    assert np.abs(record.reused_error[:, -1] - record.flipped.mean(1) / 2).max() < 1e-12
    assert record.reused_error[:, 0].max() == 0  # Stage I


@pytest.mark.statement("thm-stage-two")
def test_thm_stage_two_survives_zeta():
    """thm-stage-two (4): the Monte-Carlo error with zeta is above the bound, and both are well above zero."""
    for zeta in (0.5, 1.0, 2.0):
        record = run(problem(2_000), 20, 1e-3, 0.1, 300, range(6), record_at=[300], n_test=4_000, zeta=zeta)
        lower = reused_error_bound(record, inner_products_of_record(record), [zeta])[:, 0]
        # four standard errors of 4,000 draws at an error of 0.06
        assert (record.reused_error[:, -1] >= lower - 0.015).all()
        assert lower.mean() > (0.02 if zeta <= 1 else 0)
    exact = reused_error_bound(record, inner_products_of_record(record), [0.0])[:, 0]
    assert np.allclose(exact, reused_error_parts(record)["memorised noisy"][:, -1])


@pytest.mark.statement("thm-stage-two")
def test_thm_stage_two_zeta_bound_holds_sample_by_sample():
    """thm-stage-two (4): the chance that zeta flips one memorised sample, on explicit weights, 20,000 draws each."""
    law = problem(60, 4.0, 0.3, n=20)
    record = run(law, 5, 0.01, 0.1, 400, [1], record_at=[400], n_test=1)
    products = inner_products_of_record(record)
    gram, rng = final_weight_gram(record, products)[0], np.random.default_rng(0)
    state = reduced_engine(products, [record.runs[0]["lr"]], CPU, torch.float64)
    state.advance(400)
    state = state.state()
    assert np.allclose(gram, state.weight_gram[0], atol=1e-10)
    root, on_noise = np.linalg.cholesky(gram + 1e-12 * np.eye(10)), state.responses[0].flatten(0, 1)[:, 1:].numpy()
    lengths = np.sqrt(np.diag(gram)).reshape(2, 5)
    bias, lip = lengths.mean(1).max() / np.sqrt(2 * np.pi), np.sqrt(2 / 5 * np.linalg.eigvalsh(gram)[-1])
    lost = [np.exp(-max(z / 0.5 - bias, 0) ** 2 / (2 * lip**2)) if z > 0 else 1
            for z in record.margins[0, -1][record.flipped[0]]]
    assert np.isclose(reused_error_bound(record, products, [0.5])[0, 0], np.sum(1 - np.array(lost)) / 40)
    signs = np.repeat([1, -1], 5) / 5
    tight = 0
    for zeta in (0.2, 0.5):
        for i in np.flatnonzero(record.flipped[0] & (record.margins[0, -1] > 0)):
            moved = np.maximum(on_noise[:, [i]] + zeta * root @ rng.standard_normal((10, 20_000)), 0)
            before = signs @ np.maximum(on_noise[:, i], 0)
            z = record.margins[0, -1, i] + record.y_obs[0, i] * (signs @ moved - before)
            bound = np.exp(-max(record.margins[0, -1, i] / zeta - bias, 0) ** 2 / (2 * lip**2))
            assert (z <= 0).mean() <= bound + 0.01
            tight += bound < 0.5
    assert tight > 3


@pytest.mark.statement("thm-convergence")
@given(st.floats(0, 60))
def test_thm_convergence_squared_derivative_is_at_most_half_the_loss(loss):
    """thm-convergence, step 3: (1 - e^-l)^2 <= l / 2."""
    assert (-np.expm1(-loss)) ** 2 <= loss / 2 + 1e-15


@pytest.mark.statement("thm-convergence")
@settings(max_examples=8, deadline=None)
@given(**SIZES | {"m": st.integers(5, 10)})
def test_thm_convergence_bounds_the_mean_loss(**sizes):
    """thm-convergence: the *average* loss over steps is below the bound wherever the hypotheses hold; every step."""
    record = drawn(**sizes, steps=100)
    found = loss_decay_constants(record, inner_products_of_record(record))
    assume(found.holds)
    s, average = rescaled_times(record)[0], np.cumsum(record.losses[0].mean(-1)) / np.arange(1, 102)
    assert (average[:-1] <= found.bound(s[1:]) + 1e-9).all()


@pytest.mark.statement("thm-convergence")
def test_thm_convergence_applies_at_the_books_sizes():
    """thm-convergence at d = 2000 and n = 200, every step recorded: h Xi <= 1, all p_i > 0, H about the mean 1/p^2."""
    record = run(problem(2_000), 20, 1e-3, 0.1, 400, [0], record_at=np.arange(401), n_test=1)
    found = loss_decay_constants(record, inner_products_of_record(record))
    assert found.holds and abs(found.spread / np.mean(found.shares**-2.0) - 1) < 0.2
    loss = record.losses[0].mean(-1)
    assert loss.min() <= found.bound(40.0) < np.log(2) * 3
    target = found.bound(found.time_to(0.01))
    assert target <= 0.01


@pytest.mark.statement("thm-convergence")
@pytest.mark.parametrize("seed", range(3))
def test_thm_convergence_moves_towards_the_reference_point(seed):
    """thm-convergence, eq-telescope: each step on explicit weights by autograd, and eq-reference-margin."""
    law = problem(60, 4.0, 0.2, n=20)
    sample, m, steps, epsilon, h = law.sample(seed), 10, 120, 0.1, 0.08
    lr, model = h * law.n * m / law.d, TwoLayerCNN(law.d, m, 0.02, seed)
    own = torch.where(sample.y_obs > 0, 0, 1)
    record = descend(sample, m, 0.02, lr, steps, [seed], record_at=np.arange(steps + 1), n_test=1)
    found = loss_decay_constants(record, [inner_products(sample, m, 0.02, seed)])
    assert found.holds
    dual = torch.linalg.inv(sample.gram)[1:] @ sample.vectors
    scale = (np.log(2 / epsilon) + 4 * found.initial) / torch.from_numpy(found.shares)
    away = torch.stack([((own == side) * scale) @ dual for side in (0, 1)])[:, None]
    target = model.weight.detach() + away
    start = (model.weight.detach() - target).square().sum().item()
    assert np.isclose(start, (np.log(2 / epsilon) + 4 * found.initial) ** 2 * found.spread * law.n * m / law.d)
    for _ in range(steps):
        margins = sample.y_obs * model(sample.y[:, None] * sample.mu, sample.xi)
        loss = torch.nn.functional.softplus(-margins).mean()
        (gradient,) = torch.autograd.grad(loss, model.weight)
        assert lr * gradient.square().sum() <= loss + 1e-12  # step 3
        for i in range(0, 20, 7):
            out = sample.y_obs[i] * model(sample.y[i] * sample.mu, sample.xi[i])
            (direction,) = torch.autograd.grad(out, model.weight)
            assert (direction * target).sum() >= np.log(2 / epsilon) - 1e-9
        before = (model.weight.detach() - target).square().sum()
        with torch.no_grad():
            model.weight -= lr * gradient
        after = (model.weight.detach() - target).square().sum()
        assert before - after >= lr * (loss.item() - epsilon) - 1e-12


@pytest.mark.statement("thm-convergence")
def test_thm_convergence_fails_without_a_filter_for_each_sample():
    """Without an active filter a noisy sample is never memorised: m = 1, orthogonal vectors; the hypotheses say so."""
    law = problem(101, 8.0, 0.1, n=100)
    sample = orthogonal_sample(law, 0)
    record = run(sample.distribution, 1, 1e-4, 0.1, 0, [0], n_test=1)
    record = descend(sample, 1, 1e-4, 0.1 * 100 / law.d, 3_000, [0], n_test=1)
    stuck = record.flipped[0] & (record.active[0, 0] == 0)
    assert stuck.any() and not record.fits_observed[0, -1][stuck].any() and record.losses[0, -1].mean() > 0.02
    assert not loss_decay_constants(record, [inner_products(sample, 1, 1e-4, 0)]).holds


@pytest.mark.statement("thm-convergence")
@pytest.mark.parametrize("m", [1, 2, 4])
def test_thm_convergence_share_memorised_is_that_with_a_filter(m):
    """Orthogonal vectors, 8 seeds: noisy samples with a filter of their own are memorised, no other is; their share is
    1 - 2^-m, within three standard errors."""
    served, memorised = [], []
    for seed in range(8):
        sample = orthogonal_sample(problem(101, 8.0, 0.2, n=100), seed)
        record = descend(sample, m, 1e-4, 0.1 * 100 * m / 101, 2_000, [seed], record_at=[0, 2_000], n_test=1)
        served += list(record.active[0, 0][record.flipped[0]] > 0)
        memorised += list(record.fits_observed[0, -1][record.flipped[0]])
    served, memorised, share = np.array(served), np.array(memorised), 1 - 0.5**m
    assert not memorised[~served].any() and memorised[served].mean() > 0.99
    assert abs(memorised.mean() - share) < 3 * np.sqrt(share * (1 - share) / len(served))


@pytest.mark.statement("cor-convergence")
def test_cor_convergence_shares_never_change_on_orthogonal_vectors():
    """cor-convergence (1): p_i = p_i(0), H is the plain mean of 1 / p^2, and the loss follows the bound."""
    sample = orthogonal_sample(problem(101, 4.0, 0.2, n=100), 3)
    law, m = sample.distribution, 12
    record = descend(sample, m, 1e-4, 0.1 * 100 * m / law.d, 500, [0], record_at=np.arange(501), n_test=1)
    found = loss_decay_constants(record, [inner_products(sample, m, 1e-4, 0)])
    assert np.ptp(record.active[0], axis=0).max() == 0
    assert np.isclose(found.spread, np.mean(found.shares**-2.0)) and found.holds
    assert record.losses[0].mean(-1).min() <= found.bound(50.0)


@pytest.mark.statement("cor-convergence")
def test_cor_convergence_bounds_the_shares_beforehand():
    """cor-convergence (2): filters that start above s eps_x stay active until s; at d = 1e15 that is 0.4 of them."""
    law, m, seed, h, steps = problem(10**15, n=50), 200, 1, 0.1, 2_000
    init = 0.05 / law.d**0.5
    products = inner_products(law, m, init, seed)
    found = stage_one_bounds(law, products, h * steps)
    own = np.where(products.y_obs.numpy() > 0, products.responses[0, :, 1:], products.responses[1, :, 1:])
    promised = (own > found.s1 * found.cross_talk).mean(0)
    record = run(law, m, init, h, steps, [seed], n_test=1)
    assert (record.active[0].min(0) >= promised).all() and promised.min() > 0.35
    near = problem(10**6, n=50)  # nearer home the promise is weaker, and kept
    products = inner_products(near, m, 0.05 / 1e3, seed)
    found = stage_one_bounds(near, products, 1.0)
    own = np.where(products.y_obs.numpy() > 0, products.responses[0, :, 1:], products.responses[1, :, 1:])
    record = run(near, m, 0.05 / 1e3, 0.1, 10, [seed], record_at=np.arange(11), n_test=1)
    assert (record.active[0].min(0) >= (own > found.cross_talk).mean(0)).all()


@pytest.mark.statement("prop-signal-stays")
@pytest.mark.parametrize(("c", "tau"), [(8.0, 0.1), (4.0, 0.3), (1.0, 0.2), (8.0, 0.4)])
def test_prop_signal_stays_on_orthogonal_vectors(c, tau):
    """prop-signal-stays: where the barrier holds, A > theta, gamma > 0 and clean samples right at every later step."""
    applied = 0
    for seed in range(3):
        sample, m, steps = orthogonal_sample(problem(51, c, tau, n=50), seed), 20, 400
        law = sample.distribution
        record = descend(sample, m, 1e-4, 0.1 * 50 * m / law.d, steps, [seed], record_at=np.arange(steps + 1), n_test=1)
        found = signal_lead_barrier(record, inner_products(sample, m, 1e-4, seed), 5, steps - 5)
        crossing = record.rho_cross[0]
        assert np.ptp(crossing[5:], axis=0).max() == 0  # hypothesis: no filter against the label is active any more
        gamma, start = record.gamma[0, 5], inner_products(sample, m, 1e-4, seed).responses[..., 0].numpy()
        lowest = np.minimum(gamma, gamma + start * [[1], [-1]]).min(1)
        assert np.isclose(found.level, (record.signal_response[0, 5] * [1, -1] - lowest).max()) and found.level > 0
        if not found.holds:
            continue
        applied += 1
        later = record.signal_response[0, 5:] * [1, -1]
        assert (later > found.level).all() and (record.gamma[0, 5:] > 0).all()
        assert record.fits_observed[0, 5:][:, ~record.flipped[0]].all()
    assert applied >= 2


@pytest.mark.statement("prop-signal-stays")
def test_prop_signal_stays_needs_its_condition():
    """With more noisy than clean samples in a class the barrier fails, and the signal of that class turns round."""
    law = problem(101, 8.0, 0.0, n=100)
    sample = orthogonal_sample(law, 0)
    wrong = torch.where(torch.arange(100) % 5 < 3, -sample.y, sample.y)  # 60 of 100, and the start of the run clean
    bad = type(sample)(sample.mu, sample.xi, sample.y, wrong, sample.xi_test, sample.y_test, law)
    record = descend(bad, 20, 1e-4, 0.1 * 100 * 20 / law.d, 50, [0], record_at=np.arange(51), n_test=1)
    found = signal_lead_barrier(record, inner_products(bad, 20, 1e-4, 0), 2, 40)
    assert found.ratio < 1 and not found.holds
    assert (record.signal_response[0, -1] * [1, -1] < 0).all()


@pytest.mark.statement("prop-signal-stays")
def test_prop_signal_stays_asks_for_silent_filters_and_small_steps():
    """prop-signal-stays says nothing while filters of the other sign still speak, or at a step that overshoots."""
    law = SignalNoise(200, 201, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    sample, init = orthogonal_sample(law, 0), 1 / law.d**0.5
    record = descend(sample, 2, init, 0.1 * 200 * 2 / law.d, 200, 0, record_at=[3, 4, 5, 50, 200], n_test=1)
    products = inner_products(sample, 2, init, 0)
    early = signal_lead_barrier(record, products, 0, 150)
    assert early.signal.min() > early.level and early.ratio > np.exp(2 * early.level)
    assert not record.fits_observed[0, :, ~record.flipped[0]].all()  # the conclusion is false from step 3 on
    assert not early.silent and not early.holds
    wild = descend(sample, 2, 1e-4, 20.0 * 200 * 2 / law.d, 5, 0, record_at=[5], n_test=1)
    assert signal_lead_barrier(wild, inner_products(sample, 2, 1e-4, 0), 0, 1).largest_step > 4


@pytest.mark.statement("prop-fresh-error")
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(2, 30), st.integers(0, 10**6), st.floats(0, 3))
def test_prop_fresh_error_lipschitz_constant(m, d, seed, alike):
    """prop-fresh-error: |f(xi) - f(xi')| <= sqrt(2/m) ||W|| |xi - xi'|, for weights of any correlation."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((2 * m, d)) + alike * np.repeat([1, -1], m)[:, None] * rng.standard_normal(d)
    votes = np.repeat([1, -1], m) / m
    x = rng.standard_normal((200, d))
    y = x + 10.0 ** rng.uniform(-3, 1) * rng.standard_normal((200, d))
    change = np.abs((np.maximum(x @ weight.T, 0) - np.maximum(y @ weight.T, 0)) @ votes)
    lip = np.sqrt(2 / m) * np.linalg.norm(weight, 2)
    assert (change <= lip * np.linalg.norm(x - y, axis=1) + 1e-9).all()


@pytest.mark.statement("prop-fresh-error")
@pytest.mark.parametrize("orthogonal", [False, True])
def test_prop_fresh_error_holds_and_is_not_trivial(orthogonal):
    """prop-fresh-error against 20,000 draws, over d/n, c and tau; it is below 1/2 in some cells."""
    laws = [problem(d, c, tau, n=100, orthogonal=orthogonal)
            for d in (150, 600, 2_000) for c in (1.0, 4.0) for tau in (0, 0.2)]
    init, lr = [0.03 / law.d**0.5 for law in laws], [0.1 * 1_000 / law.d for law in laws]
    record = descend(laws, 10, init, lr, 200, [0, 1], record_at=[20, 200], n_test=20_000)
    bound = fresh_error_bound(record)
    assert (bound >= record.fresh_error - 0.01).all()  # 0.01: three standard errors at an error of 0.3
    assert bound.min() < 0.01 and (bound[record.fresh_error > 0.01] < 0.5).any()


@pytest.mark.statement("prop-fresh-error")
def test_prop_fresh_error_exact_moments_of_the_output():
    """Mean and variance of f on fresh noise by the arc-cosine formula, against 400,000 draws."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((3, 8, 12)) + rng.standard_normal((3, 1, 12))
    mean, std = _output_moments(weight @ weight.mT)
    values = np.maximum(rng.standard_normal((400_000, 12)) @ weight.mT, 0) @ np.repeat([1, -1], 4) / 4
    # a standard error is std / 632
    assert np.abs(values.mean(1) - mean).max() < 4 * std.max() / 632
    assert np.allclose(values.std(1), std, rtol=0.01)


@pytest.mark.statement("thm-stage-two-paper")
def test_thm_stage_two_paper_claims_hold_at_the_books_usual_sizes():
    """thm-stage-two-paper at n=200, d=2000, m=20, c=8, tau=.1: measured, all six seeds, s = 30."""
    record = usual()
    later = rescaled_times(record)[0] >= 1
    clean = np.broadcast_to(~record.flipped[:, None], record.margins.shape)
    assert record.fits_observed[:, later][clean[:, later]].all() and record.gamma[:, later].min() > 0
    assert record.losses[:, -1].mean(-1).max() < 0.05
    gamma = np.take_along_axis(record.gamma.mean(-1), np.where(record.y > 0, 0, 1)[:, None], 2)
    assert (record.rho > gamma)[:, -1][record.flipped].mean() > 0.95
    assert (record.reused_error[:, -1] >= 0.45 * record.flipped.mean(1)).all()
    assert record.fresh_error.mean(0)[later].max() < 0.005  # and nothing of it shows on fresh noise


@pytest.mark.statement("thm-stage-two-paper")
@pytest.mark.parametrize("m", [10, 20])
def test_thm_stage_two_paper_in_its_own_experiment_memorises_and_no_gamma_ever_falls(m):
    """All 50 seeds of chapter 5: most noisy samples are memorised by step 200, and every gamma rises in every step."""
    record = synthetic_run(range(50), m=m, n_test=1)
    assert (record.mean_over(record.fits_observed, "noisy")[:, -1] > 0.8).all()
    assert record.fits_observed[:, -1][~record.flipped].all()
    assert (np.diff(record.gamma, axis=1) >= 0).all()
