"""The predicted share of active filters: its closed form, its limits, exact runs, and the law that goes with it."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import SignalNoise, descend
from helpers.theory.active_shares import _early_share, active_share_law, active_share_scale
from helpers.theory.limit import limit_law

scales = st.floats(0.0, 20.0)


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize(("c", "tau", "scale"), [(8.0, 0.1, 0.002), (20.0, 0.3, 0.001), (1.0, 0.0, 0.004)])
def test_early_the_share_is_its_closed_form(c, tau, scale, orthogonal):
    times = np.array([1e-4, 1e-3, 4e-3])
    early = _early_share(c, tau, times, scale=scale, orthogonal=orthogonal)
    law = active_share_law(c, tau, times, scale=scale, orthogonal=orthogonal)
    # p itself stands in (4), as 1/2 here: the cross-talk is up to sqrt(3/2) stronger once p is 3/4.
    np.testing.assert_allclose(law.share, early, rtol=0, atol=0.012)
    assert np.all(np.diff(early) > 0) and 0.5 < early[0] < early[-1] < 0.75


@given(st.floats(0.1, 50), st.floats(0, 0.45), scales)
def test_a_share_rises_from_one_half_and_a_larger_scale_leaves_fewer(c, tau, scale):
    times = [0.0, 0.1, 1.0, 30.0]
    law, larger = (active_share_law(c, tau, times, scale=k) for k in (scale, 2 * scale + 0.1))
    assert law.share[0] == (0.5 if scale > 0 else law.share[0]) and law.share[-1] <= 1
    assert np.all(np.diff(law.share) >= -1e-9) and np.all(larger.share <= law.share + 2e-3)
    np.testing.assert_allclose(law.clean_margin - law.signal, law.r_clean, atol=1e-12)


def test_at_a_large_scale_it_is_the_law_with_one_half():
    times = np.geomspace(0.01, 30, 10)
    law, half = active_share_law(8.0, 0.1, times, scale=1e5), limit_law(8.0, 0.1, times)
    np.testing.assert_allclose(law.share, 0.5, rtol=0, atol=1e-4)
    for name in ("signal", "r_clean", "r_noisy"):
        np.testing.assert_allclose(getattr(law, name), getattr(half, name), rtol=0, atol=5e-3)


@pytest.mark.parametrize(("d", "scale", "orthogonal"), [
    (2000, 0.02, False), (2000, 0.2, False), (2000, 1.0, False), (2000, 5.0, False), (2 * 10**8, 0.2, False),
    (2 * 10**8, 0.2, True), (2 * 10**8, 20.0, False)])
def test_exact_runs_have_the_predicted_share(d, scale, orthogonal):
    n, m, h = 200, 20, 0.1
    problem = SignalNoise(n, d, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1, orthogonal=orthogonal)
    sigma_0 = scale * n**0.5 / d
    assert active_share_scale(problem, sigma_0) == pytest.approx(scale)
    record = descend(problem, m, sigma_0, h * n * m / d, 200, range(3), record_at=[3, 10, 50, 200], n_test=1)
    law = active_share_law(8.0, 0.1, h * record.times, scale=scale, orthogonal=orthogonal)
    np.testing.assert_allclose(record.active.mean((0, 2)), law.share, rtol=0, atol=0.02)


def test_the_scale_of_the_condition():
    # sigma_0 sigma sqrt(d) over sqrt(n/d)
    problem = SignalNoise(100, 400, n_snr2=8.0, noise_std=3.0)
    assert active_share_scale(problem, 0.01) == pytest.approx(0.01 * 3.0 * 20 / 0.5)


@pytest.mark.parametrize(("argument", "arguments", "options"), [
    ("n_snr2", (2000.0, 0.1, [1.0]), {"scale": 1.0}), ("flip_rate", (2.0, 0.5, [1.0]), {"scale": 1.0}),
    ("times", (2.0, 0.1, [1e7]), {"scale": 1.0}), ("times", (2.0, 0.1, []), {"scale": 1.0}),
    ("scale", (2.0, 0.1, [1.0]), {"scale": -1.0}), ("scale", (2.0, 0.1, [1.0]), {"scale": np.nan})])
def test_bad_input_is_named(argument, arguments, options):
    with pytest.raises(ValueError, match=rf"^{argument}=.*must be"):
        active_share_law(*arguments, **options)


def test_a_share_law_shows_its_parameters():
    assert repr(active_share_law(8.0, 0.1, [1.0],
                                 scale=0.2)) == "ActiveShareLaw(n_snr2=8, flip_rate=0.1, scale=0.2, 1 times)"
