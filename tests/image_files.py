"""Files of images as others publish them, small and made up, and a pickle that must not be read."""

import hashlib
import pickle

import numpy as np

from helpers.data.torchvision_import import import_torchvision


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
