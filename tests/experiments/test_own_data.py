"""The comparison on one's own data: cells at small scale, what they share, and interoperation with cleanlab."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from helpers.data.cifar10n import CIFAR10N_VARIABLE, KINDS
from helpers.data.datasets import CIFAR10_VARIABLE, load_digit_classes
from helpers.data.images import class_index
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import SymmetricNoise
from helpers.experiments import own_data as own
from helpers.practice.flip_rates import ASSUMES
from helpers.streams import random_stream
from helpers.training.batches import standardise
from helpers.training.cross_validation import out_of_fold

SMALL = {"folds": 3, "n_digits": 200, "epochs": 4}


@pytest.fixture(scope="module")
def wine():
    return pd.DataFrame(own.own_data_cell("wine, symmetric", 0.2, 0, **SMALL))


def test_a_cell_has_all_rankings_cleanings_and_rates(wine):
    parts = {part: rows.method.tolist() for part, rows in wine.groupby("part")}
    assert set(parts["ranking"]) == {*own.SINGLES, own.CLEANLAB, own.CLEANLAB_MEAN, own.COMBINED}
    assert parts["rate"] == list(ASSUMES) and "combined dropped" in parts["cleaning"]
    assert wine.flip_rate.nunique() == 1 and wine.samples.nunique() == 1
    ranking = wine[wine.part == "ranking"]
    assert ranking.auc.between(0, 1).all() and ranking.precision.between(0, 1).all()
    assert wine[wine.part == "cleaning"].error.between(0, 1).all()


def test_cleanlab_by_default_orders_as_the_networks_own_confidence_does(wine):
    ranking = wine[wine.part == "ranking"].set_index("method")
    for measure in ("auc", "precision"):
        assert ranking[measure][own.CLEANLAB] == ranking[measure][own.NETWORK]


def test_a_cell_repeats_and_depends_on_its_arguments(wine):
    again = pd.DataFrame(own.own_data_cell("wine, symmetric", 0.2, 0, **SMALL))
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), wine.drop(columns="seconds"))
    other = pd.DataFrame(own.own_data_cell("wine, symmetric", 0.2, 1, **SMALL))
    assert not other.auc.equals(wine.auc)


def test_nothing_changed_means_the_run_as_it_was(wine):
    cleaning = wine[wine.part == "cleaning"].set_index("method")
    for name in ("combined dropped, cautious", "combined dropped", "cleanlab dropped"):
        if cleaning.changed[name] == 0:
            assert cleaning.error[name] == cleaning.error["stopped, not retrained"]
    assert cleaning.changed["trained to the end"] == 0 and np.isnan(cleaning.changed_wrong["trained to the end"])
    assert cleaning.changed["combined dropped"] == cleaning.changed["combined relabelled"]


def test_digits_run_at_small_scale_and_other_names_are_refused():
    rows = pd.DataFrame(own.own_data_cell("digits, pair", 0.1, 0, **SMALL))
    assert rows.samples.unique().tolist() == [180] and own.LINEAR not in set(rows.method)
    with pytest.raises(ValueError, match="dataset"):
        own.own_data_cell("iris, symmetric", 0.1, 0)


def test_a_row_of_a_table_is_standardised_feature_by_feature():
    data = own._table_of_one_pixel_images("wine", 0)
    assert data.image_shape == (13, 1, 1) and data.n + data.n_test == 178
    x, _ = standardise(data.x, data.x_test)
    assert np.allclose(x[:, :, 0, 0].mean(0), 0, atol=1e-5) and np.allclose(x[:, :, 0, 0].std(0), 1, atol=1e-4)


def test_a_run_on_fewer_samples_has_as_many_steps():
    data = own.hold_out(add_label_noise(load_digit_classes(n_train=220), SymmetricNoise(0.2), seed=0), 20)
    setting = own.small_cnn_setting(4, own.Recipe(epochs=4, batch_size=20))
    task = own._Task(data, 20, setting.network, setting.recipe, {})
    assert own._trained(task, data, 0)[0].times[-1] == 4
    record, stop = own._trained(task, data.keep(np.arange(100)), 0)
    assert record.times[-1] == 8 and record.validation_observed_error[0, stop] == record.validation_observed_error.min()


@pytest.fixture
def human_files(tmp_path, monkeypatch):
    rng, n = random_stream(0, "small CIFAR-10"), 200
    arrays = {}
    for part, size in (("train", n), ("test", 40)):
        y = np.arange(size) % 10
        x = rng.integers(0, 120, (size, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(x, y):
            image[3 * label: 3 * label + 3] = 250
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(tmp_path / "cifar.npz", **arrays)
    true = arrays["y_train"]
    noisy = np.where(rng.random((5, n)) < 0.3, (true + 1) % 10, true)
    np.savez(tmp_path / "labels.npz", clean_label=true, **dict(zip(KINDS.values(), noisy)))
    monkeypatch.setenv(CIFAR10_VARIABLE, str(tmp_path / "cifar.npz"))
    monkeypatch.setenv(CIFAR10N_VARIABLE, str(tmp_path / "labels.npz"))


def test_human_labels_run_at_small_scale_and_no_row_hides_the_kind(human_files, monkeypatch):
    sizes = {"n_train": 120, "n_val": 40, "width": 4, "epochs": 3, "folds": 2}
    rows = pd.DataFrame(own.own_human_cell("worst", 0, **sizes))
    assert "kind" not in rows and rows.samples.unique().tolist() == [120]
    assert own.FOREST not in set(rows.method) and own.COMBINED in set(rows.method)
    monkeypatch.delenv(CIFAR10_VARIABLE)
    with pytest.raises(ValueError, match=CIFAR10_VARIABLE):
        own.own_human_cell("worst", 0, **sizes)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # cleanlab 2.9 with pandas 3
def test_cleanlabs_datalab_takes_what_out_of_fold_returns():
    """Its default audit finds most of the planted wrong labels from these probabilities alone."""
    from cleanlab import Datalab

    data = add_label_noise(load_digit_classes(n_train=300), SymmetricNoise(0.1), seed=0)
    p = out_of_fold(KNeighborsClassifier(7), data)
    lab = Datalab({"label": class_index(data.y_obs, 10)}, label_name="label", verbosity=0)
    lab.find_issues(pred_probs=p, issue_types={"label": {}})
    issues = lab.get_issues("label")
    assert len(issues) == data.n and data.flipped[issues.is_label_issue.to_numpy()].mean() > 0.6
    assert np.allclose(issues.label_score, p[np.arange(data.n), class_index(data.y_obs, 10)])
