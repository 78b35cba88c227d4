"""Images: the digits, CIFAR-10 from an .npz and from torchvision's files, and refusals that say what to put where."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from image_files import Bomb, fake_cifar, save_npz, torchvision_files
from sklearn import datasets

from helpers.data.datasets import CIFAR10_VARIABLE, load_cifar10_pair, load_digits, load_two_class_dataset
from helpers.data.images import LabelledImages, class_index, class_labels, shrink_images, two_class_images


def assert_is_the_pair(data, arrays):
    """`data` holds the images with labels 0 (-1) and 1 (+1) of `arrays`, in their order, channels first."""
    assert data.name == "CIFAR-10 images" and data.classes == ("airplane", "automobile")
    for part, x, y in (("train", data.x, data.y), ("test", data.x_test, data.y_test)):
        chosen = arrays[f"y_{part}"] < 2
        assert np.array_equal(y, np.where(arrays[f"y_{part}"][chosen] == 1, 1.0, -1.0))
        assert np.array_equal(np.rint(x.transpose(0, 2, 3, 1) * 255), arrays[f"x_{part}"][chosen])
        assert x.dtype == np.float32 and x.shape[1:] == (3, 32, 32)


def test_digits_are_scikit_learns_even_against_odd():
    data = load_digits()
    assert data.x.shape == (1000, 1, 8, 8) and data.x_test.shape == (797, 1, 8, 8)
    bunch = datasets.load_digits()
    number = {(16 * image.astype(np.float32) / 16).tobytes(): digit for image, digit in zip(bunch.images, bunch.target)}
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        digits = np.array([number[(16 * image[0]).tobytes()] for image in x])
        assert np.array_equal(y, np.where(digits % 2 == 1, 1.0, -1.0))
        assert abs((y > 0).mean() - 0.5) < 0.05 and set(digits) == set(range(10))
    assert not data.flipped.any() and data.noise == {}


def test_split_of_the_digits_is_a_partition_fixed_by_its_seed():
    data, again, other = load_digits(), load_digits(), load_digits(seed=1)
    assert np.array_equal(data.x, again.x) and not np.array_equal(data.x, other.x)
    whole = np.sort(datasets.load_digits().data.astype(np.float32) / 16, axis=0)
    parts = np.concatenate([data.x, data.x_test]).reshape(-1, 64)
    assert np.array_equal(np.sort(parts, axis=0), whole)


def test_subset_keeps_pixels_and_labels_together():
    data = load_digits()
    part = data.subset(100, seed=3)
    assert part.n == 100 and np.array_equal(part.x_test, data.x_test)
    label = {image.tobytes(): y for image, y in zip(data.x, data.y)}
    assert [label[image.tobytes()] for image in part.x] == part.y.tolist()
    assert np.array_equal(data.subset(100, seed=3).x, part.x) and not np.array_equal(data.subset(100, seed=4).x, part.x)
    assert np.array_equal(data.subset(data.n).x, data.x)
    with pytest.raises(ValueError, match="n_train=1001"):
        data.subset(1001)


def test_digits_by_default_and_cifar10_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.delenv(CIFAR10_VARIABLE, raising=False)
    assert load_two_class_dataset().name == "handwritten digits"
    monkeypatch.setenv(CIFAR10_VARIABLE, str(save_npz(tmp_path / "cifar10.npz")))
    assert_is_the_pair(load_two_class_dataset(), fake_cifar())


def test_npz_labels_may_stand_in_a_column(tmp_path):
    arrays = fake_cifar()
    path = save_npz(tmp_path / "keras.npz", y_train=arrays["y_train"][:, None], y_test=arrays["y_test"][:, None])
    assert_is_the_pair(load_cifar10_pair(path), arrays)


def test_torchvisions_own_files_give_the_same_pair(tmp_path, monkeypatch):
    root, arrays = torchvision_files(tmp_path / "data", monkeypatch)
    assert_is_the_pair(load_cifar10_pair(root), arrays)
    save_npz(tmp_path / "same.npz")
    assert np.array_equal(load_cifar10_pair(root).x, load_cifar10_pair(tmp_path / "same.npz").x)


def test_damaged_torchvision_files_are_refused(tmp_path, monkeypatch):
    root, _ = torchvision_files(tmp_path / "data", monkeypatch)
    batch = root / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10=.*corrupted"):
        load_cifar10_pair(root)


def test_an_empty_folder_and_a_missing_path_say_what_to_put_where(tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "nowhere.npz"):
        monkeypatch.setenv(CIFAR10_VARIABLE, str(path))
        with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10=.*x_train.*torchvision") as error:
            load_two_class_dataset()
        assert str(path) in str(error.value)


def test_truncated_and_foreign_files_are_refused(tmp_path):
    whole = save_npz(tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    foreign = {"empty": b"", "text": b"not an archive", "half": whole[: len(whole) // 2], "cut": whole[:-10],
               "spoilt": whole[:500] + bytes(500) + whole[1000:], "npy": (tmp_path / "one.npy").read_bytes()}
    for name, content in foreign.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10=.*must be the path"):
            load_cifar10_pair(path)


def test_npz_with_pickled_objects_is_refused_unread(tmp_path):
    mark = tmp_path / "executed"
    path = save_npz(tmp_path / "bomb.npz", x_train=np.array([Bomb(mark)], dtype=object))
    with pytest.raises(ValueError, match="SIGNAL_FIRST_CIFAR10"):
        load_cifar10_pair(path)
    assert not mark.exists()


@pytest.mark.parametrize(("changes", "message"), [
    ({"x_test": None}, "x_test"),
    ({"x_train": fake_cifar()["x_train"].astype(np.float32)}, "x_train=.*uint8"),
    ({"x_train": fake_cifar()["x_train"].transpose(0, 3, 1, 2)}, r"x_train=.*\(n, 32, 32, 3\)"),
    ({"x_train": fake_cifar()["x_train"][:-1]}, "y_train"),
    ({"x_train": np.zeros((), np.uint8)}, "x_train"),
    ({"y_test": fake_cifar()["y_test"].astype(float)}, "y_test=.*integers"),
    ({"y_test": np.full(30, 10, np.uint8)}, r"y_test=\[10\].*0 to 9"),
    ({"y_train": np.full(60, -1)}, r"y_train=\[-1\].*0 to 9"),
    ({"y_train": np.full(60, 1, np.uint8)}, r"y_train=\[1\].*0 and 1"),
])
def test_arrays_that_are_not_cifar10s_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load_cifar10_pair(save_npz(tmp_path / "bad.npz", **changes))


@pytest.mark.parametrize(("changes", "message"), [
    ({"x": np.zeros((4, 8, 8))}, "x.shape"), ({"x": np.zeros((0, 1, 8, 8))}, "x.shape"),
    ({"x": np.full((4, 1, 8, 8), 2.0)}, "x=.*from 2.0"), ({"x": np.full((4, 1, 8, 8), np.nan)}, "x="),
    ({"x_test": np.zeros((2, 1, 4, 4))}, "x_test.shape"), ({"y": np.zeros(4)}, "y="), ({"y": np.ones(3)}, "y.shape"),
    ({"y_obs": np.ones(5)}, "y_obs.shape"), ({"y_test_obs": np.array([0.0, 1.0])}, "y_test_obs"),
    ({"classes": ("one",)}, "classes"), ({"classes": ("one", "one")}, "classes"), ({"classes": "no"}, "classes"),
    ({"classes": ("a", "b", "c"), "y": np.array([0, 1, 2, 3])}, r"y=\[3.0\].*0 to 2"),
    ({"classes": ("a", "b", "c"), "y_obs": np.array([0, 1, 2, -1])}, r"y_obs=\[-1.0\].*0 to 2"),
    ({"classes": ("a", "b", "c"), "y_test": np.array([0, 1.5])}, r"y_test=\[1.5\].*whole"),
    ({"classes": ("a", "b", "c"), "y": np.zeros(3)}, "y.shape")])
def test_bad_images_and_labels_are_named(changes, message):
    good = {"name": "", "classes": ("no", "yes"), "x": np.zeros((4, 1, 8, 8)), "y": np.ones(4),
            "x_test": np.zeros((2, 1, 8, 8)), "y_test": np.ones(2)}
    LabelledImages(**good)
    with pytest.raises(ValueError, match=message):
        LabelledImages(**(good | changes))


@pytest.mark.parametrize("n_train", [0, 1797, 10.5])
def test_split_sizes_of_the_digits_are_checked(n_train):
    with pytest.raises(ValueError, match="n_train"):
        load_digits(n_train=n_train)


THREE = ("a", "b", "c")


def three_classes(n=30, seed=0):
    """Images whose only pixel tells the class, and observed labels of which every fifth is the next class."""
    y = np.random.default_rng(seed).integers(0, 3, n)
    x, y_obs = (y / 2).reshape(-1, 1, 1, 1), np.where(np.arange(n) % 5 == 0, (y + 1) % 3, y)
    noise = {"kind": "made", "realised_flip_rate": float((y != y_obs).mean())}
    return LabelledImages("made", THREE, x, y, x[:9], y[:9], y_obs, y_obs[:9], noise)


def test_more_than_two_classes_have_the_positions_of_their_names_as_labels():
    data = three_classes()
    assert data.n_classes == 3 and load_digits().n_classes == 2
    for labels in (data.y, data.y_obs, data.y_test, data.y_test_obs):
        assert labels.dtype == np.int64 and set(labels) <= {0, 1, 2}
    assert np.array_equal(data.flipped, np.arange(30) % 5 == 0)
    from_lists = LabelledImages("", list(THREE), data.x, data.y.astype(float), data.x_test, data.y_test.tolist())
    assert from_lists.classes == THREE and np.array_equal(from_lists.y_obs, data.y) and from_lists.y.dtype == np.int64


def test_the_realised_rate_of_a_subset_is_its_own():
    data = three_classes()
    part = data.subset(7, seed=2)
    assert part.noise == {"kind": "made", "realised_flip_rate": part.flipped.mean()} != data.noise
    assert np.array_equal(np.rint(2 * part.x.ravel()), part.y)
    assert three_classes().subset(7).noise["kind"] == "made" and load_digits().subset(7).noise == {}


@given(st.integers(2, 12), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_class_index_and_class_labels_are_inverse(k, numbers):
    index = np.array(numbers) % k
    labels = class_labels(index, k)
    assert labels.dtype == (np.float64 if k == 2 else np.int64)
    assert set(labels) <= ({-1, 1} if k == 2 else set(range(k)))
    for given_labels in (labels, labels.astype(float), labels.tolist(), labels[None]):
        back = class_index(given_labels, k)
        assert back.dtype == np.int64 and np.array_equal(back.ravel(), index)


def test_two_classes_stand_in_the_order_minus_plus():
    assert class_index([-1.0, 1.0], 2).tolist() == [0, 1] and class_labels(np.array([0, 1]), 2).tolist() == [-1, 1]


@pytest.mark.parametrize(("function", "labels", "k", "name"), [
    (class_index, [0, 1], 2, r"y=\[0\].*-1 or \+1"), (class_index, [-1, 1], 3, r"y=\[-1\].*0 to 2"),
    (class_index, [0.5], 3, "y="), (class_index, [np.nan], 3, "y="), (class_index, ["a"], 3, "y="),
    (class_index, [0], 1, "n_classes"), (class_labels, [0.0], 3, "index"), (class_labels, [3], 3, r"index=\[3\]"),
    (class_labels, [-1], 2, "index")])
def test_labels_of_the_wrong_convention_are_named(function, labels, k, name):
    with pytest.raises(ValueError, match=name):
        function(labels, k)


def test_two_of_many_classes_keep_images_labels_and_noise_together():
    data = three_classes(300)
    two = two_class_images(data, "c", "a")
    assert two.name == "made: c against a" and two.classes == ("c", "a") and two.y.dtype == np.float64
    kept = (data.y != 1) & (data.y_obs != 1)
    assert np.array_equal(two.y, np.where(data.y[kept] == 0, 1.0, -1.0))
    assert np.array_equal(two.y_obs, np.where(data.y_obs[kept] == 0, 1.0, -1.0))
    assert np.array_equal(two.x, data.x[kept])
    assert len(two.y_test) == ((data.y_test != 1) & (data.y_test_obs != 1)).sum()
    assert 0 < two.noise["realised_flip_rate"] == two.flipped.mean() and two.noise["kind"] == "made"


def test_groups_of_classes_become_one():
    data = three_classes(300)
    two = two_class_images(data, ("a", "b"), "c")
    assert two.n == data.n and two.classes == ("a, b", "c")
    assert np.array_equal(two.y > 0, data.y == 2) and np.array_equal(two.y_obs > 0, data.y_obs == 2)
    # a wrong label inside the group is no wrong label any more
    assert two.flipped.sum() == (data.flipped & ((data.y == 2) | (data.y_obs == 2))).sum()


@pytest.mark.parametrize(("negative", "positive", "message"), [
    ("a", "z", "positive='z'.*'a', 'b', 'c'"), ("a", ("b", "a"), "positive=.*not in `negative`"),
    ((), "a", "negative"), (0, "a", "negative=0"), (["a"], "b", "negative")])
def test_classes_that_are_not_there_are_named(negative, positive, message):
    with pytest.raises(ValueError, match=message):
        two_class_images(three_classes(), negative, positive)


def test_a_pair_without_images_is_refused():
    data = three_classes()
    kept = data.y == 0
    with pytest.raises(ValueError, match=r"data='made'.*b and c"):
        two_class_images(LabelledImages("made", THREE, data.x[kept], data.y[kept], data.x, data.y[:30]), "b", "c")


def test_variable_is_the_documented_one():
    assert CIFAR10_VARIABLE == "SIGNAL_FIRST_CIFAR10"


def test_shrunk_averages_squares():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) / 16
    data = LabelledImages("t", ("a", "b"), x, [1.0], x, [1.0])
    assert np.allclose(shrink_images(data, 2).x[0, 0], np.array([[2.5, 4.5], [10.5, 12.5]]) / 16)
    with pytest.raises(ValueError, match="side=3: must be a divisor of 4"):
        shrink_images(data, 3)
