"""One cell of the phase diagram, and the lines that the law draws through it."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from records import SHARES

from helpers import SignalNoise, descend
from helpers.experiments.phase_diagram import (
    S_END,
    _misleading_patches,
    phase_cell,
    phase_clean_patch_border,
    phase_signal_to_noise,
)
from helpers.record import Record
from helpers.theory.limit import limit_law

SMALL = {"n": 20, "m": 3, "runs": 2, "s_end": 1.0}


@given(c=st.floats(0.25, 8), tau=st.floats(0, 0.45), ratio=st.floats(1.05, 1e6))
def test_cell_is_a_dict_of_shares_and_depends_on_its_arguments_alone(c, tau, ratio):
    cell = phase_cell(c, tau, ratio, **SMALL)
    assert cell == phase_cell(c, tau, ratio, **SMALL)
    assert all(cell[name] is None or 0 <= cell[name] <= 1 for name in SHARES)
    assert cell["noisy_fitted_least"] is None or cell["noisy_fitted_least"] <= cell["noisy_fitted"]
    assert cell["fresh_best"] <= cell["fresh_last"] and cell["reused_best"] <= cell["reused_last"]
    assert 0 < cell["best_time"] <= SMALL["s_end"]
    assert cell["reused_low"] <= cell["reused_last"] <= cell["reused_high"] or SMALL["runs"] > 2


def test_cell_without_a_noisy_sample_has_none_where_it_would_need_one():
    cell = phase_cell(4.0, 0.0, 10, **SMALL)
    assert {name for name, value in cell.items() if value is None} == {
        "stage_one", "noisy_fitted_least", "noisy_fitted", "noisy_mislead"}
    assert phase_cell(4.0, 0.3, 10, **SMALL | {"runs": 1})["fresh_rise_error"] is None


@pytest.mark.parametrize("c", [0.25, 8.0, 9.0, 32.0])
@pytest.mark.parametrize("s_end", [0.05, 2.0, 30.0])
def test_cell_takes_small_steps_that_end_at_s_end(monkeypatch, c, s_end):
    """h <= 0.1 and h (1 + c) <= 1, and steps h = s_end to rounding, in any dimension: read off the call of descend."""
    class Called(Exception):
        pass

    def spy(problem, m, init_std, lr, steps, seeds, record_at, n_test):
        h = lr * problem.d / (problem.n * m)
        assert h * steps == pytest.approx(s_end) and h <= 0.1 + 1e-12 and h * (1 + c) <= 1 + 1e-12
        assert h * 2 > min(0.1, 1 / (1 + c), s_end)  # and not needlessly many
        assert record_at[-1] == steps and record_at[0] == 1
        assert init_std * problem.d**0.5 == pytest.approx(0.03) and list(seeds) == [0, 1, 2]
        raise Called

    monkeypatch.setattr("helpers.experiments.phase_diagram.descend", spy)
    for ratio in (2, 10**6):
        with pytest.raises(Called):
            phase_cell(c, 0.1, ratio, n=20, m=3, runs=3, s_end=s_end)


def test_cell_agrees_with_the_run_it_summarises():
    """The reused error is half the share of misleading patches, once no patch spoils a sample of its own label."""
    n, m, d = 50, 5, 500
    law = SignalNoise(n, d, n_snr2=3.0, flip_plus=0.2, flip_minus=0.2)
    record = descend(law, m, 0.03 / d**0.5, 0.1 * n * m / d, 100, range(4), n_test=500)
    mislead = _misleading_patches(record)
    assert mislead.shape == record.margins.shape
    assert np.all(record.reused_error[:, 1:] >= mislead.mean(-1)[:, 1:] / 2 - 1e-12)
    assert np.allclose(record.reused_error[:, -1], mislead.mean(-1)[:, -1] / 2, atol=1e-12)
    assert 0 < mislead[:, -1].mean() < 1
    cell = phase_cell(3.0, 0.2, 10, n=n, m=m, runs=4, s_end=10.0)
    assert cell["flipped"] == record.flipped.mean()
    assert cell["fresh_last"] == pytest.approx(record.fresh_error[:, -1].mean(), abs=1e-12)
    assert cell["reused_last"] == pytest.approx(record.reused_error[:, -1].mean(), abs=1e-12)
    assert cell["clean_mislead"] == pytest.approx(
        np.mean([row[-1][~flips].mean() for row, flips in zip(mislead, record.flipped)]), abs=1e-12)
    assert cell["noisy_mislead"] == pytest.approx(
        np.mean([row[-1][flips].mean() for row, flips in zip(mislead, record.flipped)]), abs=1e-12)


def test_misleading_patches_by_hand():
    """Two samples, signal response +1 for y = +1 and -2 for y = -1; the patch must beat the other label's signal."""
    signal, noise = np.array([[[1.0, -2.0]]]), np.array([2.5, -0.5])
    y, y_obs = np.array([[1.0, 1.0]]), np.array([[1.0, -1.0]])
    record = Record(times=[1], y=y, y_obs=y_obs, margins=(y_obs * (1.0 + noise))[:, None], signal_response=signal)
    # sample 0: shown with y = -1, f = -2 + 2.5 > 0 is wrong; sample 1: shown with y = +1, f = 1 - 0.5 > 0 is right
    assert _misleading_patches(record).tolist() == [[[True, False]]]


@pytest.mark.parametrize(("arguments", "complaint"), [
    ({"n_snr2": 0.0}, "n_snr2"), ({"flip_rate": 0.5}, "flip_rate"), ({"d_over_n": 1.0}, "d_over_n"),
    ({"d_over_n": float("nan")}, "d_over_n"), ({"m": 0}, "m=0"), ({"m": 3, "runs": 0}, "runs"),
    ({"m": 3, "runs": 2, "s_end": 0.0}, "s_end")])
def test_cell_refuses_bad_arguments(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        phase_cell(**{"n_snr2": 1.0, "flip_rate": 0.1, "d_over_n": 10} | arguments)


@pytest.mark.statement("prop-stage-one-exists", "prop-clean-patches")
@pytest.mark.parametrize("c", [1.2, 3.0, 20.0])
def test_clean_patches_at_is_where_the_law_ties_and_falls_to_the_line(c):
    """Between the lines of prop-stage-one-exists (at s = 0) and of prop-clean-patches (in the end)."""
    tau = phase_clean_patch_border(c, S_END)
    law = limit_law(c, tau, [0.0, S_END])
    assert law.signal[-1] == pytest.approx(law.r_clean[-1], abs=1e-6)
    # r_c - A at s_end changes sign there, from below
    for side in (-1, 1):
        near = limit_law(c, tau + side * 1e-3, [0.0, S_END])
        assert np.sign(near.r_clean[-1] - near.signal[-1]) == side
    later = [phase_clean_patch_border(c, s) for s in (S_END, 1e3, 1e6, 1e12)]
    line = (1 - 1 / c) / 4
    assert phase_clean_patch_border(c, 1e-4) == pytest.approx(2 * line, abs=1e-4)  # at the start the first line
    assert np.all(np.diff(later) < 0) and 0 < later[-1] - line < 0.2 * (later[0] - line)


def test_clean_patches_mislead_at_every_flip_rate_for_weak_signals():
    assert phase_clean_patch_border(0.5, S_END) == phase_clean_patch_border(1.0, S_END) == 0.0


def test_signal_to_noise_patch_at_the_start_late_and_for_weak_signals():
    """eq-signal-to-noise-patch: Q_0 from A : r_c : r_n = c (1 - 2 tau) : 1 : 1, NaN at 0, and its late limit."""
    for c, tau in ((0.3, 0.2), (4.0, 0.1), (16.0, 0.3)):
        never, start, end = phase_signal_to_noise(limit_law(c, tau, [0.0, 1e-4, 1e250]))
        assert np.isnan(never)
        assert start == pytest.approx(1 / (1 / c + 1 / (c * (1 - 2 * tau)) ** 2), rel=1e-3)
        kappa = limit_law(c, tau, [0.0]).kappa
        late = (2 / (kappa - 1)) ** 2 * (1 - tau + tau * kappa**2)
        assert end == pytest.approx(1 / (1 / c + late), rel=0.05)  # log(1 + c) / log s is still 0.005
        assert end < start
    start, end = phase_signal_to_noise(limit_law(0.01, 0.2, [1e-4, 30.0]))
    assert end == pytest.approx(start, rel=0.02)  # Kou's edge: nothing moves, up to O(c)
