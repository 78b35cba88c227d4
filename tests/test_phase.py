"""The phase diagram: one cell, boundaries read off a map, the recorded maps, and the script that records them."""

import dataclasses
import hashlib
import itertools
import json
import os
import subprocess
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import record as recorder
import torch
from hypothesis import given, strategies as st

from helpers import SignalNoise, descend
from helpers.data.images import load_digits
from helpers.engine.gram import inner_products
from helpers.engine.reduced import reduced_engine
from helpers.experiments.phase_diagram import (
    PLANES,
    S_END,
    clean_patches_at,
    misleading_patches,
    phase_cell,
    signal_to_noise_patch,
)
from helpers.reading.crossings import boundary
from helpers.record import Record
from helpers.runtime import CHECKPOINTS_VARIABLE
from helpers.sweeps import tables
from helpers.sweeps.grid import sweep
from helpers.sweeps.tables import TablePlan
from helpers.theory.limit import limit_law
from helpers.training import checkpoints
from helpers.training.loop import Recipe, fit
from helpers.training.models import SmallCNN

SMALL = {"n": 20, "m": 3, "runs": 2, "s_end": 1.0}
# Recorded with one BLAS, recomputed with another: sums differ by 1e-16, and now and then a sample or a test draw lies
# on the other side of a threshold, one in about 200 times the flip rate times 10 runs, or in 5000 draws.
ACROSS_MACHINES = 0.02
SHARES = ["flipped", "stage_one", "noisy_fitted_least", "noisy_fitted", "clean_fitted", "fresh_best", "fresh_last",
          "reused_best", "reused_last", "reused_low", "reused_high", "noisy_mislead", "clean_mislead"]


@cache
def recorded(name):
    return pd.read_csv(recorder.RESULTS / f"{name}.csv")


def at(table, **values):
    chosen = np.logical_and.reduce([np.isclose(table[name], value) for name, value in values.items()])
    assert chosen.any(), values
    return table[chosen]


# One cell


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
    mislead = misleading_patches(record)
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
    assert misleading_patches(record).tolist() == [[[True, False]]]


@pytest.mark.parametrize(("c", "stage"), [(0.6, 0.0), (3.0, 1.0)])
def test_prop_stage_one_exists_on_both_sides_of_the_line(c, stage):
    """c (1 - 2 tau) = 0.36 and 1.8 at d/n = 1e6: no run, and every run, has a Stage I (5 seeds, n = 100)."""
    assert phase_cell(c, 0.2, 10**6, n=100, runs=5, s_end=3.0)["stage_one"] == stage


@pytest.mark.parametrize(("arguments", "complaint"), [
    ({"n_snr2": 0.0}, "n_snr2"), ({"flip_rate": 0.5}, "flip_plus"), ({"d_over_n": 1.0}, "d_over_n"),
    ({"d_over_n": float("nan")}, "d_over_n"), ({"m": 0}, "m=0"), ({"m": 3, "runs": 0}, "runs"),
    ({"m": 3, "runs": 2, "s_end": 0.0}, "s_end")])
def test_cell_refuses_bad_arguments(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        phase_cell(**{"n_snr2": 1.0, "flip_rate": 0.1, "d_over_n": 10} | arguments)


# Boundaries and lines


def test_boundary_reads_the_crossing_of_rising_and_falling_rows():
    x = np.linspace(0.0, 4.0, 9)
    rows = [{"flip_rate": tau, "n_snr2": value, "up": value / 4, "down": 1 - (value - tau) / 4, "flat": 0.2}
            for tau in (0.1, 0.3) for value in x]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0)
    assert boundary(table, "up").to_dict() == pytest.approx({0.1: 2.0, 0.3: 2.0})
    assert boundary(table, "down", level=0.25).to_dict() == pytest.approx({0.1: 3.1, 0.3: 3.3})
    assert boundary(table, "flat").isna().all()
    assert boundary(table, "up", along="flip_rate", by="n_snr2").isna().all()


def test_boundary_of_a_noisy_row_is_unique_and_near():
    """A step at 2 of slope 1, plus noise of 0.05: the crossing is found to 0.2, four standard deviations (20 rows)."""
    rng, x = np.random.default_rng(0), np.linspace(0, 4, 41)
    table = pd.DataFrame({"flip_rate": np.repeat(np.arange(20.0), 41), "n_snr2": np.tile(x, 20)})
    table["share"] = 1 / (1 + np.exp(-4 * (table.n_snr2 - 2))) + rng.normal(0, 0.05, len(table))
    assert np.abs(boundary(table, "share") - 2).max() < 0.2
    table.loc[table.n_snr2 < 0.5, "share"] = np.nan
    assert np.abs(boundary(table, "share") - 2).max() < 0.2


def test_boundary_refuses_what_is_not_in_the_map():
    with pytest.raises(ValueError, match="clean"):
        boundary(pd.DataFrame({"flip_rate": [0.1], "n_snr2": [1.0]}), "clean")


@pytest.mark.parametrize("c", [1.2, 3.0, 20.0])
def test_clean_patches_at_is_where_the_law_ties_and_falls_to_the_line(c):
    """Between the lines of prop-stage-one-exists (at s = 0) and of prop-clean-patches (in the end)."""
    tau = clean_patches_at(c, S_END)
    law = limit_law(c, tau, [0.0, S_END])
    assert law.signal[-1] == pytest.approx(law.r_clean[-1], abs=1e-6)
    # r_c - A at s_end changes sign there, from below
    for side in (-1, 1):
        near = limit_law(c, tau + side * 1e-3, [0.0, S_END])
        assert np.sign(near.r_clean[-1] - near.signal[-1]) == side
    later = [clean_patches_at(c, s) for s in (S_END, 1e3, 1e6, 1e12)]
    line = (1 - 1 / c) / 4
    assert clean_patches_at(c, 1e-4) == pytest.approx(2 * line, abs=1e-4)  # at the start the first line
    assert np.all(np.diff(later) < 0) and 0 < later[-1] - line < 0.2 * (later[0] - line)


def test_clean_patches_mislead_at_every_flip_rate_for_weak_signals():
    assert clean_patches_at(0.5, S_END) == clean_patches_at(1.0, S_END) == 0.0


# The fresh error


@pytest.mark.parametrize("c", [0.5, 2.0, 16.0])
def test_eq_filter_norm_in_the_limit_laws_setting(c):
    """sigma^2 |w|^2 = (n/d) (A^2 / c + (1 - tau) r_c^2 + tau r_n^2), mean over filters.

    n = 300, m = 50, d = 1000 n, s = 10, two seeds; the initial weights' sigma^2 d sigma_0^2 is taken off. Cross-talk of
    size sqrt(n/d) = 0.03 and the classes' sizes leave a few percent; without either term it is off by more at some c.
    """
    n, m, d, tau, init, s_end = 300, 50, 300_000, 0.2, 1e-3, 10.0
    law = SignalNoise(n, d, n_snr2=c, flip_plus=tau, flip_minus=tau)
    norms, drawn = [], []
    for seed in range(2):
        products = inner_products(law, m, init / d**0.5, seed)
        engine = reduced_engine([products], [0.1 * n * m / d], torch.device("cpu"), torch.float64)
        engine.advance(round(s_end / 0.1))
        norms.append(engine.state().weight_gram.diagonal(dim1=1, dim2=2).mean().item() - init**2)
        drawn.append(float((products.y != products.y_obs).double().mean()))
    limit = limit_law(c, np.mean(drawn), [s_end])
    expected = n / d * limit.signal**2 / signal_to_noise_patch(limit)
    assert np.mean(norms) == pytest.approx(expected[0], rel=0.06)


def test_signal_to_noise_patch_at_the_start_late_and_for_weak_signals():
    """eq-signal-to-noise-patch: Q_0 from A : r_c : r_n = c (1 - 2 tau) : 1 : 1, NaN at 0, and its late limit."""
    for c, tau in ((0.3, 0.2), (4.0, 0.1), (16.0, 0.3)):
        never, start, end = signal_to_noise_patch(limit_law(c, tau, [0.0, 1e-4, 1e250]))
        assert np.isnan(never)
        assert start == pytest.approx(1 / (1 / c + 1 / (c * (1 - 2 * tau)) ** 2), rel=1e-3)
        kappa = limit_law(c, tau, [0.0]).kappa
        late = (2 / (kappa - 1)) ** 2 * (1 - tau + tau * kappa**2)
        assert end == pytest.approx(1 / (1 / c + late), rel=0.05)  # log(1 + c) / log s is still 0.005
        assert end < start
    start, end = signal_to_noise_patch(limit_law(0.01, 0.2, [1e-4, 30.0]))
    assert end == pytest.approx(start, rel=0.02)  # Kou's edge: nothing moves, up to O(c)


# The recorded maps


def borders(d_over_n):
    """Both borders of the recorded map at one d/n: c (1 - 2 tau) by flip rate, and flip rate as drawn by c."""
    table = at(recorded("phase_flips"), d_over_n=d_over_n)
    drawn = table.groupby("flip_rate").flipped.first()
    return boundary(table, "noisy_fitted_least") * (1 - 2 * drawn), boundary(
        table, "clean_mislead", along="flipped", by="n_snr2")


def test_obs_phase_diagram_borders():
    """obs-phase-diagram, 1 and 3, on the recorded map: a change of the numbers needs a change of the text."""
    law = pd.Series({c: clean_patches_at(c, S_END) for c in PLANES["phase_flips"]["n_snr2"] if c > 1})
    for ratio, (low, high) in ((10, (1.25, 1.4)), (10**6, (1.15, 1.3))):
        first, second = borders(ratio)
        assert first.loc[:0.4].between(low, high).all() and len(first.loc[:0.4]) == 20
        gap = law - second[law.index]
        assert gap.abs().max() < 0.01 if ratio > 10 else gap.dropna().between(0.01, 0.1).all()
        assert gap.notna().sum() >= 18


def test_obs_phase_diagram_border_goes_to_the_line_with_smaller_initial_weights():
    """obs-phase-diagram, 1: half the noisy samples read truly between 0.9 and 1.1, tau = 0.2, d/n = 1e8 (10 seeds)."""
    n, m, d = 200, 20, 2 * 10**10
    laws = [SignalNoise(n, d, n_snr2=lead / 0.6, flip_plus=0.2, flip_minus=0.2) for lead in (0.9, 1.1)]
    record = descend(laws, m, 0.003 / d**0.5, 0.1 * n * m / d, 30, range(10), n_test=1,
                     record_at=[1, 2, 3, 5, 7, 10, 15, 20, 30])
    above, below = record.mean_over(record.fits_observed, "noisy").min(1).reshape(2, -1).mean(1)
    assert above > 0.5 > below


def test_obs_phase_diagram_what_is_memorised_and_what_it_costs():
    """obs-phase-diagram, 2 and 4."""
    table = recorded("phase_flips")
    assert table.clean_fitted.min() == 1 and table.noisy_fitted.min() > 0.98
    far = table[(table.d_over_n > 10) & (table.n_snr2 >= 8) & (table.flip_rate <= 0.16)]
    assert (far.reused_last / (far.flipped / 2)).between(0.9, 1.1).all() and len(far) == 72
    assert far.fresh_last.max() == 0


def test_obs_phase_diagram_level_line_of_the_fresh_error():
    """obs-phase-diagram, 5: Q^2 d/n at 5% is the same for all c to 20%, where d/n itself changes by more than 50."""
    table = recorded("phase_dimensions").assign(log_ratio=lambda rows: np.log(rows.d_over_n))
    line = np.exp(boundary(table, "fresh_last", level=0.05, along="log_ratio", by="n_snr2")).dropna()
    constant = [signal_to_noise_patch(limit_law(c, 0.2, [S_END]))[0] * ratio for c, ratio in line.items()]
    assert len(line) == 29 and line.max() / line.min() > 50
    assert table[table.d_over_n > 300].fresh_last.max() < 0.005  # "nothing is harmful in Han's strip"
    assert np.max(constant) < 1.2 * np.mean(constant) and np.min(constant) > 0.8 * np.mean(constant)


@pytest.mark.parametrize("name", PLANES)
def test_recorded_map_has_every_cell_in_order(name):
    table = recorded(name)
    cells = pd.MultiIndex.from_product(PLANES[name].values(), names=list(PLANES[name]))
    assert np.allclose(table[list(PLANES[name])], cells.to_frame())
    assert table.drop(columns="fresh_rise_error").notna().all().all()


@pytest.mark.parametrize(("name", "index"), [("phase_flips", 300), ("phase_flips", 1000), ("phase_dimensions", 220)])
def test_recorded_cell_can_be_recomputed(name, index):
    row = recorded(name).iloc[index]
    cell = phase_cell(*(row[key] for key in ("n_snr2", "flip_rate", "d_over_n")))
    assert cell.keys() | PLANES[name].keys() == set(row.index)
    for share in SHARES:
        assert cell[share] == pytest.approx(row[share], abs=ACROSS_MACHINES), share


# The script that records


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """One recording of four small cells, and the script's arguments that keep it in a temporary folder."""
    grid = {"flip_rate": [0.2], "n_snr2": [1.0, 4.0], "d_over_n": [5, 50]} | {k: [value] for k, value in SMALL.items()}
    monkeypatch.setattr(recorder, "TABLES", {"tiny": TablePlan(phase_cell, grid, "four cells")})
    return tmp_path, ["--results", str(tmp_path / "results"), "--store", str(tmp_path / "store")]


def made(folder):
    return json.loads((folder / "results" / "tiny.json").read_text("utf-8"))


def test_recording_writes_the_sweep_and_how_it_was_made(tiny, capsys):
    folder, arguments = tiny
    assert recorder.main([*arguments, "--check"]) == 1
    assert "missing" in capsys.readouterr().out and not (folder / "results").exists()
    assert recorder.main(arguments) == 0
    table = pd.read_csv(folder / "results" / "tiny.csv")
    expected = sweep(phase_cell, recorder.TABLES["tiny"].grid)
    pd.testing.assert_frame_equal(table, expected, rtol=10.0 ** (1 - tables.DIGITS), check_dtype=False)
    assert made(folder)["rows"] == made(folder)["cells_computed"] == 4 and made(folder)["cells_from_store"] == 0
    assert recorder.main([*arguments, "--check"]) == 0 and "up to date" in capsys.readouterr().out
    before = (folder / "results" / "tiny.json").read_text()
    assert recorder.main(arguments) == 0  # nothing to do
    assert (folder / "results" / "tiny.json").read_text() == before


def test_recording_resumes_from_its_store(tiny):
    folder, arguments = tiny
    recording = recorder.TABLES["tiny"]
    sweep(phase_cell, recording.grid | {"n_snr2": [4.0]}, store=folder / "store" / "tiny")  # all that had finished
    recorder.main(arguments)
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (2, 2)
    recorder.main([*arguments, "--force"])
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (0, 4)


def test_recording_with_a_process_pool_gives_the_same_table(tiny):
    folder, arguments = tiny
    recorder.main(arguments)
    alone = (folder / "results" / "tiny.csv").read_bytes()
    elsewhere = ["--results", str(folder / "pool"), "--store", str(folder / "pool store"), "--workers", "2"]
    assert recorder.main(elsewhere) == 0
    assert (folder / "pool" / "tiny.csv").read_bytes() == alone
    assert json.loads((folder / "pool" / "tiny.json").read_text())["workers"] == 2


def test_recording_notices_what_is_out_of_date(tiny, monkeypatch):
    folder, arguments = tiny
    recorder.main(arguments)
    recording, results = recorder.TABLES["tiny"], folder / "results"
    assert recorder.fault("tiny", recording, results) is None
    other = TablePlan(phase_cell, recording.grid | {"n_snr2": [1.0, 8.0]}, recording.about)
    assert "another grid" in recorder.fault("tiny", other, results)
    monkeypatch.setitem(phase_cell.__kwdefaults__, "n", 100)
    shorter = TablePlan(phase_cell, {k: v for k, v in recording.grid.items() if k != "n"}, recording.about)
    assert "arguments" in recorder.fault("tiny", shorter, results)
    table = results / "tiny.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    assert "3 rows, not 4" in recorder.fault("tiny", recording, results)
    (results / "tiny.json").write_text("{")
    assert "not readable" in recorder.fault("tiny", recording, results)
    (results / "tiny.json").unlink()
    assert "tiny.json is missing" in recorder.fault("tiny", recording, results)


def test_recording_says_which_files_it_read_and_keeps_their_cells_apart(tiny, monkeypatch, capsys):
    folder, arguments = tiny
    reading = dataclasses.replace(recorder.TABLES["tiny"], reads=("SOME_IMAGES",))
    monkeypatch.setitem(recorder.TABLES, "tiny", reading)
    monkeypatch.delenv("SOME_IMAGES", raising=False)
    assert recorder.main(arguments) == 1 and "left out; SOME_IMAGES=None" in capsys.readouterr().out
    assert not (folder / "results").exists()
    for content in (b"one", b"two"):
        (folder / "images.npz").write_bytes(content)
        monkeypatch.setenv("SOME_IMAGES", str(folder / "images.npz"))
        assert recorder.main([*arguments, "--force", "--note", "shrunk"]) == 0
        digest = hashlib.sha256(content).hexdigest()
        assert made(folder)["files"] == {"SOME_IMAGES": f"images.npz, sha256 {digest[:16]}"}
        assert made(folder)["note"] == "shrunk" and made(folder)["cells_computed"] == 4
    recorder.main([*arguments, "--force"])
    assert made(folder)["cells_from_store"] == 4
    monkeypatch.setenv("SOME_IMAGES", str(folder))
    assert recorder.files_read(reading) == {"SOME_IMAGES": folder.name}


@pytest.mark.parametrize("arguments", [["nonsense"], ["--workers", "0"]])
def test_recording_refuses_bad_arguments(arguments):
    with pytest.raises(SystemExit):
        recorder.main(arguments)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3), at_a_time=st.integers(1, 300))
def test_parts_of_a_grid_have_all_its_cells_in_portions(lengths, at_a_time):
    grid = {f"x{k}": list(range(length)) for k, length in enumerate(lengths)}
    parts = tables._parts(TablePlan(phase_cell, grid, "", at_a_time=at_a_time))
    assert [tuple(cell.values()) for part in parts for cell in part] == list(itertools.product(*grid.values()))
    assert all(len(part) == at_a_time for part in parts[:-1]) and 0 < len(parts[-1]) <= at_a_time


def test_recording_stops_at_its_deadline_and_goes_on_later(tiny, monkeypatch, capsys):
    folder, arguments = tiny
    monkeypatch.setitem(recorder.TABLES, "tiny", dataclasses.replace(recorder.TABLES["tiny"], at_a_time=3))
    clock = iter([0.0, 59.0, 61.0])  # the start, before the first part, before the second
    with monkeypatch.context() as patch:
        fake = SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter)
        patch.setattr(recorder, "time", fake)
        patch.setattr(tables, "time", fake)
        assert recorder.main([*arguments, "--minutes", "1"]) == 0
    assert "3 cells in the store" in capsys.readouterr().out and not (folder / "results").exists()
    recorder.main(arguments)
    assert (made(folder)["cells_computed"], made(folder)["cells_from_store"]) == (1, 3)


def trained(seed, folder):
    """A cell that trains, and is killed at its first call, once a checkpoint is there."""
    data = load_digits().subset(60)
    if not (Path(folder) / "called").exists():
        (Path(folder) / "called").touch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints, "SECONDS", 0.0)
            fit(SmallCNN(data.image_shape, width=4), data, Recipe(epochs=3), seed, record_at=[3])
        raise KeyboardInterrupt
    model, epochs = SmallCNN(data.image_shape, width=4), []
    model.register_forward_hook(lambda module, *_: epochs.append(module.training))
    return {"error": float(fit(model, data, Recipe(epochs=3), seed, record_at=[3]).fresh_error[0, -1]),
            "trained": sum(epochs)}


def test_a_killed_training_run_of_a_recording_goes_on(monkeypatch, tmp_path):
    grid = {"seed": [0], "folder": [str(tmp_path)]}
    monkeypatch.setattr(recorder, "TABLES", {"tiny": TablePlan(trained, grid, "one run")})
    arguments = ["--results", str(tmp_path / "results"), "--store", str(tmp_path / "store")]
    with pytest.raises(KeyboardInterrupt):
        recorder.main(arguments)
    assert CHECKPOINTS_VARIABLE not in os.environ
    assert len(list((tmp_path / "store" / "tiny" / "checkpoints").iterdir())) == 1
    recorder.main(arguments)
    assert pd.read_csv(tmp_path / "results" / "tiny.csv").trained.tolist() == [0]
    assert not (tmp_path / "store" / "tiny" / "checkpoints").exists()


def test_recording_names_the_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "ROOT", tmp_path)
    assert recorder.commit() is None
    start = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    git = lambda *words: subprocess.run([*start, *words], check=True, capture_output=True)  # noqa: E731
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    clean = recorder.commit()
    (tmp_path / "file").write_text("2")
    assert len(clean) == 12 and recorder.commit() == clean + "+"
