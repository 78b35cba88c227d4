"""Arrays, tensors, tables of pandas and torch Datasets as labelled data; what can be read in two ways is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from helpers.data.images import LabelledFeatures, LabelledImages
from helpers.data.own_arrays import labelled_arrays, labelled_dataset

ROWS = np.arange(12.0).reshape(6, 2)
LABELS = [0, 1, 1, 0, 2, 2]
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 3, 5, 6), dtype=np.uint8)  # channels first


def test_rows_are_features_with_observed_labels_of_unknown_truth():
    data = labelled_arrays(ROWS, LABELS)
    assert isinstance(data, LabelledFeatures) and np.array_equal(data.x, ROWS) and data.name == "data"
    assert data.classes == ("0", "1", "2") and data.y_obs.tolist() == LABELS
    assert data.noise == {"kind": "unknown", "source": "labels as given"} and data.x_test is None


@pytest.mark.parametrize("x", [
    COLOURS, COLOURS.transpose(0, 2, 3, 1), torch.from_numpy(COLOURS), COLOURS / 255, (COLOURS / 255).tolist(),
    torch.from_numpy(COLOURS / np.float32(255)).requires_grad_(), list(COLOURS)])
def test_images_in_either_layout_as_bytes_or_shares_are_the_same_pixels(x):
    data = labelled_arrays(x, LABELS)
    assert isinstance(data, LabelledImages) and data.image_shape == (3, 5, 6)
    np.testing.assert_allclose(data.x, COLOURS / 255, rtol=1e-6)


def test_images_without_an_axis_of_channels_are_grey():
    data = labelled_arrays(COLOURS[:, 0], LABELS)
    assert data.image_shape == (1, 5, 6) and np.array_equal(data.x[:, 0], COLOURS[:, 0] / np.float32(255))


@pytest.mark.parametrize("shape", [(6, 3, 5, 3), (6, 5, 5, 5), (6, 1, 4, 4), (6, 2, 9, 9)])
def test_a_layout_that_can_be_read_in_two_ways_or_in_none_has_to_be_said(shape):
    x = RNG.random(shape)
    with pytest.raises(ValueError, match=r'x\.shape=.*layout="NCHW".*layout="NHWC"'):
        labelled_arrays(x, LABELS)
    assert np.array_equal(labelled_arrays(x, LABELS, layout="NCHW").x, np.float32(x))
    assert np.array_equal(labelled_arrays(x, LABELS, layout="NHWC").x, np.float32(x).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("labels", "classes"), [
    ([5, 6, 6, 5, 9, 9], ("5", "6", "9")), (np.uint8(LABELS), ("0", "1", "2")),
    ([-1, 0, 0, -1, 7, 7], ("-1", "0", "7")),
    (np.array(LABELS)[:, None], ("0", "1", "2")), (np.float64(LABELS), ("0", "1", "2")),
    (torch.tensor(LABELS), ("0", "1", "2")), (np.eye(3)[LABELS], ("0", "1", "2")),
    (np.eye(3, dtype=bool)[LABELS], ("0", "1", "2")), (torch.eye(3)[LABELS].bfloat16(), ("0", "1", "2")),
    (list("abbacc"), ("a", "b", "c")), (np.array(list("abbacc")), ("a", "b", "c")), (list("199100"[::-1]), None),
    (pd.Series(list("abbacc")), ("a", "b", "c")), (pd.Series(list("abbacc")).astype("category"), ("a", "b", "c")),
    (pd.DataFrame({"kind": LABELS}), ("0", "1", "2")), (pd.get_dummies(pd.Series(list("abbacc"))), ("a", "b", "c")),
    (np.array(list("abbacc"), dtype=np.dtypes.StringDType()), ("a", "b", "c")), (tuple("abbacc"), ("a", "b", "c")),
    (pd.Series(LABELS, dtype="Int64"), ("0", "1", "2")), (["2", "9", "9", "2", "10", "10"], ("2", "9", "10")),
    (np.array(["é", "ш", "ш", "é", "蛙", "蛙"], dtype=object), ("é", "ш", "蛙"))])
def test_labels_come_in_many_forms(labels, classes):
    data = labelled_arrays(ROWS, labels)
    if classes is not None:
        assert data.classes == classes and data.y_obs.tolist() == LABELS
    else:
        assert data.classes == ("0", "1", "9")


def test_two_classes_and_bools_are_minus_and_plus_one():
    for labels, names in (([True, False, True, True, False, False], ("False", "True")), ("yxyyxx", ("x", "y")),
                          ([2, 1, 2, 2, 1, 1], ("1", "2")), ([1, -1, 1, 1, -1, -1], ("-1", "1"))):
        data = labelled_arrays(ROWS, list(labels))
        assert data.classes == names and data.y_obs.tolist() == [1, -1, 1, 1, -1, -1]


@pytest.mark.parametrize(("labels", "classes", "expected"), [
    (LABELS, "xyz", LABELS), ([1, 2, 2, 1, 3, 3], "xyz", LABELS), ([0, 2, 2, 0, 2, 2], "xyz", [0, 2, 2, 0, 2, 2]),
    (list("zyyzxx"), "zyx", LABELS), (list("zyyzyy"), "zyx", [0, 1, 1, 0, 1, 1]), (np.eye(3)[LABELS], "xyz", LABELS),
    ([False, True, True, False, True, True], "xy", [-1, 1, 1, -1, 1, 1])])
def test_names_of_classes_say_their_order(labels, classes, expected):
    data = labelled_arrays(ROWS, labels, classes=list(classes))
    assert data.classes == tuple(classes) and data.y_obs.tolist() == expected


def test_true_labels_make_the_noise_known():
    data = labelled_arrays(ROWS, LABELS, true_labels=[0, 1, 1, 1, 2, 0], files=list("abcdef"))
    assert data.noise == {"kind": "given", "realised_flip_rate": 2 / 6} and data.truth_known
    assert data.y_obs.tolist() == LABELS and np.flatnonzero(data.flipped).tolist() == [3, 5]
    assert data.keep(data.flipped).noise["realised_flip_rate"] == 1 and data.files == tuple("abcdef")
    assert labelled_arrays(ROWS, LABELS, labels_are="true").noise == {}
    with pytest.raises(ValueError, match="labels_are='true'"):
        labelled_arrays(ROWS, LABELS, true_labels=LABELS, labels_are="true")


def test_a_class_that_nobody_observed_may_be_a_true_one():
    data = labelled_arrays(ROWS, list("abbabb"), true_labels=list("abbacc"))
    assert data.classes == ("a", "b", "c") and data.flipped.tolist() == [False] * 4 + [True] * 2


def test_test_labels_are_true_unless_said_otherwise():
    given = {"x_test": ROWS[:2] + 1, "labels_test": [2, 0]}
    data = labelled_arrays(ROWS, LABELS, **given)
    assert data.n_test_known == 2 and data.y_test.tolist() == data.y_test_obs.tolist() == [2, 0]
    assert np.array_equal(data.x_test, ROWS[:2] + 1)
    assert labelled_arrays(ROWS, LABELS, **given, labels_are_test="observed").n_test_known == 0


def test_test_images_are_read_in_the_layout_of_the_training_images():
    x = RNG.random((6, 3, 5, 9))
    x_test = RNG.random((2, 3, 5, 9))
    data = labelled_arrays(x, LABELS, x_test=x_test, labels_test=[0, 1])
    assert np.array_equal(data.x_test, np.float32(x_test))


def test_frames_of_mixed_and_of_nullable_numbers_are_rows():
    frame = pd.DataFrame({"a": pd.Series([1, 2, 3, 4, 5, 6], dtype="Int64"), "b": [True, False] * 3, "c": ROWS[:, 0]})
    assert labelled_arrays(frame, LABELS).x.tolist() == frame.astype(float).to_numpy().tolist()
    with pytest.raises(ValueError, match=r"x=.<columns \['kind'\]>"):
        labelled_arrays(frame.assign(kind="a"), LABELS)
    with pytest.raises(ValueError, match=r"no finite number at \[\[1, 0\]\]"):
        labelled_arrays(frame.assign(a=pd.Series([1, None, 3, 4, 5, 6], dtype="Int64")), LABELS)


def test_frame_and_labels_of_other_rows_are_refused():
    frame = pd.DataFrame(ROWS)
    labels = pd.Series(LABELS)
    assert labelled_arrays(frame, labels).n == 6 and labelled_arrays(frame, labels[::-1].to_numpy()).n == 6
    with pytest.raises(ValueError, match=r"labels.index=\[5, 4, 3, 2, 1\].*another sample"):
        labelled_arrays(frame, labels[::-1])


@pytest.mark.parametrize(("x", "message"), [
    (COLOURS.astype(float), "x=.*divide x by the value of white"), (COLOURS.astype(np.int64), "x=.*pass x as uint8"),
    (COLOURS / 127.5 - 1, "x=.*Normalize"), ((COLOURS > 99).astype(np.uint8), "x=.*pass x as float32"),
    (np.where(ROWS == 3, np.nan, ROWS), r"x=.*\[\[1, 1\]\], 1 in all"), (np.full((6, 2), np.inf), "x=.*12 in all"),
    (ROWS * 1e40, "x='<too large>'"), (ROWS.astype(complex), "x='<complex128>'"),
    (ROWS.astype(str), "x='<<U"), (np.array([[1, "a"]] * 6, dtype=object), "x='<object>'"),
    ([[1, 2], [3]], "x: must be an array whose rows are equally long"), (np.zeros((0, 2)), r"x.shape=\(0, 2\)"),
    (np.zeros(6), r"x.shape=\(6,\)"), (None, "x='<object>'"), (np.ma.masked_less(ROWS, 2), "masked"),
    (ROWS[:5], "labels='<6 labels>': must be 5")])
def test_samples_that_are_none_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        labelled_arrays(x, LABELS)


@pytest.mark.parametrize(("labels", "message"), [
    (np.eye(3)[LABELS] * 0.8 + 0.05, r"labels='<6 rows such as .*soft labels.*likeliest"),
    (np.eye(3)[LABELS] + np.eye(3)[0], "one-hot: a single 1"), ([0.1, 0.9, 0.2, 0.3, 1, 1], "labels=.*soft labels"),
    ([0, 1, np.nan, 1, 0, 0], r"labels='<\[nan\] at the positions \[2\]>"),
    (["a", "b", None, "b", "a", "a"], "None at position 2"),
    (["a", "b", np.nan, "b", "a", "a"], "nan at position 2"), (["a", 1, "b", "a", "b", "b"], "1 at position 1"),
    (pd.Series(["a", None, "b", "a", "b", "b"]), "at position 1"), ([1] * 6, r"labels=\[1\].*two classes"),
    (range(6), "6 different labels of 6 samples"), ([], "labels.shape"),
    (pd.array(["a", None, "b", "a", "b", "a"], dtype="string"), "at position 1"),
    (np.uint64([2**63] + [1] * 5), "2..63"),
    ([True, None, False, True, True, True], "None at position 1"), (3, "labels.shape"),
    (np.zeros((6, 2, 2)), "labels.shape"), (np.array([b"a", b"b"] * 3), r"labels='<\|S1>'"), (LABELS[:5], "labels=")])
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        labelled_arrays(ROWS, labels)


@pytest.mark.parametrize(("options", "message"), [
    ({"classes": ["a", "b"]}, r"classes=\('a', 'b'\).*3 names.*\[0, 1, 2\]"), ({"classes": "abc"}, "classes='abc'"),
    ({"classes": ["a", "a", "b"]}, "classes="), ({"classes": [1, 2, 3]}, "classes="),
    ({"layout": "CHW"}, "layout='CHW'"),
    ({"labels_are": "no"}, "labels_are='no'"), ({"labels_are_test": "no"}, "labels_are_test='no'"),
    ({"x_test": ROWS}, "labels_test=.*given alone|x_test="), ({"labels_test": LABELS}, "given with the other"),
    ({"x_test": ROWS[:, :1], "labels_test": LABELS}, "x_test.shape"),
    ({"x_test": ROWS, "labels_test": LABELS[:3]}, "labels_test='<3 labels>': must be 6"),
    ({"x_test": ROWS, "labels_test": [0, 1, 1, 0, 2, 3]}, r"labels_test=\[3\].*name all in `classes`"),
    ({"x_test": ROWS, "labels_test": list("abbacc")}, "labels_test='<strings>'.*whole numbers"),
    ({"true_labels": np.eye(3)[LABELS]}, "true_labels='<one-hot, 3 classes>'"),
    ({"true_labels": [0, 1]}, "true_labels="),
    ({"files": list("aabcde")}, "files=")])
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        labelled_arrays(ROWS, LABELS, **options)


class Listed(Dataset):
    """The pairs of a list, and names of classes."""

    def __init__(self, pairs, classes=None):
        self.pairs, self.classes = pairs, classes

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


def test_a_dataset_of_tensors_is_read_in_its_order():
    data = labelled_dataset(TensorDataset(torch.from_numpy(COLOURS), torch.tensor(LABELS)))
    assert data.name == "TensorDataset" and not data.truth_known and data.y_obs.tolist() == LABELS
    assert np.array_equal(data.x, COLOURS / np.float32(255))
    rows = labelled_dataset(TensorDataset(torch.from_numpy(ROWS), torch.tensor(LABELS)), name="rows", labels_are="true")
    assert isinstance(rows, LabelledFeatures) and rows.name == "rows" and rows.noise == {}


@pytest.mark.parametrize(("mode", "shape"), [
    ("RGB", (3, 4, 3)), ("L", (1, 4, 3)), ("P", (3, 4, 3)), ("RGBA", (3, 4, 3))])
def test_a_dataset_of_pictures_has_their_pixels(mode, shape):
    colour = Image.new("RGB", (3, 4), (255, 0, 0)).convert(mode)  # 3 wide: the channels are first all the same
    data = labelled_dataset(Listed([(colour, label) for label in "abba"]))
    assert data.image_shape == shape and data.classes == ("a", "b") and data.x[0].std((1, 2)).max() == 0
    np.testing.assert_allclose(data.x[0, :, 2, 2], [76 / 255] if mode == "L" else [1, 0, 0], atol=1e-6)


def test_what_is_transparent_in_a_dataset_lies_on_white():
    data = labelled_dataset(Listed([(Image.new("RGBA", (3, 4), (0, 0, 0, 0)), label) for label in "abba"]))
    assert data.x.min() == 1


def test_names_of_classes_come_from_the_dataset_if_its_labels_are_their_positions():
    pairs = list(zip(ROWS, LABELS))
    assert labelled_dataset(Listed(pairs, ["x", "y", "z"])).classes == ("x", "y", "z")
    assert labelled_dataset(Listed(pairs, ["x", "y", "z", "more"])).classes == ("x", "y", "z", "more")
    for other in (["x", "y"], [1, 2, 3], "xyz", None, ["x", "x", "y"]):
        assert labelled_dataset(Listed(pairs, other)).classes == ("0", "1", "2")
    assert labelled_dataset(Listed(pairs, ["x", "y", "z"]), classes=["p", "q", "r"]).classes == ("p", "q", "r")


def test_the_samples_of_a_dataset_may_have_names():
    pairs = list(zip(ROWS, LABELS))
    names = [f"s{i}" for i in range(len(pairs))]
    assert labelled_dataset(Listed(pairs), files=names).files == tuple(names)
    assert labelled_dataset(Listed(pairs)).files is None
    with pytest.raises(ValueError, match="files="):
        labelled_dataset(Listed(pairs), files=names[1:])


class Random(Listed):
    def __getitem__(self, i):
        return self.pairs[i][0] + RNG.random(2), self.pairs[i][1]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(ROWS, LABELS))


@pytest.mark.parametrize(("dataset", "message"), [
    (Stream(), "dataset='Stream'.*map-style"), (Listed([]), "dataset=.*not empty"), (None, "dataset='NoneType'"),
    (Listed([ROWS[0], ROWS[1]]), r"dataset\[0\]='<ndarray>': must be a pair"),
    (Listed([("path", 0)] * 2), r"dataset\[0\]"),
    (Listed([{"x": 1, "y": 2}] * 2), r"dataset\[0\]='<dict>'"),
    (Listed([(ROWS[0], 0), (ROWS[0][:1], 1)]), r"samples of the shapes \[\(1,\), \(2,\)\]"),
    (Random(list(zip(ROWS, LABELS))), r"dataset\[0\]='<another sample.*augment"),
    (Listed([(ROWS[0], "a"), (ROWS[1], None), (ROWS[1], "b")]), "labels=.*None at position 1"),
    (Listed([(ROWS[0], [1, 0]), (ROWS[1], 1)]), r"label of dataset\[1\]"),
    (Listed([(Image.new("I;16", (4, 4), 900), i) for i in (0, 1, 1)]), "x=.*uint16 from 900"),
    (Listed([(COLOURS[0] / 99 - 1, i) for i in (0, 1, 1)]), "x=.*Normalize")])
def test_datasets_that_cannot_be_read_are_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        labelled_dataset(dataset)
