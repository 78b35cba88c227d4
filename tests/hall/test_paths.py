"""Paths that are written and read: "~" is the home folder, "" is none."""

import numpy as np
import pytest

from helpers import Record, checks, sweep
from helpers.data.cifar10n import load_cifar10n
from helpers.data.datasets import load_cifar10, load_digits, load_mnist, load_npz
from helpers.data.feature_tables import load_csv
from helpers.data.image_folders import load_folder
from helpers.data.published_folders import load_clothing1m, load_webvision
from helpers.files import _sha256_of, fetch_file, write_atomically
from helpers.training.loop import fit
from helpers.training.models import SmallCNN
from helpers.training.recipe import Recipe


def test_a_tilde_is_the_home_folder_wherever_a_path_is_taken(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir(), here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    record = Record([0], np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 1, 3)))
    record.save("~/record.npz")
    assert Record.load("~/record.npz").margins.shape == (1, 1, 3)
    sweep(abs_of, {"x": [1]}, store="~/store")
    data = load_digits(n_train=60)
    fit(SmallCNN(data.image_shape, width=2), data, Recipe(epochs=1), 0, checkpoint="~/run.pt")
    write_atomically("~/some/file", b"text")
    assert fetch_file("http://unused", _sha256_of("~/some/file"), "~/some/file") == home / "some/file"
    assert sorted(path.name for path in home.iterdir()) == ["record.npz", "run.pt", "some", "store"]
    assert not list(here.iterdir())


def abs_of(x):
    return abs(x)


@pytest.mark.parametrize("bad", ["", b"folder", None, 3, ["a"]])
def test_what_is_no_path_is_named(bad):
    data, record = load_digits(n_train=60), Record([0], np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 1, 3)))
    calls = {"path": [lambda: record.save(bad), lambda: Record.load(bad), lambda: write_atomically(bad, b"")],
             "store": [lambda: sweep(abs_of, {"x": [1]}, store=bad)] if bad is not None else [],
             "checkpoint": [lambda: fit(SmallCNN(data.image_shape, width=2), data, Recipe(epochs=1), 0, checkpoint=bad)]
             if bad is not None else []}
    for argument, several in calls.items():
        for call in several:
            with pytest.raises(ValueError, match=rf"^{argument}=.*must be (None or )?a path"):
                call()
    with pytest.raises(ValueError, match="what="):
        checks.path("what", bad)


@pytest.mark.parametrize("load", [
    load_folder, load_clothing1m, load_webvision, load_npz, load_cifar10, load_mnist,
    lambda path: load_csv(path, label="kind"), lambda path: load_folder(".", noisy_labels=path, labels_are="true")])
def test_data_are_read_below_the_home_folder_and_what_is_no_path_is_named(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "0.pgm").write_bytes(b"P5 1 1 255 a")
    with pytest.raises(ValueError, match=str(tmp_path / "home" / "there")):
        load("~/there")
    with pytest.raises(ValueError, match=r"must be (None or )?a path"):
        load("")


def test_a_human_label_file_is_read_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match=str(tmp_path / "there.npz")):
        load_cifar10n("~/there.npz")
