"""Loaders of image data: digits, .npz files, torchvision's files, and refusals that say what to put where."""

import gzip
import hashlib
import pickle
import struct
import tarfile
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_files import Bomb, fake_cifar, save_npz, torchvision_files

from helpers.data import array_files, torchvision_import
from helpers.data.array_files import CIFAR10_CLASSES
from helpers.data.datasets import (
    CIFAR10_VARIABLE,
    CIFAR100_CLASSES,
    load_cifar10,
    load_cifar10_pair,
    load_cifar100,
    load_digit_classes,
    load_digits,
    load_mnist,
    load_npz,
    load_ten_class_dataset,
)
from helpers.data.images import two_class_images
from helpers.data.torchvision_import import import_torchvision


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
    pair = two_class_images(ten, tuple("02468"), tuple("13579"))
    for name in ("x", "y", "x_test", "y_test"):
        assert np.array_equal(getattr(pair, name), getattr(two, name))
    assert load_digit_classes(n_train=500, seed=3).n == 500
    with pytest.raises(ValueError, match="n_train=1797"):
        load_digit_classes(n_train=1797)


def test_image_classes_are_digits_by_default_and_cifar10_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.delenv(CIFAR10_VARIABLE, raising=False)
    assert load_ten_class_dataset().name == "ten digits"
    monkeypatch.setenv(CIFAR10_VARIABLE, str(save_npz(tmp_path / "cifar10.npz")))
    assert load_ten_class_dataset().name == "CIFAR-10"
    assert_holds(load_ten_class_dataset(), fake_cifar())
    monkeypatch.setenv(CIFAR10_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10=.*x_train.*torchvision"):
        load_ten_class_dataset()


def test_cifar10_of_an_npz_file_and_its_pair(tmp_path):
    path = save_npz(tmp_path / "cifar10.npz")
    data, pair = load_cifar10(path), load_cifar10_pair(path)
    assert data.classes == CIFAR10_CLASSES and data.image_shape == (3, 32, 32)
    assert_holds(data, fake_cifar())
    chosen = two_class_images(data, "airplane", "automobile")
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
    for labels in ([1, 2] * 4 + [1], [0, 1] * 4 + [255], [0, 1] * 4 + [2_000_000_000], [0, -1] * 4 + [1]):
        odd = save_npz(tmp_path / "odd.npz", **small | {"y_train": np.array(labels)})
        with pytest.raises(ValueError, match=r"y_train=.*name all K in `classes`"):
            load_npz(odd)
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


class Slow:
    """A data set of torchvision's that takes its time: whoever looks meanwhile finds half a file."""

    downloads = 0

    def __init__(self, root, train, download):
        path = Path(root) / "data"
        if not path.exists() and download:
            Slow.downloads += 1
            path.write_text("half")
            time.sleep(0.3)
            path.write_text("whole")
        if not path.exists() or path.read_text() != "whole":
            raise RuntimeError("Dataset not found or corrupted")
        self.data, self.targets = np.zeros((10, 32, 32, 3), np.uint8), list(range(10))


def test_who_comes_while_another_downloads_waits(tmp_path, monkeypatch):
    datasets = SimpleNamespace(CIFAR10=Slow)
    monkeypatch.setattr(torchvision_import, "import_torchvision", lambda: SimpleNamespace(datasets=datasets))
    monkeypatch.setattr(Slow, "downloads", 0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: load_cifar10(tmp_path / "new", download=True), range(4)))
    assert Slow.downloads == 1 and [data.n for data in found] == [10] * 4
    # Where all is there nothing is written, so that a folder may be read-only.
    monkeypatch.setattr(array_files, "alone", None)
    assert load_cifar10(tmp_path / "new", download=True).n == 10
