"""Files of images as others publish them, small and made up, and a pickle that must not be read."""

import hashlib
import pickle

import numpy as np
from PIL import Image

from helpers.data.torchvision_import import import_torchvision

COLOURS = {"blue": (10, 20, 200), "green": (10, 200, 20), "red": (200, 10, 20)}


def fake_cifar(n=60, seed=0):
    """Arrays in the layout of CIFAR-10, labels 0 to 9 in turn, random pixels."""
    rng = np.random.default_rng(seed)
    sizes = {"train": n, "test": n // 2}
    arrays = {f"x_{part}": rng.integers(0, 256, (size, 32, 32, 3), np.uint8) for part, size in sizes.items()}
    return arrays | {f"y_{part}": (np.arange(size) % 10).astype(np.uint8) for part, size in sizes.items()}


def save_npz(path, **changes):
    np.savez_compressed(path, **{key: value for key, value in (fake_cifar() | changes).items() if value is not None})
    return path


def torchvision_files(root, monkeypatch):
    """Fill `root` with small files in CIFAR-10's own layout, and let torchvision expect their checksums.

    Its integrity check runs as always, only against the sums of these files.
    """
    arrays, folder = fake_cifar(), root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    batches = {f"data_batch_{i + 1}": ("train", slice(12 * i, 12 * i + 12)) for i in range(5)}
    batches["test_batch"] = ("test", slice(None))
    sums = {}
    for name, (part, rows) in batches.items():
        pixels = arrays[f"x_{part}"][rows].transpose(0, 3, 1, 2)
        content = {"data": pixels.reshape(len(pixels), -1), "labels": arrays[f"y_{part}"][rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    dataset = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(dataset, "train_list", [[name, sums[name]] for name in batches if name.startswith("data")])
    monkeypatch.setattr(dataset, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names"}
    meta["md5"] = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    monkeypatch.setattr(dataset, "meta", meta)
    return root, arrays


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


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
