"""Folders of images in the layouts of others, with lists of their labels: Clothing1M and WebVision."""

from os import PathLike
from pathlib import Path

import numpy as np

from helpers import checks
from helpers.data.image_lists import listed_labels, listed_lines
from helpers.data.image_reading import FolderImages, draw_images, read_images
from helpers.data.images import LabelledImages
from helpers.entry import entry


@entry
def load_clothing1m(path: str | PathLike, *, train: str = "noisy", size: int = 64, n_train: int | None = None,
                    n_test: int | None = None, seed: int = 0, progress: bool = False) -> LabelledImages:
    """Clothing1M (Xiao et al. 2015), 14 classes of clothes with labels taken from web pages; for research, on request.

    The test set is the clean one, with true labels.

    Parameters
    ----------
    path
        the folder that holds images/ and, in it or in annotations/, the authors' lists: noisy_train_key_list.txt,
        noisy_label_kv.txt, clean_train_key_list.txt, clean_test_key_list.txt, clean_label_kv.txt and
        category_names_eng.txt. Each line of a key list is images/..., one of a kv list adds the class, 0 to 13.
    train
        "noisy", the million images whose true labels nobody knows: y repeats y_obs, `flipped` is refused and
        noise["kind"] is "unknown". "both", those images of the clean training set that also have a label from the web:
        y is the label of an expert, y_obs that of the web, and the noise is really measured.
    size, n_train, n_test, seed, progress
        as for `load_folder`. A million images of 64 by 64 pixels take 49 GB.

    Raises
    ------
    ValueError
        If a list or an image is missing or damaged; it names which.
    """
    checks.one_of("train", train, ("noisy", "both"))
    lists = path / "annotations" if (path / "annotations").is_dir() else path
    classes = tuple(listed_lines(lists / "category_names_eng.txt"))
    web, clean = (listed_labels(lists / f"{kind}_label_kv.txt", len(classes)) for kind in ("noisy", "clean"))
    if train == "noisy":
        keys = listed_lines(lists / "noisy_train_key_list.txt")
        parts, noise = {"train": _keyed(path, keys, web, web)}, {"kind": "unknown", "source": "Clothing1M, web pages"}
    else:
        keys = [key for key in listed_lines(lists / "clean_train_key_list.txt") if key in web]
        checks.require(bool(keys), "path", str(lists), "lists with images that have both labels")
        parts, noise = {"train": _keyed(path, keys, clean, web)}, {"kind": "web", "source": "Clothing1M, web pages"}
    parts["test"] = _keyed(path, listed_lines(lists / "clean_test_key_list.txt"), clean, clean)
    parts = draw_images(parts, n_train, n_test, seed)
    if train == "both":
        noise["realised_flip_rate"] = float(np.mean(parts["train"].true != parts["train"].observed))
    return read_images("Clothing1M", classes, parts, noise, size, "RGB", progress)


@entry
def load_webvision(path: str | PathLike, *, n_classes: int = 50, size: int = 64, n_train: int | None = None,
                   n_test: int | None = None, seed: int = 0, progress: bool = False) -> LabelledImages:
    """WebVision 1.0 (Li et al. 2017), images that Google found for the names of ImageNet's classes.

    Nobody knows the true labels of the training set: y repeats y_obs there, `flipped` is refused and
    noise["kind"] is "unknown". The test set is WebVision's validation set.

    Parameters
    ----------
    path
        the folder that holds info/train_filelist_google.txt and info/val_filelist.txt (lines "image class"), google/...
        and val_images_256/..., and, if the classes are to have names, info/synsets.txt.
    n_classes
        only the first so many classes; 50 is what is called mini-WebVision, 1000 all.
    size, n_train, n_test, seed, progress
        as for `load_folder`.

    Raises
    ------
    ValueError
        If a list or an image is missing or damaged; it names which.
    """
    n_classes = checks.integer("n_classes", n_classes, 2)
    parts = {}
    for part, listed, folder in (("train", "train_filelist_google.txt", path),
                                 ("test", "val_filelist.txt", path / "val_images_256")):
        labels = {key: label for key, label in listed_labels(path / "info" / listed, None).items() if label < n_classes}
        checks.require(bool(labels), "n_classes", n_classes, f"classes of which {listed} lists images")
        parts[part] = _keyed(folder, list(labels), labels, labels)
    noise = {"kind": "unknown", "source": "WebVision, Google's answers"}
    parts = draw_images(parts, n_train, n_test, seed)
    return read_images("WebVision", _synsets(path, n_classes), parts, noise, size, "RGB", progress)


def _keyed(folder: Path, keys: list[str], true: dict[str, int], observed: dict[str, int]) -> FolderImages:
    """Listed images folder/key whose labels are in the dicts `true` and `observed`."""
    missing = [key for key in keys if key not in true or key not in observed]
    checks.require(not missing, "path", str(folder), f"lists with a label for each image; {missing[:3]} have none")
    labels = (np.array([source[key] for key in keys], dtype=np.int64) for source in (true, observed))
    return FolderImages(tuple(folder / key for key in keys), *labels, tuple(keys))


def _synsets(path: Path, n_classes: int) -> tuple[str, ...]:
    """Names of WebVision's first classes: the first word for each in info/synsets.txt, or else their numbers."""
    listed = path / "info" / "synsets.txt"
    if not listed.is_file():
        return tuple(map(str, range(n_classes)))
    names = [line.partition(" ")[2].split(",")[0] or line for line in listed_lines(listed)[:n_classes]]
    checks.require(len(names) == n_classes, "n_classes", n_classes, f"at most {len(names)}, the lines of {listed.name}")
    return tuple(name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names))  # two cranes
