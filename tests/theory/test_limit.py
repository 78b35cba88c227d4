"""The limit law: every closed form against the equations (1) of helpers.theory.limit, integrated independently."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.integrate import solve_ivp

from helpers.theory.limit import LimitLaw, limit_law, limit_law_euler

EPSILON = np.finfo(float).eps
strengths = st.floats(0.05, 50.0)
flip_rates = st.one_of(st.just(0.0), st.floats(1e-3, 0.49))
drawn = given(strengths, flip_rates)
LATE = 1e100  # log s is still only 230, and A / r_n approaches its limit like 1 / log s


def runge_kutta(c, tau, end, steps):
    """(steps + 1, 3) values of A, r_c, r_n by the classical Runge-Kutta method on (1): no reduction, no library."""

    def slopes(y):
        clean, noisy = 1 / (1 + math.exp(y[0] + y[1])), 1 / (1 + math.exp(y[2] - y[0]))
        return np.array([c / 2 * ((1 - tau) * clean - tau * noisy), clean / 2, noisy / 2])

    h, path = end / steps, [np.zeros(3)]
    for _ in range(steps):
        y = path[-1]
        k1 = slopes(y)
        k2 = slopes(y + h / 2 * k1)
        k3 = slopes(y + h / 2 * k2)
        k4 = slopes(y + h * k3)
        path.append(y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(path)


def values(law):
    return np.stack([law.signal, law.r_clean, law.r_noisy], -1)


@pytest.mark.parametrize(("c", "tau"), [(8.0, 0.1), (4.0, 0.2), (2.0, 0.1), (1.0, 0.1), (5.0, 0.0), (20.0, 0.3)])
def test_limit_law_solves_its_equations(c, tau):
    steps, end = 4000, 8.0
    path = runge_kutta(c, tau, end, steps)
    law = limit_law(c, tau, np.linspace(0, end, steps + 1))
    # The oracle's error is of order (c h)^4 with h = 0.002, 3e-6 at worst, times derivatives well below 1 there.
    np.testing.assert_allclose(values(law), path, rtol=0, atol=1e-9 * max(1.0, c / 8) ** 4)


def test_limit_law_at_many_times_is_limit_law_at_each():
    times = np.array([0.0, 1e-9, 0.3, 2.0, 1e4, 1e8])
    together = values(limit_law(8.0, 0.1, times))
    apart = [values(limit_law(8.0, 0.1, [s]))[0] for s in times]
    np.testing.assert_allclose(together, apart, rtol=1e-9, atol=0)


@drawn
def test_initial_slopes(c, tau):
    s = 1e-7  # the next term is smaller by a factor of about (1 + c) s
    law = limit_law(c, tau, [0.0, s])
    slopes = values(law)[1] / s
    expected = [c * (1 - 2 * tau) / 4, 0.25, 0.25]
    np.testing.assert_allclose(slopes, expected, rtol=0, atol=(1 + c) ** 2 * s)
    np.testing.assert_array_equal(values(law)[0], 0.0)


@drawn
def test_first_integral(c, tau):
    law = limit_law(c, tau, np.geomspace(1e-3, 1e8, 30))
    integral = c * ((1 - tau) * law.r_clean - tau * law.r_noisy)
    np.testing.assert_allclose(law.signal, integral, rtol=0, atol=1e-11 * (1 + c))  # rounding of r, times c


@drawn
def test_stage_one_exists_iff_the_noisy_margin_starts_downward(c, tau):
    early = limit_law(c, tau, [1e-6]).noisy_margin[0]
    excess = c * (1 - 2 * tau) - 1
    if abs(excess) > 1e-3:  # at s = 1e-6 the second order is below (1 + c)^2 1e-12
        assert (early < 0) == (excess > 0)
        assert limit_law(c, tau, [1.0]).stage_one_exists == (early < 0)


def test_stage_one_needs_more_than_the_line():
    assert not limit_law(1.0, 0.0, [1.0]).stage_one_exists
    assert limit_law(1.001, 0.0, [1.0]).stage_one_exists
    assert not limit_law(1.0, 0.1, [1.0]).stage_one_exists
    assert limit_law(4.0, 0.1, [1.0]).stage_one_exists


@drawn
def test_without_stage_one_the_noisy_margin_never_falls(c, tau):
    law = limit_law(c, tau, np.r_[0.0, np.geomspace(1e-6, 1e8, 200)])
    steps = np.diff(law.noisy_margin)
    if not law.stage_one_exists:
        assert steps.min() > 0
        assert law.memorisation_time == 0.0
    else:  # it falls, turns once, and rises
        rises = steps > 0
        assert rises[-1] and not np.any(rises[:-1] & ~rises[1:])


# Solved here to 20 digits by mpmath.odefun (Taylor series) on (1). A run with steps of 0.02 gives 6.54, 3.45, 2.76.
@pytest.mark.parametrize(("c", "tau", "expected"), [
    (8.0, 0.1, 6.54060406637915), (4.0, 0.2, 3.43968856174245), (2.0, 0.1, 2.75069532646869)])
def test_memorization_time(c, tau, expected):
    assert limit_law(c, tau, [1.0]).memorisation_time == pytest.approx(expected, rel=1e-11)
    path = runge_kutta(c, tau, 8.0, 4000)
    margin = path[:, 2] - path[:, 0]
    (crossing,) = np.flatnonzero((margin[1:-1] < 0) & (margin[2:] >= 0)) + 1
    assert expected == pytest.approx(0.002 * (crossing + 0.5), abs=0.001 + 1e-9)  # within that step


@drawn
def test_memorization_time_is_where_the_noisy_margin_returns_to_zero(c, tau):
    time = limit_law(c, tau, [1.0]).memorisation_time
    if time > 1e-3:  # nearer the line both the margin and the time vanish
        before, at, after = limit_law(c, tau, [0.9 * time, time, 1.1 * time]).noisy_margin
        assert before < 0 < after
        assert abs(at) < 1e-8 * (after - before)


def test_memorization_time_near_the_line():
    # v = -eps s / 4 + a s^2 / 32 to second order, with eps = c (1 - 2 tau) - 1 and a = c (1 - tau): T_mem = 8 eps / a.
    for eps in (1e-2, 1e-3, 1e-4):
        c = (1 + eps) / 0.8
        assert limit_law(c, 0.1, [1.0]).memorisation_time == pytest.approx(8 * eps / (0.9 * c), rel=eps)


@drawn
def test_loss_derivative_ratio_tends_to_kappa(c, tau):
    law = limit_law(c, tau, [1e4, 1e8])
    distance = abs(law.loss_derivative_ratio / law.kappa - 1)
    assert distance[1] < 1e-6  # it is of order 1/s; the constant stays below 100 here
    assert distance[1] < 1e-3 * distance[0] + 1e-9


@drawn
def test_margin_gap_tends_to_log_kappa(c, tau):
    law = limit_law(c, tau, [0.0, 1e8])
    gap = law.clean_margin - law.noisy_margin
    assert gap[0] == 0.0
    assert gap[1] == pytest.approx(law.late_margin_gap, abs=1e-6)
    assert law.late_margin_gap == pytest.approx(math.log((1 + 2 * c * (1 - tau)) / (1 + 2 * c * tau)), abs=8 * EPSILON)


@drawn
def test_signal_to_noise_ratios_fall_to_their_limits(c, tau):
    law = limit_law(c, tau, np.r_[np.geomspace(1e-8, 1e8, 100), LATE])
    for response, limit in ((law.r_noisy, (law.kappa - 1) / (2 * law.kappa)), (law.r_clean, (law.kappa - 1) / 2)):
        ratio = law.signal / response
        assert ratio[0] == pytest.approx(c * (1 - 2 * tau), rel=1e-5)
        assert np.all(np.diff(ratio) <= 1e-9 * ratio[:-1])
        # r = log s + O(log(1 + c)), so the ratio is off by the response's offset over 230
        assert ratio[-1] == pytest.approx(limit, rel=0.1)
        growth = np.diff(law.signal[[-2, -1]]) / np.diff(response[[-2, -1]])
        assert growth[0] == pytest.approx(limit, rel=1e-6)  # of the increments, where the offset cancels
    assert (law.kappa - 1) / (2 * law.kappa) < 0.5


@drawn
def test_clean_patches_mislead_iff_kappa_is_below_three(c, tau):
    law = limit_law(c, tau, [LATE])
    if abs(c * (1 - 4 * tau) - 1) > 1e-9:
        assert law.clean_patches_mislead == (law.kappa < 3)
    if abs((law.kappa - 1) / 2 - 1) > 0.05:  # A / r_c - 1 is off by about log(1 + c) / 230 < 0.02
        assert law.clean_patches_mislead == (law.r_clean[0] > law.signal[0])


@pytest.mark.parametrize(("c", "tau"), [(10.0, 0.1), (4.0, 0.1), (20.0, 0.2), (4.0, 0.2)])
def test_reused_noise_error_jumps_to_half_the_flip_rate_at_the_memorization_time(c, tau):
    jump = limit_law(c, tau, [1.0]).memorisation_time
    law = limit_law(c, tau, [0.0, 0.5 * jump, 0.999 * jump, 1.001 * jump, 200.0])
    np.testing.assert_array_equal(law.reused_noise_error, [0.0, 0.0, 0.0, tau / 2, tau / 2])


@pytest.mark.parametrize(("c", "tau", "last"), [(4.0, 0.2, 0.5), (1.0, 0.1, 0.5), (8.0, 0.1, 0.05), (5.0, 0.0, 0.0)])
def test_reused_noise_error_heads_for_one_half_beyond_the_second_line(c, tau, last):
    assert limit_law(c, tau, [1e8]).reused_noise_error[0] == last


def test_no_flips_leaves_one_vanishing_noisy_sample():
    law = limit_law(8.0, 0.0, np.geomspace(0.1, 1e6, 50))
    np.testing.assert_allclose(law.signal, 8.0 * law.r_clean, rtol=1e-12)  # dA/ds = c dr_c/ds
    # (1 + c) r_c = u with du/ds = (1 + c) / (2 (1 + e^u)), hence u + e^u = 1 + (1 + c) s / 2
    u = law.clean_margin
    np.testing.assert_allclose(u + np.exp(u), 1 + 4.5 * law.times, rtol=1e-9)
    assert law.memorisation_time > 0


def test_losses_are_those_of_the_margins():
    law = limit_law(8.0, 0.1, [0.0, 3.0])
    np.testing.assert_allclose(law.clean_loss, np.log(1 + np.exp(-law.clean_margin)), rtol=1e-14)
    np.testing.assert_allclose(law.noisy_loss, np.log(1 + np.exp(-law.noisy_margin)), rtol=1e-14)
    np.testing.assert_allclose(law.clean_loss_derivative, -1 / (1 + np.exp(law.clean_margin)), rtol=1e-14)
    np.testing.assert_allclose(law.noisy_loss_derivative, -1 / (1 + np.exp(law.noisy_margin)), rtol=1e-14)
    assert law.clean_loss[1] < math.log(2) < law.noisy_loss[1]  # Stage I: log 2 lies between


@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_strong_signals_take_the_stiff_solver_and_keep_its_accuracy(tau):
    below, above = (limit_law(c, tau, np.geomspace(1e-5, 1e8, 60)) for c in (1000.0, 1000.001))
    # The law changes by less than 1e-6 relatively over this step of c, so the seam must not show more than that.
    np.testing.assert_allclose(values(below), values(above), rtol=3e-6, atol=1e-8)
    assert below.memorisation_time == pytest.approx(above.memorisation_time, rel=3e-6)


@pytest.mark.parametrize(("argument", "arguments"), [
    ("n_snr2", (0.0, 0.1, [1.0])), ("n_snr2", (-1.0, 0.1, [1.0])), ("n_snr2", (math.nan, 0.1, [1.0])),
    ("n_snr2", (1e7, 0.1, [1.0])), ("n_snr2", ("8", 0.1, [1.0])), ("flip_rate", (8.0, 0.5, [1.0])),
    ("flip_rate", (8.0, -0.1, [1.0])), ("flip_rate", (8.0, math.nan, [1.0])), ("times", (8.0, 0.1, [])),
    ("times", (8.0, 0.1, [1.0, 0.5])), ("times", (8.0, 0.1, [1.0, 1.0])), ("times", (8.0, 0.1, [-1.0, 0.5])),
    ("times", (8.0, 0.1, [1.0, math.inf])), ("times", (8.0, 0.1, [math.nan])), ("times", (8.0, 0.1, [[1.0]])),
    ("times", (8.0, 0.1, 1.0)), ("times", (8.0, 0.1, "soon")), ("times", (8.0, 0.1, None))])
def test_bad_input_is_named(argument, arguments):
    with pytest.raises(ValueError, match=rf"^{argument}=.*must be"):
        limit_law(*arguments)


def test_the_law_is_frozen():
    law = limit_law(8.0, 0.1, [1.0])
    assert isinstance(law, LimitLaw)
    with pytest.raises(AttributeError):
        law.n_snr2 = 1.0


shares = st.floats(0.05, 1.0)


def slopes_with(c, tau, share):
    def slopes(s, y):
        clean, noisy = 1 / (1 + math.exp(y[0] + y[1])), 1 / (1 + math.exp(y[2] - y[0]))
        return [c / 2 * ((1 - tau) * clean - tau * noisy), share * clean, share * noisy]

    return slopes


@pytest.mark.parametrize(("c", "tau", "share"), [(8.0, 0.1, 0.75), (20.0, 0.1, 0.81), (2.0, 0.3, 1.0), (4.0, 0.0, 0.2)])
def test_a_law_with_another_share_solves_its_equations(c, tau, share):
    times = np.linspace(0, 20, 41)
    path = solve_ivp(slopes_with(c, tau, share), (0, 20), np.zeros(3), t_eval=times, rtol=1e-11, atol=1e-12).y.T
    np.testing.assert_allclose(values(limit_law(c, tau, times, share=share)), path, rtol=0, atol=1e-8)


@given(strengths, flip_rates, shares)
def test_the_share_is_a_change_of_strength_and_of_time(c, tau, share):
    times = np.array([0.0, 0.1, 2.0, 1e4])
    law, scaled = limit_law(c, tau, times, share=share), limit_law(c / (2 * share), tau, 2 * share * times)
    np.testing.assert_array_equal(values(law), values(scaled))
    assert (law.n_snr2, law.share, law.strength) == (c, share, scaled.n_snr2)
    assert (law.kappa, law.stage_one_exists) == (scaled.kappa, scaled.stage_one_exists)
    assert law.clean_patches_mislead == scaled.clean_patches_mislead
    for name in ("memorisation_time", "turning_time", "clean_patch_time"):
        assert getattr(law, name) == getattr(scaled, name) / (2 * share)
    scheme, other = limit_law_euler(c, tau, 0.1, 20, share=share), limit_law_euler(c / (2 * share), tau, 0.2 * share,
                                                                                   20)
    np.testing.assert_allclose(values(scheme), values(other), rtol=0, atol=1e-12 * (1 + c))


@given(strengths, flip_rates, shares)
def test_the_first_slope_of_the_noisy_margin_turns_at_twice_the_share(c, tau, share):
    law, excess = limit_law(c, tau, [1e-7], share=share), c * (1 - 2 * tau) - 2 * share
    assert law.noisy_margin[0] / 1e-7 == pytest.approx(-excess / 4, abs=(1 + c) ** 2 * 1e-7)
    assert law.stage_one_exists == (excess > 0) or abs(excess) < 1e-12


@pytest.mark.parametrize(("c", "tau", "share"), [(8.0, 0.1, 0.75), (2.0, 0.3, 1.0), (20.0, 0.1, 0.6)])
def test_late_losses_with_another_share(c, tau, share):
    law = limit_law(c, tau, [1e8], share=share)
    assert law.kappa == pytest.approx((share + c * (1 - tau)) / (share + c * tau), rel=8 * EPSILON)
    assert law.loss_derivative_ratio[0] == pytest.approx(law.kappa, rel=1e-6)


def test_one_half_is_the_law_itself_and_bad_shares_are_named():
    times = np.geomspace(1e-3, 1e6, 30)
    law, same = limit_law(8.0, 0.1, times), limit_law(8.0, 0.1, times, share=0.5)
    np.testing.assert_array_equal(values(law), values(same))
    assert repr(law) == repr(same) == "LimitLaw(n_snr2=8, flip_rate=0.1, 30 times)"
    assert repr(limit_law(8.0, 0.1, [1.0], share=0.75)) == "LimitLaw(n_snr2=8, flip_rate=0.1, share=0.75, 1 times)"
    for share in (0.0, -0.1, 1.1, math.nan, "half", None):
        with pytest.raises(ValueError, match=r"^share=.*must be"):
            limit_law(8.0, 0.1, [1.0], share=share)
        with pytest.raises(ValueError, match=r"^share=.*must be"):
            limit_law_euler(8.0, 0.1, 0.1, 2, share=share)
    with pytest.raises(ValueError, match=r"^share=1e-09: must be at least n_snr2"):
        limit_law(8.0, 0.1, [1.0], share=1e-9)
