"""Labelled data in general: rows of features, data without a test set, names of samples and what is known of labels."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.data.images import LabelledData, LabelledFeatures, LabelledImages, two_class_images
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import InstanceDependentNoise, PairFlipNoise
from helpers.data.subsets import hold_out, keep_samples

THREE = ("a", "b", "c")
UNKNOWN = {"kind": "unknown", "source": "made"}


def features(n=60, n_test=0, classes=THREE, **fields):
    """Class by class, a row (position, class); each sample is called by its position."""
    y = np.arange(n) * 3 // n
    x = np.stack([np.arange(n), y], 1)
    test = {"x_test": x[::n // n_test][:n_test], "y_test": y[::n // n_test][:n_test]} if n_test else {}
    return LabelledFeatures("made", classes, x, y, **{"files": tuple(map(str, range(n)))} | test | fields)


def assert_named_by_position(data):
    assert data.files == tuple(f"{row[0]:.0f}" for row in data.x) and np.array_equal(data.x[:, 1], data.y)


def test_features_are_rows_with_labels_and_names():
    data = features(n_test=6)
    assert isinstance(data, LabelledData) and data.x.dtype == np.float32 and data.x.shape == (60, 2)
    assert (data.n, data.n_test, data.n_test_known, data.n_classes) == (60, 6, 6, 3) and data.truth_known
    assert np.array_equal(data.y_obs, data.y) and data.y.dtype == np.int64 and not data.flipped.any()


@pytest.mark.parametrize(("changes", "message"), [
    ({"x": np.zeros((4, 1, 2, 2))}, r"x\.shape=\(4, 1, 2, 2\): must be \(n, p\)"), ({"x": np.zeros(4)}, r"x\.shape"),
    ({"x": np.zeros((4, 0))}, r"x\.shape"),
    ({"x": np.array([[0, 1], [2, np.nan], [0, 0], [0, 0]])}, r"x=.*\[\[1, 1\]\]"),
    ({"x": np.full((4, 2), np.inf)}, r"x=.*\[\[0, 0\], \[0, 1\], \[1, 0\]\]"),
    ({"x_test": np.zeros((2, 3)), "y_test": [1, -1]}, r"x_test\.shape=\(2, 3\): must be \(n_test, 2\)"),
    ({"y_test": [1, -1]}, "y_test='<labels>': must be None"), ({"y_test_obs": [1, -1]}, "y_test_obs=.*None"),
    ({"n_test_true": 1}, "n_test_true=1: must be an integer >= 0 and <= 0"), ({"n_test_true": -1}, "n_test_true=-1"),
    ({"x_test": np.zeros((2, 2)), "y_test": [1, -1], "n_test_true": 3}, "n_test_true=3.*<= 2"),
    ({"x_test": np.zeros((2, 2))}, "y_test"), ({"x_test": np.zeros((0, 2)), "y_test": []}, r"x_test\.shape")])
def test_features_that_do_not_fit_are_named(changes, message):
    good = {"name": "", "classes": ("no", "yes"), "x": np.zeros((4, 2)), "y": [1, -1, 1, -1]}
    LabelledFeatures(**good)
    with pytest.raises(ValueError, match=message):
        LabelledFeatures(**good | changes)


@pytest.mark.parametrize(("files", "message"), [
    (("p", "q", "p"), r"files=\['p'\].*each is another"), (("p", "q"), "files=.*3 strings"),
    (("p", "q", 3), "3 strings"),
    ("pqr", "3 strings"), (3, "3 strings")])
def test_names_of_samples_are_different_strings_one_for_each(files, message):
    with pytest.raises(ValueError, match=message):
        features(3, files=files)


def test_the_general_kind_says_that_it_needs_a_sample():
    with pytest.raises(NotImplementedError, match="LabelledImages and LabelledFeatures"):
        LabelledData("", ("a", "b"), np.zeros((2, 2)), [1, -1])


def test_names_stay_with_their_samples_through_every_cut():
    data = features(n_test=6)
    mask = data.x[:, 0] % 7 == 0
    for cut in (data.keep(mask), data.keep(np.flatnonzero(mask)), keep_samples(data, mask)):
        assert_named_by_position(cut)
        assert cut.files == ("0", "7", "14", "21", "28", "35", "42", "49", "56") and cut.n_test == 6
    assert_named_by_position(data.keep(np.array([50, 3, 7])))
    assert data.keep(np.array([50, 3, 7])).files == ("50", "3", "7")
    for cut in (data.subset(9, seed=1), hold_out(data, 9, seed=1), hold_out(data, 9)):
        assert_named_by_position(cut)
    assert features(files=None).keep(mask).files is None


def test_two_of_many_classes_keep_names_and_the_count_of_true_test_labels():
    data = features(n_test=6, n_test_true=5)  # test samples 0, 10, ..., 50: two of each class, of b all true
    for names, known in ((("a", "c"), 3), (("a", "b"), 4)):
        two = two_class_images(data, *names)
        assert two.n_test == 4 and two.n_test_known == known
        assert two.files == tuple(f"{row[0]:.0f}" for row in two.x)
        assert np.array_equal(two.y > 0, two.x[:, 1] == THREE.index(names[1]))
    without = two_class_images(features(), "a", "c")
    assert without.n == 40 and without.x_test is None and without.n_test_known == 0


def test_what_nobody_knows_is_refused_and_stays_unknown():
    data = features(noise=UNKNOWN)
    assert not data.truth_known and not data.subset(9).truth_known and not hold_out(data, 9).truth_known
    with pytest.raises(ValueError, match="noise kind='unknown'"):
        _ = data.flipped
    with pytest.raises(ValueError, match=r"data='made'.*true labels, of training and of test samples, are known"):
        add_label_noise(data, 0.2, seed=0)
    with pytest.raises(ValueError, match="data='made'"):  # of the test set, too
        add_label_noise(features(n_test=6, n_test_true=5), 0.2, seed=0)


def test_another_test_set_takes_the_place_of_the_old_one():
    data = features(n_test=6)
    fewer = replace(data, **{name: getattr(data, name)[:2] for name in ("x_test", "y_test", "y_test_obs")})
    assert fewer.n_test == fewer.n_test_known == 2


def test_held_out_samples_are_the_whole_test_set_where_there_is_none():
    held = hold_out(features(), 20)
    assert held.n == 40 and held.n_test == 20 and held.x_test[:, 0].tolist() == list(range(40, 60))


@pytest.mark.parametrize(("fields", "n_test_true"), [
    ({"n_test": 6}, 15), ({}, 9), ({"n_test": 6, "noise": UNKNOWN}, 6), ({"noise": UNKNOWN}, 0),
    ({"n_test": 6, "n_test_true": 4}, 4), ({"n_test": 6, "n_test_true": 0, "noise": UNKNOWN}, 0)])
def test_held_out_samples_count_as_true_only_where_the_truth_is_known(fields, n_test_true):
    held = hold_out(features(**fields), 9, seed=0)
    assert held.n_test_known == n_test_true and held.n_test == fields.get("n_test", 0) + 9


def test_a_draw_holds_out_of_all_classes_and_the_last_samples_are_of_one():
    data = features()
    assert set(hold_out(data, 15).y_test) == {2}
    drawn, again, other = (hold_out(data, 15, seed=seed) for seed in (0, 0, 1))
    assert set(drawn.y_test) == {0, 1, 2} and np.array_equal(drawn.x_test, again.x_test)
    assert not np.array_equal(drawn.x_test, other.x_test)
    assert sorted([*drawn.x[:, 0], *drawn.x_test[:, 0]]) == list(range(60))
    with pytest.raises(ValueError, match="seed=-1"):
        hold_out(data, 15, seed=-1)


def test_held_out_samples_bring_their_observed_labels():
    data = features(n_test=6, y_obs=np.roll(np.arange(60) * 3 // 60, 30), noise={"kind": "given"})
    held = hold_out(data, 12, seed=3)
    assert held.y_test_obs[:6].tolist() == data.y_test.tolist()
    position = held.x_test[6:, 0].astype(int)
    assert np.array_equal(held.y_test_obs[6:], data.y_obs[position])
    assert np.array_equal(held.y_test[6:], data.y[position])


@pytest.mark.parametrize("noise", [0.3, PairFlipNoise(0.3)])
def test_noise_is_put_on_features_and_on_data_without_a_test_set(noise):
    noisy, tested = add_label_noise(features(), noise, seed=0), add_label_noise(features(n_test=6), noise, seed=0)
    assert isinstance(noisy, LabelledFeatures) and noisy.x_test is None and noisy.y_test_obs is None
    assert 0.1 < noisy.noise["realised_flip_rate"] == noisy.flipped.mean() < 0.5 and noisy.files == features().files
    assert np.array_equal(noisy.y_obs, tested.y_obs) and tested.y_test_obs.shape == (6,)


def test_noise_that_looks_at_the_sample_is_put_on_features():
    noisy = add_label_noise(features(300), InstanceDependentNoise(0.3), seed=0)
    assert 0.15 < noisy.flipped.mean() < 0.45


def test_images_without_a_test_set_are_cut_and_relabelled_as_others_are():
    x = np.linspace(0, 1, 60).reshape(60, 1, 1, 1)
    data = LabelledImages("greys", ("dark", "bright"), x, np.repeat([-1, 1], 30), files=tuple(map(str, range(60))))
    noisy = add_label_noise(data, 0.2, seed=0).subset(30, seed=0)
    assert noisy.n == 30 and noisy.n_test == 0 and noisy.x_test is None
    assert [round(pixel * 59) for pixel in noisy.x.ravel()] == list(map(int, noisy.files))
    assert noisy.noise["realised_flip_rate"] == noisy.flipped.mean() > 0
    assert replace(noisy, name="other").files == noisy.files


@pytest.mark.parametrize("kept", [np.array([0, -1]), np.array([60]), np.ones(59, bool), np.zeros(60, bool),
                                  np.array([], int)])
def test_samples_to_be_kept_are_among_those_that_there_are(kept):
    with pytest.raises(ValueError, match=r"^kept"):
        features().keep(kept)


@pytest.mark.parametrize("x", [np.full((2, 2), 1j), [["a", "b"], ["c", "d"]], [[1.0], [1.0, 2.0]], object(), "text"])
def test_samples_that_are_no_real_numbers_are_named(x):
    with pytest.raises(ValueError, match=r"^x=.*real numbers"):
        LabelledFeatures("made", ("a", "b"), x, [-1, 1])
    with pytest.raises(ValueError, match=r"^x_test=.*real numbers"):
        LabelledFeatures("made", ("a", "b"), [[1.0, 2.0]] * 2, [-1, 1], x, [-1, 1])


def test_float32_samples_are_not_copied():
    data = features()
    assert replace(data, name="other").x is data.x
