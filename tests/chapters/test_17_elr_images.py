"""Chapter 17 on images: the runs, how they are read, and what ELR does to wrong-label images."""

import numpy as np
import pytest

from helpers.experiments import elr as runs
from helpers.reading import paired_difference, stop_by_noisy_validation, values_at_stop
from helpers.sweeps.tables import load_table
from helpers.training.losses import ELRLoss


@pytest.fixture(scope="module")
def pair(ten_digits):
    """{name: Record of two of the chapter's three runs at nominal rate 0.4, with its controls}."""
    names = "cross-entropy", "ELR", *(f"cross-entropy with {name}" for name in runs.INGREDIENTS)
    return {name: runs.elr_runs(ten_digits, 0.4, name, range(2), n_val=100) for name in names}


@pytest.mark.statement("obs-elr-images")
def test_obs_elr_images(pair, ten_digits):
    """obs-elr-images at rate 0.4, 2 seeds: 0.85 and 0.10 memorised, last accuracy 0.72 and 0.95 when written."""
    plain, elr = pair["cross-entropy"], pair["ELR"]
    memorised = {name: runs.elr_run_label_shares(record, "noisy")["observed"] for name, record in pair.items()}
    assert memorised["cross-entropy"][:, -1].min() > 0.7 and memorised["ELR"][:, -1].max() < 0.25
    early = runs.elr_run_label_shares(plain, "noisy")["true"].max(1)
    assert early.min() > 0.8  # read truly before they are memorised
    assert (plain.fresh_error - elr.fresh_error)[:, -1].min() > 0.15
    assert (elr.fresh_error[:, -1] - elr.fresh_error.min(1)).max() < 0.05
    assert (plain.fresh_error[:, -1] - plain.fresh_error.min(1)).min() > 0.1


@pytest.mark.statement("obs-elr-images")
def test_obs_elr_images_fails_without_memory_but_not_by_memorising(ten_digits, pair):
    """The remark after obs-elr-images: many images end in a third class. 1 seed."""
    record = runs.elr_run(ten_digits, 0.4, ELRLoss(strength=3.0, momentum=0.0), 1)
    noisy = runs.elr_run_label_shares(record, "noisy")
    assert record.fresh_error[0, -1] > pair["ELR"].fresh_error[1, -1] + 0.15
    assert noisy["other"][0, -1] > noisy["observed"][0, -1]


def test_the_two_losses_see_the_same_labels_weights_and_batches(pair):
    plain, elr = pair["cross-entropy"], pair["ELR"]
    assert np.array_equal(plain.y_obs, elr.y_obs) and np.array_equal(plain.margins[:, 0], elr.margins[:, 0])
    assert plain.runs == elr.runs and plain.runs[0]["kind"] == "symmetric redraw"
    # the paper's convention: 0.9 of the nominal rate; standard error of two runs of 1000 labels 0.011, four of them
    assert abs(plain.flipped.mean() - 0.36) < 0.045


def test_label_shares_are_shares_of_their_samples(pair):
    record = pair["cross-entropy"]
    noisy, clean = (runs.elr_run_label_shares(record, which) for which in ("noisy", "clean"))
    np.testing.assert_allclose(sum(noisy.values()), 1)
    np.testing.assert_allclose(sum(clean.values()), 1)
    chosen, k = record.flipped[0], 5
    assert noisy["observed"][0, k] == pytest.approx((record.predictions[0, k] == record.y_obs[0])[chosen].mean())
    assert noisy["true"][0, k] == pytest.approx((record.predictions[0, k] == record.y[0])[chosen].mean())
    with pytest.raises(ValueError, match="which='wrong'"):
        runs.elr_run_label_shares(record, "wrong")


@pytest.mark.statement("obs-elr-images")
def test_obs_elr_images_beside_stopped_cross_entropy_and_each_ingredient(pair):
    """ELR's last accuracy beside that of cross-entropy stopped on 100 noisy labels, held out from all, and beside
    cross-entropy with mixup, with averaged weights, with two networks: higher for each of 2 seeds."""
    plain, elr = pair["cross-entropy"], pair["ELR"]
    assert plain.margins.shape[-1] == 900 and plain.test_sizes["validation"] == 100
    last = 1 - elr.fresh_error[:, -1]
    assert (last > 1 - values_at_stop(plain.fresh_error, stop_by_noisy_validation(plain))).all()
    for name in runs.INGREDIENTS:
        assert (last > 1 - pair[f"cross-entropy with {name}"].fresh_error[:, -1]).all()


def test_recorded_steps_are_those_of_the_protocol():
    """Each row's step is that of CHOSEN_STEPS, which the table of steps chooses, on a seed that no recorded run has."""
    table, steps = load_table("elr").table, load_table("elr_steps").table
    assert not set(table.seed) & set(steps.seed) and set(table.loss) == set(runs.METHODS)
    chosen = runs.chosen_steps(steps)
    assert {noise: runs.CHOSEN_STEPS[noise] for noise in chosen} == chosen
    for (noise, loss), rows in table.groupby(["noise", "loss"]):
        assert set(rows.step) == {chosen[noise][loss]}
    sizes = ["n_train", "side", "width", "epochs", "augment"]
    assert (table[sizes].drop_duplicates().to_numpy() == steps[sizes].drop_duplicates().to_numpy()).all()


@pytest.mark.statement("obs-elr-cifar")
def test_obs_elr_cifar():
    """Symmetric 0.4, 3 seeds: last test accuracies, seed by seed; and what the page says beside them."""
    table = load_table("elr").table.query("noise == 'symmetric 0.4'").sort_values("epoch")
    cells = table.groupby(["loss", "seed"])
    last, memorised = cells.accuracy.last().unstack(0), cells["noisy observed"].last().unstack(0)
    stop = table.loc[cells["observed validation"].idxmax()].set_index(["loss", "seed"]).accuracy.unstack(0)
    assert len(last) == 3 and not table.augment.any()
    assert (last["ELR+"] > stop["cross-entropy"]).all()
    assert (last["cross-entropy with mixup"] > last["ELR"]).all()
    mean, half = paired_difference(last["ELR+"], last["ELR+ without the term"])
    assert abs(mean) < half
    ahead = {name for name in runs.METHODS if np.subtract(*paired_difference(last[name], stop["cross-entropy"])) > 0}
    assert ahead == {"ELR+", "ELR+ without averaged weights", "ELR+ without two networks"}
    assert memorised["cross-entropy"].mean() < 0.5 and cells["noisy true"].max().between(0.28, 0.37).all()
    mean, half = paired_difference(last["cross-entropy"], stop["cross-entropy"])
    assert abs(mean) < 0.01 < half
