"""Rules that select samples by their losses, their quality, and the ranking by loss."""

import re
from dataclasses import replace

import numpy as np
import pytest
from columns import images, small_cnn
from problems import problem
from scipy.stats import norm
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from helpers import descend
from helpers.reading.accuracy import observed_accuracies
from helpers.reading.distances import loss_distances_over_time
from helpers.reading.selection import (
    LOG2,
    assess_selection,
    best_selection_quality,
    select_below_log2,
    select_by_mixture,
    select_small_loss,
    selection_auc,
    selection_gap_and_spread,
    selection_purity_gain,
    selection_quality,
)
from helpers.reading.times import crest_time_index, turning_time_index, turning_times
from helpers.record import Record
from helpers.training.loop import fit
from helpers.training.recipe import Recipe

M = 20


def small_record(margins, flipped):
    """A Record with these margins (runs, T, n) and wrong labels (runs, n)."""
    y = np.ones(np.shape(flipped))
    return Record(np.arange(np.shape(margins)[1]), y, np.where(flipped, -y, y), np.asarray(margins, float))


def test_best_quality_is_the_written_formula():
    t, d = np.meshgrid(np.linspace(0.05, 0.95, 19), np.linspace(0.05, 0.95, 19))
    formula = (np.minimum(1, t / d), np.minimum(1, d / t), np.minimum(1, (1 - t) / (1 - d)),
               np.maximum(0, (d - t) / (1 - t)))
    found = best_selection_quality(t, d)
    for value, wanted in zip((found.precision, found.recall, found.purity, found.lost), formula):
        np.testing.assert_allclose(value, wanted, atol=1e-12)
    with pytest.raises(ValueError, match="drop_share"):
        best_selection_quality(0.2, 1.2)


def test_log2_threshold_keeps_what_is_fitted():
    run = descend(problem(2000, tau=0.2), M, 1e-3, 0.2, 100, range(3), n_test=1)
    assert np.array_equal(select_below_log2(run.losses), run.fits_observed | (run.margins == 0))
    assert select_below_log2(LOG2) and not select_below_log2(np.nextafter(LOG2, 1))


def test_small_loss_keeps_exactly_its_share_and_breaks_ties_in_order():
    losses = np.random.default_rng(0).random((3, 4, 50))
    kept = select_small_loss(losses, 0.3)
    assert (kept.sum(-1) == 15).all()
    assert (np.where(kept, losses, -1).max(-1) < np.where(kept, 2, losses).min(-1)).all()
    assert np.array_equal(select_small_loss(np.ones(4), 0.5), [True, True, False, False])
    assert select_small_loss(losses, 1).all() and not select_small_loss(losses, 0).any()
    with pytest.raises(ValueError, match="keep_share"):
        select_small_loss(losses, 1.5)


@pytest.mark.parametrize("log", [False, True])
def test_mixture_finds_two_groups_whatever_their_scale(log):
    rng = np.random.default_rng(1)
    noisy = np.arange(200) < 50
    losses = np.exp(rng.normal(np.where(noisy, 0.0, -2.0), 0.2))
    for scale in (1e-6, 1.0, 1e3):
        kept = select_by_mixture(np.stack([scale * losses, scale * losses[::-1]]), seed=3, log=log)
        assert np.array_equal(kept[0], ~noisy) and np.array_equal(kept[1], ~noisy[::-1])


def test_mixture_on_log_losses_fits_logarithms():
    """On overlapping groups the two differ: late in a run, logarithms keep about half, raw losses most samples."""
    run = descend(problem(2000, tau=0.2), M, 1e-3, 0.2, 1000, range(3), record_at=[1000], n_test=1)
    losses = run.losses[:, 0]
    assert np.array_equal(select_by_mixture(losses, log=True), select_by_mixture(np.log(losses)))
    assert select_by_mixture(losses, log=True).mean() < 0.75 < select_by_mixture(losses).mean()


def test_mixture_on_overlapping_groups_is_reproducible_and_keeps_equal_losses():
    losses = np.exp(np.random.default_rng(2).normal(size=300))
    assert np.array_equal(select_by_mixture(losses, seed=5), select_by_mixture(losses, seed=5))
    assert 0 < select_by_mixture(losses).mean() < 1
    assert select_by_mixture(np.full(10, 0.3)).all()
    with pytest.raises(ValueError, match="losses"):
        select_by_mixture(np.array([0.0, 1.0]), log=True)
    with pytest.raises(ValueError, match="losses"):
        select_by_mixture(np.array([1.0]))


def test_quality_is_precision_and_recall_of_the_dropped():
    rng = np.random.default_rng(0)
    kept, noisy = rng.random((5, 30)) < 0.7, rng.random((5, 30)) < 0.3
    found = selection_quality(kept, noisy)
    for i in range(5):
        precision, recall, _, _ = precision_recall_fscore_support(noisy[i], ~kept[i], average="binary")
        purity, kept_clean, _, _ = precision_recall_fscore_support(~noisy[i], kept[i], average="binary")
        assert np.allclose([q[i] for q in found], [precision, recall, purity, 1 - kept_clean])


def test_quality_of_nothing_dropped_nothing_kept_and_no_noise():
    none, every = np.zeros(4, bool), np.ones(4, bool)
    noisy = np.array([True, False, False, False])
    assert tuple(selection_quality(every, noisy)) == (1, 0, 0.75, 0)
    assert tuple(selection_quality(none, noisy)) == (0.25, 1, 1, 1)
    assert tuple(selection_quality(every, none)) == (1, 1, 1, 0)


def test_assess_has_a_row_for_each_rule_run_and_time():
    record = small_record([[[2, 1, -1], [1, 2, 3]], [[3, -2, 1], [1, 1, -5]]], [[0, 0, 1], [0, 1, 0]])
    table = assess_selection(record, {"log 2": select_below_log2,
                                      "two": lambda losses: select_small_loss(losses, 2 / 3)})
    columns = ["rule", "run", "time", "kept", *selection_quality([1], [0])._fields]
    assert len(table) == 8 and list(table.columns) == columns
    one = table.set_index(["rule", "run", "time"])
    assert one.loc["log 2", 0, 0].tolist() == pytest.approx([2 / 3, 1, 1, 1, 0])
    assert one.loc["log 2", 0, 1].tolist() == pytest.approx([1, 1, 0, 2 / 3, 0])
    assert one.loc["log 2", 1, 1].tolist() == pytest.approx([2 / 3, 0, 0, 0.5, 0.5])
    assert one.loc["two", 0, 1].tolist() == pytest.approx([2 / 3, 0, 0, 0.5, 0.5])


def test_ranking_auc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(0)
    record = small_record(rng.integers(-3, 4, (4, 3, 40)), rng.random((4, 40)) < 0.3)
    wanted = [[roc_auc_score(f, -z) for z in rows] for f, rows in zip(record.flipped, record.margins)]
    np.testing.assert_allclose(selection_auc(record), wanted, atol=1e-12)
    assert np.isnan(selection_auc(small_record([[[1, 2]]], [[0, 0]]))).all()


def test_gap_and_spread_of_two_normal_groups():
    """Written out group by group; and with 20,000 samples the ranking is that of two normal groups."""
    rng = np.random.default_rng(0)
    flipped = rng.random((3, 20_000)) < 0.2
    losses = np.exp(rng.normal(np.where(flipped, 1.0, 0.0), np.where(flipped, 0.5, 1.2)))
    gap, spread = selection_gap_and_spread(losses, flipped)
    for row, noisy, one, other in zip(np.log(losses), flipped, gap, spread):
        assert one == pytest.approx(row[noisy].mean() - row[~noisy].mean())
        assert other == pytest.approx(np.hypot(row[noisy].std(), row[~noisy].std()))
        assert roc_auc_score(noisy, row) == pytest.approx(norm.cdf(one / other), abs=0.02)
    assert gap == pytest.approx(1.0, abs=0.1) and spread == pytest.approx(1.3, abs=0.1)


def test_gap_and_spread_needs_both_groups_and_positive_losses():
    gap, spread = selection_gap_and_spread(np.ones((2, 3)), [[False, False, False], [True, False, False]])
    assert np.array_equal(np.isnan(gap), [True, False]) and np.array_equal(np.isnan(spread), [True, False])
    with pytest.raises(ValueError, match="losses"):
        selection_gap_and_spread([[0.0, 1.0]], [[True, False]])


def test_where_nobody_knows_the_true_labels_nothing_is_said_of_wrong_ones(tmp_path):
    """They gave precision 0, recall 1 and purity 1."""
    data = replace(images(), noise={"kind": "unknown"})
    run = fit(small_cnn(data), data, Recipe(epochs=2), 0)
    run.save(tmp_path / "run.npz")
    run = Record.load(tmp_path / "run.npz")
    refused = {
        "assess": lambda: assess_selection(run, {"log 2": select_below_log2}),
        "quality": lambda: selection_quality(select_below_log2(run.losses), run.flipped[:, None]),
        "quality of data": lambda: selection_quality(np.ones(data.n, bool), data.flipped),
        "auc": lambda: selection_auc(run), "gain": lambda: selection_purity_gain(run),
        "accuracies": lambda: observed_accuracies(run), "distances": lambda: loss_distances_over_time(run),
        "turn": lambda: turning_times(run), "turning index": lambda: turning_time_index(run),
        "crest": lambda: crest_time_index(run), "true accuracy": lambda: run.mean_over(run.fits_true)}
    for name, reading in refused.items():
        with pytest.raises(ValueError, match=r"noise kind='unknown': must be one of which the true labels are known"):
            pytest.fail(f"{name} gave {reading()}")
    assert run.mean_over(run.losses).shape == (1, len(run.times))
    for per in ("run", "sample"):
        assert not [column for column in run.to_frame(per)
                    if re.search(r"clean|noisy|true|flipped|^y$", column)]
