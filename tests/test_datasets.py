"""Loaders of image data: what they read from small files in each layout, and refusals that say what to put where."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import pickle
import socket
import struct
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from test_images import Bomb, fake_cifar, save_npz, torchvision_files

from helpers import files as downloads
from helpers.data import cifar10n as human_labels
from helpers.data.array_files import CIFAR10_CLASSES
from helpers.data.cifar10n import (
    CIFAR10N_VARIABLE,
    KINDS,
    LABEL_ARRAYS,
    human_labels as add_human_labels,
    load_cifar10n,
)
from helpers.data.datasets import (
    CIFAR100_CLASSES,
    load_cifar10,
    load_cifar100,
    load_digit_classes,
    load_image_classes,
    load_mnist,
    load_npz,
)
from helpers.data.image_folders import load_clothing1m, load_folder, load_webvision
from helpers.data.images import CIFAR10_VARIABLE, as_two_classes, load_cifar10_pair, load_digits
from helpers.data.label_noise import empirical_transition
from helpers.data.torchvision_import import import_torchvision
from helpers.files import fetch_file, sha256_of


def assert_holds(data, arrays):
    """`data` has the images and labels of `arrays` in their order, channels first."""
    for part, x, y in (("train", data.x, data.y), ("test", data.x_test, data.y_test)):
        images = arrays[f"x_{part}"]
        images = images[..., None] if images.ndim == 3 else images
        assert np.array_equal(np.rint(x.transpose(0, 2, 3, 1) * 255), images) and x.dtype == np.float32
        assert np.array_equal(y, arrays[f"y_{part}"]) and y.dtype == np.int64
    assert not data.flipped.any() and data.noise == {}


# digits and .npz files


def test_ten_digits_are_the_even_and_odd_ones_in_the_same_places():
    ten, two = load_digit_classes(), load_digits()
    assert ten.classes == tuple("0123456789") and ten.n == 1000 and set(ten.y) == set(range(10))
    pair = as_two_classes(ten, tuple("02468"), tuple("13579"))
    for name in ("x", "y", "x_test", "y_test"):
        assert np.array_equal(getattr(pair, name), getattr(two, name))
    assert load_digit_classes(n_train=500, seed=3).n == 500
    with pytest.raises(ValueError, match="n_train=1797"):
        load_digit_classes(n_train=1797)


def test_image_classes_are_digits_by_default_and_cifar10_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.delenv(CIFAR10_VARIABLE, raising=False)
    assert load_image_classes().name == "ten digits"
    monkeypatch.setenv(CIFAR10_VARIABLE, str(save_npz(tmp_path / "cifar10.npz")))
    assert load_image_classes().name == "CIFAR-10"
    assert_holds(load_image_classes(), fake_cifar())
    monkeypatch.setenv(CIFAR10_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10=.*x_train.*torchvision"):
        load_image_classes()


def test_cifar10_of_an_npz_file_and_its_pair(tmp_path):
    path = save_npz(tmp_path / "cifar10.npz")
    data, pair = load_cifar10(path), load_cifar10_pair(path)
    assert data.classes == CIFAR10_CLASSES and data.image_shape == (3, 32, 32)
    assert_holds(data, fake_cifar())
    chosen = as_two_classes(data, "airplane", "automobile")
    for name in ("x", "y", "x_test", "y_test"):
        assert np.array_equal(getattr(chosen, name), getattr(pair, name))


def test_cifar100_and_mnist_of_npz_files(tmp_path):
    labels = {f"y_{part}": np.arange(size) % 100 for part, size in (("train", 60), ("test", 30))}
    data = load_cifar100(save_npz(tmp_path / "c.npz", **labels))
    assert data.n_classes == 100 == len(set(CIFAR100_CLASSES)) and list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)
    assert_holds(data, fake_cifar() | labels)
    grey = {name: x[..., :28, :28, 0] for name, x in fake_cifar().items() if name.startswith("x")}
    data = load_mnist(save_npz(tmp_path / "m.npz", **grey))
    assert data.image_shape == (1, 28, 28) and data.name == "MNIST"
    assert_holds(data, fake_cifar() | grey)
    with pytest.raises(ValueError, match=r"x_train=.*\(n, 28, 28\)"):
        load_mnist(tmp_path / "c.npz")
    with pytest.raises(ValueError, match=r"y_train=\[10, 11"):
        load_cifar10(tmp_path / "c.npz")


def test_any_npz_file_gives_its_own_classes(tmp_path):
    small = {f"x_{part}": np.random.default_rng(0).integers(0, 256, (size, 5, 4, 2), np.uint8)
             for part, size in (("train", 9), ("test", 6))}
    small |= {"y_train": np.arange(9) % 3, "y_test": np.arange(6) % 3}
    path = save_npz(tmp_path / "shapes.npz", **small)
    data = load_npz(path)
    assert data.name == "shapes" and data.classes == ("0", "1", "2") and data.image_shape == (2, 5, 4)
    assert_holds(data, small)
    assert load_npz(path, name="forms", classes=("a", "b", "c", "never seen")).n_classes == 4
    pair = load_npz(save_npz(tmp_path / "two.npz", **small | {"y_train": np.arange(9) % 2, "y_test": np.arange(6) % 2}))
    assert np.array_equal(pair.y, np.where(np.arange(9) % 2 == 1, 1.0, -1.0)) and pair.classes == ("0", "1")
    with pytest.raises(ValueError, match=r"classes=.*\[2\]"):
        load_npz(path, classes=("a", "b"))


@pytest.mark.parametrize("load", [load_npz, load_cifar10, load_cifar100, load_mnist])
def test_missing_damaged_and_pickled_npz_files_are_refused(load, tmp_path):
    whole = save_npz(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "spoilt.npz").write_bytes(whole[:500] + bytes(500) + whole[1000:])
    save_npz(tmp_path / "bomb.npz", x_train=np.array([Bomb(tmp_path / "executed")], dtype=object))
    save_npz(tmp_path / "lacking.npz", y_test=None)
    for name in ("nowhere", "half", "spoilt", "bomb", "lacking"):
        with pytest.raises(ValueError, match=r"(path|folder)=.*npz.*x_train, y_train, x_test, y_test") as error:
            load(tmp_path / f"{name}.npz")
        assert f"{name}.npz" in str(error.value)
    assert not (tmp_path / "executed").exists()


# torchvision's files


def idx_file(array):
    """The bytes of MNIST's file format: a magic number, the sizes, and the values."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_files(root, monkeypatch):
    """Fill `root` with small files in MNIST's layout, packed and unpacked, and let torchvision expect their sums."""
    folder, arrays, resources = root / "MNIST" / "raw", {}, []
    folder.mkdir(parents=True)
    for part, prefix, size in (("train", "train", 40), ("test", "t10k", 20)):
        arrays[f"x_{part}"] = np.random.default_rng(size).integers(0, 256, (size, 28, 28), np.uint8)
        arrays[f"y_{part}"] = (np.arange(size) % 10).astype(np.uint8)
        for name, array in ((f"{prefix}-images-idx3-ubyte", arrays[f"x_{part}"]),
                            (f"{prefix}-labels-idx1-ubyte", arrays[f"y_{part}"])):
            (folder / name).write_bytes(idx_file(array))
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_file(array)))
            resources.append((f"{name}.gz", hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest()))
    monkeypatch.setattr(import_torchvision().datasets.MNIST, "resources", resources)
    return folder, arrays


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt of torchvision's to open an address fails as it does without a network."""
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")
    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def test_mnist_of_torchvisions_files(tmp_path, monkeypatch, no_network):
    folder, arrays = mnist_files(tmp_path, monkeypatch)
    assert_holds(load_mnist(tmp_path), arrays)
    for file in folder.glob("*ubyte"):
        file.unlink()
    assert_holds(load_mnist(tmp_path, download=True), arrays)  # the packed files, put there by hand, are enough
    for file in folder.glob("*.gz"):
        file.unlink()
    assert_holds(load_mnist(tmp_path), arrays)  # and so are the unpacked ones


def test_damaged_mnist_files_are_found_by_their_checksums(tmp_path, monkeypatch):
    folder, _ = mnist_files(tmp_path, monkeypatch)
    images, packed = folder / "train-images-idx3-ubyte", folder / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one wrong bit, which torchvision does not see
    with pytest.raises(ValueError, match=r"folder=.*train-images-idx3-ubyte'.*damaged"):
        load_mnist(tmp_path)
    images.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=r"folder=.*torchvision says"):
        load_mnist(tmp_path)
    images.write_bytes(whole)
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"folder=.*ubyte.gz'.*MD5.*damaged"):
        load_mnist(tmp_path)


def test_cifar10_of_torchvisions_files(tmp_path, monkeypatch):
    root, arrays = torchvision_files(tmp_path / "data", monkeypatch)
    assert_holds(load_cifar10(root), arrays)
    batch = root / "cifar-10-batches-py" / "test_batch"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"path=.*torchvision.*corrupted"):
        load_cifar10(root)


def test_cifar100_of_torchvisions_files(tmp_path, monkeypatch):
    folder, dataset = tmp_path / "cifar-100-python", import_torchvision().datasets.CIFAR100
    folder.mkdir()
    arrays = fake_cifar() | {"y_train": np.arange(60) % 100, "y_test": np.arange(30) % 100}
    contents = {part: {"data": arrays[f"x_{part}"].transpose(0, 3, 1, 2).reshape(-1, 3072),
                       "fine_labels": arrays[f"y_{part}"].tolist()} for part in ("train", "test")}
    contents["meta"] = {"fine_label_names": list(CIFAR100_CLASSES)}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in contents}
    monkeypatch.setattr(dataset, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(dataset, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": sums["meta"]})
    assert_holds(load_cifar100(tmp_path), arrays)


def test_an_archive_put_there_by_hand_is_unpacked_without_a_network(tmp_path, monkeypatch, no_network):
    root, arrays = torchvision_files(tmp_path / "elsewhere", monkeypatch)
    place, dataset = tmp_path / "here", import_torchvision().datasets.CIFAR10
    place.mkdir()
    archive = place / dataset.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / dataset.base_folder, dataset.base_folder)
    monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchvision unpacks without the filter of Python 3.14
        assert_holds(load_cifar10(place, download=True), arrays)
    archive.write_bytes(archive.read_bytes()[:-9])  # a damaged one is not unpacked: torchvision would fetch another
    for file in (place / dataset.base_folder).iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"Name or service not known"):
        load_cifar10(place, download=True)


@pytest.mark.parametrize(("load", "file"), [(load_cifar10, "cifar-10-python.tar.gz"),
                                            (load_cifar100, "cifar-100-python.tar.gz"),
                                            (load_mnist, "train-images-idx3-ubyte.gz")])
def test_without_a_network_torchvisions_error_says_which_file_goes_where(load, file, tmp_path, no_network):
    with pytest.raises(ValueError, match=r"Name or service not known.*no network.*MD5 [0-9a-f]{32}") as error:
        load(tmp_path, download=True)
    assert file in str(error.value) and str(tmp_path) in str(error.value)
    with pytest.raises(ValueError, match=r"=.*must be the path.*torchvision"):
        load(tmp_path)  # nothing half-read was left that could be taken for data


# folders of image files


COLOURS = {"blue": (10, 20, 200), "green": (10, 200, 20), "red": (200, 10, 20)}


def save_image(path, colour, size=(40, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **{"quality": 95} if path.suffix == ".jpg" else {})


def colour_folders(root, n=4, suffix=".png"):
    """root/train/<colour>/<i> and root/test/..., images of one colour."""
    for part, count in (("train", n), ("test", 2)):
        for name, colour in COLOURS.items():
            for i in range(count):
                save_image(root / part / name / f"{i}{suffix}", colour)
    return root


def assert_colours(x, y, tolerance=0.02):
    """Every image has the colour of its class; JPEG moves a colour by a few of 255 levels."""
    wanted = np.array(list(COLOURS.values()))[y] / 255
    assert np.abs(x - wanted[:, :, None, None]).max() < tolerance


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_folders_are_classes(tmp_path, suffix):
    data = load_folder(colour_folders(tmp_path / "colours", suffix=suffix), size=8)
    assert data.classes == ("blue", "green", "red") and data.name == "colours" and data.image_shape == (3, 8, 8)
    assert data.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and len(data.y_test) == 6 and data.noise == {}
    assert_colours(data.x, data.y)
    assert_colours(data.x_test, data.y_test)


def test_images_are_cut_to_the_middle_square_and_grey_is_one_channel(tmp_path):
    colour_folders(tmp_path)
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # a white square between two black ones
    Image.fromarray(wide).save(tmp_path / "train" / "red" / "0.png")
    data = load_folder(tmp_path, size=10)
    assert data.x[8].min() == 1.0
    grey = load_folder(tmp_path, size=10, mode="L", name="grey")
    assert grey.image_shape == (1, 10, 10) and grey.name == "grey" and grey.x[8].min() == 1.0


def test_two_folders_have_the_labels_minus_and_plus_one(tmp_path):
    for part in ("train", "test"):
        for name in ("blue", "red"):
            save_image(tmp_path / part / name / "a.png", COLOURS[name])
    data = load_folder(tmp_path)
    assert data.y.tolist() == [-1, 1] and data.classes == ("blue", "red")


def test_only_some_images_are_read_and_the_seed_says_which(tmp_path):
    colour_folders(tmp_path, n=6)
    (tmp_path / "train" / "red" / "notes.txt").write_text("no image")
    first, again, other = (load_folder(tmp_path, n_train=9, n_test=3, seed=seed) for seed in (0, 0, 1))
    assert first.n == 9 and len(first.y_test) == 3
    assert_colours(first.x, first.y)
    assert np.array_equal(first.y, again.y) and not np.array_equal(first.y, other.y)
    with pytest.raises(ValueError, match=r"n_train=19.*18"):
        load_folder(tmp_path, n_train=19)


def test_a_list_gives_the_observed_labels_of_a_folder(tmp_path):
    colour_folders(tmp_path)
    listed = tmp_path / "noisy.txt"
    listed.write_text("train/blue/0.png red\n\ntrain/green/1.png\tblue\ntrain/red/3.png 1\ntest/blue/1.png green\n")
    data = load_folder(tmp_path, noisy_labels=listed)
    assert np.flatnonzero(data.flipped).tolist() == [0, 5, 11] and data.y_obs[[0, 5, 11]].tolist() == [2, 0, 1]
    assert data.y_test_obs.tolist() == [0, 1, 1, 1, 2, 2] and data.y_test.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.noise == {"kind": "file", "source": "noisy.txt", "realised_flip_rate": 0.25}
    part = load_folder(tmp_path, noisy_labels=listed, n_train=5)
    assert part.noise["realised_flip_rate"] == part.flipped.mean()
    for text, message in (("train/blue/0.png pink", r"noisy_labels, line 1='pink'.*blue, green, red"),
                          ("train/blue/0.png 3", "line 1='3'"), ("train/blue/9.png red", r"noisy_labels=.*9\.png"),
                          ("train/blue/0.png", "noisy.txt, line 1"), ("", r"noisy.txt.*not empty")):
        listed.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_folder(tmp_path, noisy_labels=listed)
    listed.write_bytes(b"train/blue/0.png \xff")
    with pytest.raises(ValueError, match="UTF-8"):
        load_folder(tmp_path, noisy_labels=listed)
    with pytest.raises(ValueError, match=r"nowhere.txt.*missing"):
        load_folder(tmp_path, noisy_labels=tmp_path / "nowhere.txt")


def test_folders_may_hold_observed_labels_of_unknown_truth(tmp_path):
    data = load_folder(colour_folders(tmp_path), labels_are="observed")
    assert data.noise == {"kind": "unknown", "source": "names of the folders"} and np.array_equal(data.y, data.y_obs)
    assert data.subset(3).noise["kind"] == "unknown"
    (tmp_path / "list.txt").write_text("train/blue/0.png red")
    for change in ({"labels_are": "wrong"}, {"labels_are": "observed", "noisy_labels": tmp_path / "list.txt"}):
        with pytest.raises(ValueError, match="labels_are"):
            load_folder(tmp_path, **change)


def test_folders_that_are_no_data_set_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"path=.*train.*for each class, such as .*7\.jpg"):
        load_folder(tmp_path)
    colour_folders(tmp_path)
    save_image(tmp_path / "train" / "pink" / "0.png", (255, 200, 200))
    with pytest.raises(ValueError, match=r"same classes.*'pink'"):
        load_folder(tmp_path)
    (tmp_path / "test" / "pink").mkdir()
    with pytest.raises(ValueError, match=r"path=.*test.*pink.*a folder with images"):
        load_folder(tmp_path)
    for change in ({"size": 0}, {"mode": "CMYK"}):
        with pytest.raises(ValueError, match=next(iter(change))):
            load_folder(colour_folders(tmp_path / "good"), **change)


@pytest.mark.parametrize("keep", [0, 20, -30])
def test_a_damaged_image_is_named(tmp_path, keep):
    colour_folders(tmp_path, suffix=".jpg")
    file = tmp_path / "train" / "green" / "2.jpg"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"green.2\.jpg.*image that can be read"):
        load_folder(tmp_path)


def clothing_files(root, lists="annotations"):
    """Clothing1M's layout with three classes: 6 images labelled by the web, 3 of them also by experts, 3 to test."""
    names = list(COLOURS)
    true = dict(enumerate([0, 1, 2, 0, 1, 2, 0, 1, 2]))
    key = lambda i: f"images/{i % 2}/1{i}/{i},x{i}.jpg"  # noqa: E731
    for i, label in true.items():
        save_image(root / key(i), COLOURS[names[label]])
    web = {0: 0, 1: 2, 2: 2, 3: 1, 4: 1, 5: 2}
    text = {"category_names_eng.txt": names, "noisy_train_key_list.txt": [key(i) for i in (3, 4, 5)],
            "noisy_label_kv.txt": [f"{key(i)} {label}" for i, label in web.items()],
            "clean_train_key_list.txt": [key(i) for i in (0, 1, 2)],
            "clean_test_key_list.txt": [key(i) for i in (6, 7, 8)],
            "clean_label_kv.txt": [f"{key(i)} {true[i]}" for i in (0, 1, 2, 6, 7, 8)]}
    (root / lists).mkdir(exist_ok=True)
    for name, lines in text.items():
        (root / lists / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("lists", ["annotations", "."])
def test_clothing1m_has_labels_of_the_web_and_a_clean_test_set(tmp_path, lists):
    data = load_clothing1m(clothing_files(tmp_path, lists), size=8)
    assert data.name == "Clothing1M" and data.classes == ("blue", "green", "red")
    assert data.y_obs.tolist() == data.y.tolist() == [1, 1, 2]  # the first is blue, which nobody knows
    assert data.noise == {"kind": "unknown", "source": "Clothing1M, web pages"}
    assert data.y_test.tolist() == data.y_test_obs.tolist() == [0, 1, 2]
    assert_colours(data.x_test, data.y_test)
    assert_colours(data.x, [0, 1, 2])
    assert load_clothing1m(tmp_path, n_train=2, n_test=1).n == 2


def test_clothing1m_images_with_both_labels_have_measured_noise(tmp_path):
    data = load_clothing1m(clothing_files(tmp_path), train="both", size=8)
    assert data.y.tolist() == [0, 1, 2] and data.y_obs.tolist() == [0, 2, 2]
    assert data.noise == {"kind": "web", "source": "Clothing1M, web pages", "realised_flip_rate": 1 / 3}
    assert empirical_transition(data.y, data.y_obs, 3)[1].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    assert_colours(data.x, data.y)


def test_clothing1m_files_that_are_missing_or_wrong_are_named(tmp_path):
    lists = clothing_files(tmp_path) / "annotations"
    with pytest.raises(ValueError, match="train='clean'"):
        load_clothing1m(tmp_path, train="clean")
    one, test_list = "images/0/12/2,x2.jpg", "clean_test_key_list.txt"
    for name, text, message in (("noisy_label_kv.txt", f"{one} 3", r"noisy_label_kv.txt, line 1='3'.*0 to 2"),
                                ("noisy_label_kv.txt", f"{one} 1", r"label for each image.*images/1/13/3"),
                                (test_list, f"{one}\nimages/0/18/0.jpg", "have none"),
                                (test_list, None, rf"{test_list}.*missing")):
        before = (lists / name).read_text()
        (lists / name).unlink() if text is None else (lists / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            load_clothing1m(tmp_path)
        (lists / name).write_text(before)
    (tmp_path / "images/1/13/3,x3.jpg").unlink()
    with pytest.raises(ValueError, match=r"3,x3\.jpg.*missing"):
        load_clothing1m(tmp_path)
    (lists / "noisy_label_kv.txt").write_text("images/1/13/3,x3.jpg 1")
    with pytest.raises(ValueError, match="both labels"):
        load_clothing1m(tmp_path, train="both")


def webvision_files(root):
    """WebVision's layout with three classes, two images each for training and one to test."""
    train, test = [], []
    for label, colour in enumerate(COLOURS.values()):
        for i in range(2):
            train.append((f"google/q{label:04}/{i}.jpg", label))
            save_image(root / train[-1][0], colour)
        test.append((f"val{label:06}.jpg", label))
        save_image(root / "val_images_256" / test[-1][0], colour)
    (root / "info").mkdir()
    for name, pairs in (("train_filelist_google.txt", train), ("val_filelist.txt", test)):
        (root / "info" / name).write_text("".join(f"{key} {label}\n" for key, label in pairs))
    (root / "info" / "synsets.txt").write_text("n01 crane, a bird\nn02 crane\nn03 tench, Tinca tinca\n")
    return root


def test_webvision_has_googles_labels_and_a_true_test_set(tmp_path):
    data = load_webvision(webvision_files(tmp_path), n_classes=3, size=8)
    assert data.classes == ("crane (0)", "crane (1)", "tench") and data.y_obs.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.noise == {"kind": "unknown", "source": "WebVision, Google's answers"}
    assert_colours(data.x, data.y)
    assert_colours(data.x_test, data.y_test)
    two = load_webvision(tmp_path, n_classes=2)
    assert two.y.tolist() == [-1, -1, 1, 1] and two.y_test.tolist() == [-1, 1]
    (tmp_path / "info" / "synsets.txt").unlink()
    assert load_webvision(tmp_path, n_classes=3, n_train=2).classes == ("0", "1", "2")


def test_webvision_files_that_are_missing_or_wrong_are_named(tmp_path):
    webvision_files(tmp_path)
    with pytest.raises(ValueError, match=r"n_classes=50.*3"):
        load_webvision(tmp_path)
    listed = tmp_path / "info" / "train_filelist_google.txt"
    for text, message in (("google/q0000/0.jpg x", "train_filelist_google.txt, line 1='x'"),
                          ("google/q0000/7.jpg 0", r"7\.jpg.*missing"), ("google/q0000/0.jpg 3", "n_classes=3"),
                          ("google/q0000/0.jpg", "line 1")):
        listed.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_webvision(tmp_path, n_classes=3)
    listed.unlink()
    with pytest.raises(ValueError, match=r"train_filelist_google.txt.*missing"):
        load_webvision(tmp_path, n_classes=3)


# human labels


def ten_labels(n=60):
    """CIFAR-10N's arrays for n images: clean 0 to 9 in turn, each kind wrong in its own places."""
    clean = np.arange(n) % 10
    labels = {"clean_label": clean}
    for step, name in enumerate(KINDS.values(), 2):
        labels[name] = np.where(np.arange(n) % step == 0, (clean + 1) % 10, clean)
    return labels


def save_pt(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.fixture
def cifar(tmp_path):
    return load_cifar10(save_npz(tmp_path / "cifar10.npz"))


def test_human_labels_come_from_pt_and_npz_alike(tmp_path, monkeypatch, cifar):
    save_pt(tmp_path / "CIFAR-10_human.pt", ten_labels())
    np.savez(tmp_path / "n.npz", **{name: label.astype(np.uint8) for name, label in ten_labels().items()})
    for path in (tmp_path / "CIFAR-10_human.pt", tmp_path, tmp_path / "n.npz"):
        labels = load_cifar10n(path)
        assert tuple(labels) == LABEL_ARRAYS and all(label.dtype == np.int64 for label in labels.values())
        assert all(np.array_equal(labels[name], label) for name, label in ten_labels().items())
        for step, kind in enumerate(KINDS, 2):
            data = add_human_labels(cifar, kind, path=path)
            assert np.array_equal(data.flipped, np.arange(60) % step == 0) and data.x is cifar.x
            assert data.noise == {"kind": "human", "source": f"CIFAR-10N, {kind}",
                                  "realised_flip_rate": data.flipped.mean()}
            assert np.array_equal(data.y_test_obs, cifar.y_test)
    monkeypatch.setenv(CIFAR10N_VARIABLE, str(tmp_path))
    assert np.array_equal(add_human_labels(cifar, "worst").y_obs, ten_labels()["worse_label"])
    monkeypatch.delenv(CIFAR10N_VARIABLE)
    with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=None.*CIFAR-10_human.pt.*SHA-256 873e69c3"):
        add_human_labels(cifar, "worst")


def test_human_labels_are_added_before_a_subset_or_a_pair_is_taken(tmp_path, cifar):
    path = save_pt(tmp_path / "labels.pt", ten_labels())
    worst, aggregate = (add_human_labels(cifar, kind, path=path).subset(20, seed=4) for kind in ("worst", "aggregate"))
    assert np.array_equal(worst.x, aggregate.x) and np.array_equal(worst.x, cifar.subset(20, seed=4).x)
    assert worst.noise["realised_flip_rate"] == worst.flipped.mean()
    pair = as_two_classes(add_human_labels(cifar, "worst", path=path), "cat", "deer")
    assert pair.noise["kind"] == "human" and pair.n > 0
    with pytest.raises(ValueError, match=r"data.n=20.*60.*before you take a subset"):
        add_human_labels(cifar.subset(20), "worst", path=path)
    with pytest.raises(ValueError, match=r"data.classes=.*before you take two classes"):
        add_human_labels(as_two_classes(cifar, "cat", "dog"), "worst", path=path)
    with pytest.raises(ValueError, match=r"kind='worse'.*'worst'"):
        add_human_labels(cifar, "worse", path=path)


def test_labels_in_another_order_are_refused(tmp_path, cifar):
    """As TensorFlow's: the same labels, the images in another order."""
    order = np.random.default_rng(0).permutation(60)
    path = save_pt(tmp_path / "tf.pt", {name: label[order] for name, label in ten_labels().items()})
    with pytest.raises(ValueError, match=r"data.y=.*of 60 labels differ.*TensorFlow"):
        add_human_labels(cifar, "worst", path=path)


def test_files_written_by_old_numpy_are_read(tmp_path):
    """numpy 1 wrote numpy.core where numpy 2 writes numpy._core, and the published file is one of those."""
    path = save_pt(tmp_path / "new.pt", ten_labels(), _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    other = content.replace(new, old) if new in content else content.replace(old, new)
    assert other != content
    (tmp_path / "old.pt").write_bytes(other)
    for name in ("new.pt", "old.pt"):
        assert np.array_equal(load_cifar10n(tmp_path / name)["worse_label"], ten_labels()["worse_label"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_any_protocol_are_read_or_refused_with_what_to_put_there(tmp_path, protocol):
    path = save_pt(tmp_path / "labels.pt", ten_labels(), pickle_protocol=protocol)
    if protocol == 2:  # torch's own, and the published file's
        assert np.array_equal(load_cifar10n(path)["clean_label"], ten_labels()["clean_label"])
        return
    try:
        assert np.array_equal(load_cifar10n(path)["clean_label"], ten_labels()["clean_label"])
    except ValueError as error:
        assert "SIGNAL_FIRST_CIFAR10N" in str(error) and ".npz" in str(error)


def test_a_malicious_pickle_is_refused_unread(tmp_path):
    mark = tmp_path / "executed"
    for name, content in (("bomb", Bomb(mark)), ("hidden", ten_labels() | {"worse_label": Bomb(mark)}),
                          ("object", ten_labels() | {"worse_label": np.array([Bomb(mark)] * 60, dtype=object)})):
        for new in (True, False):
            path = save_pt(tmp_path / f"{name}.pt", content, _use_new_zipfile_serialization=new)
            with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=.*must be the path"):
                load_cifar10n(path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ValueError, match="SIGNAL_FIRST_CIFAR10N"):
        load_cifar10n(tmp_path / "plain.pt")
    np.savez(tmp_path / "bomb.npz", **ten_labels() | {"worse_label": np.array([Bomb(mark)], dtype=object)})
    with pytest.raises(ValueError, match="SIGNAL_FIRST_CIFAR10N"):
        load_cifar10n(tmp_path / "bomb.npz")
    assert not mark.exists()


def test_reading_labels_leaves_torchs_list_of_safe_globals_alone(tmp_path):
    before = set(torch.serialization.get_safe_globals())  # a set inside, so without an order
    load_cifar10n(save_pt(tmp_path / "labels.pt", ten_labels()))
    assert set(torch.serialization.get_safe_globals()) == before


def test_damaged_and_foreign_label_files_are_refused(tmp_path):
    whole = save_pt(tmp_path / "labels.pt", ten_labels()).read_bytes()
    foreign = {"empty": b"", "text": b"no labels", "half": whole[: len(whole) // 2], "cut": whole[:-40]}
    for name, content in foreign.items():
        for suffix in ("pt", "npz"):
            (tmp_path / f"{name}.{suffix}").write_bytes(content)
            with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=.*CIFAR-10_human.pt"):
                load_cifar10n(tmp_path / f"{name}.{suffix}")
    with pytest.raises(ValueError, match=r"nowhere.pt.*CIFAR-10_human.pt"):
        load_cifar10n(tmp_path / "nowhere.pt")


@pytest.mark.parametrize(("change", "message"), [
    ({"worse_label": None}, "worse_label"), ({"worse_label": np.arange(59) % 10}, r"worse_label=.*\(60,\)"),
    ({"random_label2": np.full(60, 10)}, "random_label2=.*0 to 9"), ({"clean_label": np.zeros((60, 1), int)}, "clean"),
    ({"aggre_label": np.full(60, -1)}, "aggre_label"), ({"clean_label": np.zeros((), int)}, "clean_label")])
def test_label_arrays_that_are_not_cifar10ns_are_named(tmp_path, change, message):
    labels = {name: label for name, label in (ten_labels() | change).items() if label is not None}
    save_pt(tmp_path / "labels.pt", labels)
    np.savez(tmp_path / "labels.npz", **labels)
    for suffix in ("pt", "npz"):
        with pytest.raises(ValueError, match=message):
            load_cifar10n(tmp_path / f"labels.{suffix}")


def test_a_tensor_file_that_is_no_dictionary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Missing: Tensor"):
        load_cifar10n(save_pt(tmp_path / "tensor.pt", torch.zeros(3)))


# downloads, from a server on this machine


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a file whose name begins with "cut" ends before its announced length."""

    def log_message(self, *args):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "/cut" in self.path else content)


@pytest.fixture
def server(tmp_path):
    """(folder, address) of a web server."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def closed_port():
    """An address on this machine where nobody listens."""
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def test_a_download_is_checked_and_done_once(server, tmp_path):
    folder, address = server
    (folder / "labels.bin").write_bytes(b"signal first" * 1000)
    good, path = sha256_of(folder / "labels.bin"), tmp_path / "deep" / "down" / "labels.bin"
    assert fetch_file(f"{address}/labels.bin", good, path, progress=False) == path
    assert path.read_bytes() == b"signal first" * 1000 and [path] == list(path.parent.iterdir())
    (folder / "labels.bin").unlink()
    assert fetch_file(f"{address}/labels.bin", good, path, progress=False) == path  # no second download
    assert good == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["wrong.bin", "cut.bin", "none.bin"])
def test_a_wrong_cut_or_missing_file_leaves_nothing(server, tmp_path, name):
    folder, address = server
    content = b"signal first" * 1000
    for file in ("wrong.bin", "cut.bin"):
        (folder / file).write_bytes(content if file == "cut.bin" else content[:-1])
    target = tmp_path / "data" / name
    with pytest.raises(ValueError, match=rf"path=.*{name}.*SHA-256 checksum .*no network.*put it there"):
        fetch_file(f"{address}/{name}", hashlib.sha256(content).hexdigest(), target, progress=False)
    assert list(target.parent.iterdir()) == []


def test_without_a_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(human_labels, "CIFAR10N_URL", closed_port() + "/CIFAR-10_human.pt")
    for path in (tmp_path, tmp_path / "new"):
        with pytest.raises(ValueError, match=r"CIFAR-10_human.pt.*873e69c3.*ConnectionError.*put it there") as error:
            load_cifar10n(path, download=True)
        assert str(path) in str(error.value)


def test_human_labels_are_downloaded_and_checked(server, tmp_path, monkeypatch, cifar):
    folder, address = server
    published = save_pt(folder / "CIFAR-10_human.pt", ten_labels())
    monkeypatch.setattr(human_labels, "CIFAR10N_URL", f"{address}/CIFAR-10_human.pt")
    with pytest.raises(ValueError, match="873e69c3"):
        load_cifar10n(tmp_path / "refused", download=True)  # not the published file
    monkeypatch.setattr(human_labels, "CIFAR10N_SHA256", sha256_of(published))
    data = add_human_labels(cifar, "worst", path=tmp_path / "here", download=True)
    assert np.array_equal(data.y_obs, ten_labels()["worse_label"])
    (tmp_path / "here" / "CIFAR-10_human.pt").write_bytes(b"spoilt")
    with pytest.raises(ValueError, match=r"remove it"):
        load_cifar10n(tmp_path / "here", download=True)


def test_without_pooch_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch"):
        fetch_file("http://127.0.0.1/x", "0" * 64, tmp_path / "x")


def test_poochs_lines_are_off_only_during_the_download(tmp_path):
    import pooch

    level = pooch.get_logger().level
    with pytest.raises(ValueError):
        fetch_file(closed_port() + "/x", "0" * 64, tmp_path / "x", progress=False)
    assert pooch.get_logger().level == level and downloads.CHUNK > 0
