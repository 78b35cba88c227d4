"""Chapter 3: the expected first step, the limit law and what follows from it."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from limit_draws import drawn
from torch.nn.functional import softplus

from helpers.data.label_noise import add_label_noise
from helpers.theory.limit import limit_law, limit_law_euler
from helpers.training.batches import standardise
from helpers.training.models import SmallCNN


@pytest.mark.statement("prop-first-step")
def test_prop_first_step_expected_gradient_under_flips(digits):
    """prop-first-step: the mean gradient over flips is the formula's, and 1 - 2 tau times the true one where f = 0.

    A label enters its own term only, so the mean is (1 - tau) times the gradient on true labels plus tau times the
    one on inverted labels, exactly. In float64, where only rounding is left.
    """
    x, y = torch.from_numpy(standardise(digits.x, digits.x_test)[0]).double(), torch.from_numpy(digits.y)
    for scale, tau in ((1.0, 0.1), (1.0, 0.3), (1.5, 0.45)):
        model = SmallCNN(digits.image_shape, seed=3, init_scale=scale).double()

        def gradient(objective, model=model):
            return torch.cat([part.flatten() for part in torch.autograd.grad(objective, model.parameters())])

        f = model(x)
        true, wrong = (gradient(softplus(-labels * model(x)).mean()) for labels in (y, -y))
        coefficient = (torch.sigmoid(-y * f) - tau).detach() * y
        formula = -gradient((coefficient * model(x)).mean())
        torch.testing.assert_close((1 - tau) * true + tau * wrong, formula, rtol=1e-9, atol=1e-12)
        assert f.abs().mean() > 0.5  # not the special case below
    with torch.no_grad():
        model.layers[-1].weight.zero_()  # now f = 0, and the output layer still has a gradient
    true, wrong = (gradient(softplus(-labels * model(x)).mean()) for labels in (y, -y))
    torch.testing.assert_close((1 - tau) * true + tau * wrong, (1 - 2 * tau) * true, rtol=1e-9, atol=1e-12)
    assert true.norm() > 0.1


@pytest.mark.statement("prop-first-step")
def test_prop_first_step_by_sampling_flips(digits):
    """prop-first-step again, with real draws: the mean over 400 draws comes as near as independent draws must."""
    x, tau = torch.from_numpy(standardise(digits.x, digits.x_test)[0]), 0.2
    model = SmallCNN(digits.image_shape)

    def gradient(labels):
        loss = softplus(-torch.from_numpy(labels).float() * model(x)).mean()
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, model.parameters())])

    expected = (1 - tau) * gradient(digits.y) + tau * gradient(-digits.y)
    draws = torch.stack([gradient(add_label_noise(digits, tau, seed=seed).y_obs) for seed in range(400)])
    spread = (draws - expected).norm(dim=1).square().mean().sqrt() / 20  # deviation of a mean of 400
    assert (draws.mean(0) - expected).norm() < 4 * spread


@pytest.mark.statement("lem-first-integral")
@drawn
def test_lem_first_integral(c, tau):
    """lem-first-integral: A = a r_c - b r_n along the Euler scheme, to rounding, and the law in two variables."""
    scheme = limit_law_euler(c, tau, 0.1, 50)
    a, b = c * (1 - tau), c * tau
    u, v = scheme.clean_margin, scheme.noisy_margin
    np.testing.assert_allclose(scheme.signal, a * scheme.r_clean - b * scheme.r_noisy, rtol=0, atol=1e-12 * (1 + c))
    np.testing.assert_allclose(scheme.signal, (a * u - b * v) / (1 + c), rtol=0, atol=1e-12 * (1 + c))
    g_u, g_v = -scheme.clean_loss_derivative[:-1], -scheme.noisy_loss_derivative[:-1]
    np.testing.assert_allclose(np.diff(u), 0.05 * ((1 + a) * g_u - b * g_v), rtol=0, atol=1e-12 * (1 + c))
    np.testing.assert_allclose(np.diff(v), 0.05 * ((1 + b) * g_v - a * g_u), rtol=0, atol=1e-12 * (1 + c))


def fine(c, tau, end=1e6):
    return limit_law(c, tau, np.geomspace(1e-3, end, 400))


@pytest.mark.statement("lem-law-shape")
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


@pytest.mark.statement("prop-stage-one-exists")
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


@pytest.mark.statement("prop-memorisation-time")
@drawn
def test_prop_memorisation_time(c, tau):
    """prop-memorisation-time: the noisy margin has one zero; its loss is above log 2 before and below after."""
    assume(c * (1 - 2 * tau) > 1.02)
    law = fine(c, tau)
    assert np.sum(np.diff(np.sign(law.noisy_margin)) != 0) == 1
    before, after = limit_law(c, tau, law.memorisation_time * np.array([0.999, 1.001])).noisy_loss
    assert before > np.log(2) > after
    assert 0 < law.turning_time < law.memorisation_time


@pytest.mark.statement("prop-memorisation-time")
def test_prop_memorisation_time_near_the_line():
    for eps in (1e-2, 1e-3):
        for tau in (0.0, 0.1, 0.3):
            c = (1 + eps) / (1 - 2 * tau)
            expected = 8 * eps / (c * (1 - tau))
            assert limit_law(c, tau, [1.0]).memorisation_time == pytest.approx(expected, rel=4 * eps)


@pytest.mark.statement("prop-late-gap")
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


@pytest.mark.statement("prop-signal-overtaken")
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


@pytest.mark.statement("prop-reused-jump")
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


@pytest.mark.statement("prop-clean-patches")
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


@pytest.mark.statement("prop-clean-patches")
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
