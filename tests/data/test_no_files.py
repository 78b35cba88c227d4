"""What is no file, or no folder of files: named at once, and never waited for."""

import os

import pytest
from image_files import clothing_files, colour_folders, save_npz, webvision_files

from helpers.data.cifar10n import load_cifar10n
from helpers.data.datasets import load_cifar10, load_cifar10_pair, load_cifar100, load_mnist, load_npz
from helpers.data.feature_tables import load_csv
from helpers.data.image_folders import load_folder
from helpers.data.published_folders import load_clothing1m, load_webvision

LOADERS = [load_cifar10n, load_cifar10, load_cifar10_pair, load_cifar100, load_mnist, load_npz, load_folder,
           load_clothing1m, load_webvision, lambda path: load_csv(path, label="kind")]
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")


@pytest.mark.parametrize("load", LOADERS)
def test_a_pipe_a_device_and_what_is_missing_are_refused_at_once(load, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for somebody to write
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "pipe.npz", "/dev/zero", tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(ValueError, match=str(path)):
            load(path)


@pytest.mark.parametrize(("make", "load", "place"), [
    (colour_folders, load_folder, "train/red"), (clothing_files, load_clothing1m, "images/1/13/3,x3.jpg"),
    (clothing_files, load_clothing1m, "annotations/noisy_label_kv.txt"),
    (webvision_files, lambda path: load_webvision(path, n_classes=3), "info/val_filelist.txt"),
    (webvision_files, lambda path: load_webvision(path, n_classes=3), "val_images_256/val000000.jpg")])
def test_a_pipe_in_a_folder_is_no_file_of_it(make, load, place, tmp_path):
    make(tmp_path)
    if (tmp_path / place).is_dir():
        for file in (tmp_path / place).iterdir():
            file.unlink()
        os.mkfifo(tmp_path / place / "0.png")
    else:
        (tmp_path / place).unlink()
        os.mkfifo(tmp_path / place)
    with pytest.raises(ValueError, match=place):
        load(tmp_path)


def test_a_list_of_labels_that_is_a_pipe_is_refused(tmp_path):
    colour_folders(tmp_path / "colours")
    os.mkfifo(tmp_path / "list")
    with pytest.raises(ValueError, match=r"noisy_labels=.*list"):
        load_folder(tmp_path / "colours", noisy_labels=tmp_path / "list")


def test_a_file_is_no_folder_of_images(tmp_path):
    with pytest.raises(ValueError, match=r"path=.*a\.npz"):
        load_folder(save_npz(tmp_path / "a.npz"))
