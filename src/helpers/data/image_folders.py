"""Folders of image files as LabelledImages: one folder per class."""

from collections import Counter
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from helpers import checks
from helpers.data.class_names import composed_name, drawn_test_share
from helpers.data.image_lists import listed_pairs
from helpers.data.image_reading import FolderImages, draw_images, read_images
from helpers.data.images import LabelledImages
from helpers.entry import entry

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}  # not taken for classes
LEFT_BEHIND = {"__macosx", "@eadir", "__pycache__", "thumbs.db", "desktop.ini"}  # by systems; names with a dot, too


@entry
def load_folder(path: str | PathLike, *, noisy_labels: str | PathLike | None = None, size: int = 32,
                mode: str = "RGB", n_train: int | None = None, n_test: int | None = None, test_share: float = 0.0,
                seed: int = 0, name: str | None = None, labels_are: str | None = None,
                progress: bool = False) -> LabelledImages:
    """Images in folders, one per class: path/<class>/<image>, or below path/train and path/test the same classes.

    A folder path/train without a path/test is read as path/<class> is. The field `files` of the result has each
    training image's place below `path`, such as "cat/7.png" or "train/cat/7.png".

    Parameters
    ----------
    path
        the folder. Classes are in the order of the alphabet, images in that of their names: a class is a name, and "10"
        stands before "2". Hidden files and folders, and what systems leave behind, are passed over, and so are images
        in no folder of a class; a file of another suffix counts if it is an image.
    noisy_labels
        a text file of observed labels, one image per line: its place below `path` (train/cat/7.jpg), a tab or spaces,
        and a class: in all lines its name, or in all its number from 0 on. Images that it does not name keep the true
        label, which is that of their folder.
    size
        images are turned as their camera says (EXIF), cut to a square in the middle and scaled to `size` by `size`
        pixels. Grey images of 16 bits keep their range; what is transparent is laid on white.
    mode
        "RGB", three channels, or "L", one of grey.
    n_train, n_test
        read only so many, drawn at random with `seed`; all by default.
    test_share
        where there is no folder for testing: round(test_share * size) images of each class, drawn with `seed`, become
        the test set. 0: there is none.
    seed
        of the draws, an integer >= 0.
    name
        what to call the data; the folder's name by default.
    labels_are
        "true", or "observed" where some labels of the training set are wrong and nobody knows which: then y repeats
        y_obs and noise["kind"] is "unknown". By default "true" with a folder for testing, whose labels count as true
        in any case, and "observed" without one: then the labels of a test set by `test_share` are observed ones, too
        (n_test_true is 0).
    progress
        show a bar.

    Raises
    ------
    ValueError
        If a file or folder is missing, damaged or unknown; it names which.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> from helpers.data import load_folder
    >>> with TemporaryDirectory() as folder:
    ...     for file in (Path(folder, name) for name in ("cat/1.png", "cat/2.png", "dog/1.png")):
    ...         file.parent.mkdir(exist_ok=True)
    ...         Image.new("RGB", (40, 30)).save(file)
    ...     data = load_folder(folder)
    >>> data.classes, data.y_obs.tolist(), data.files, data.truth_known
    (('cat', 'dog'), [-1.0, -1.0, 1.0], ('cat/1.png', 'cat/2.png', 'dog/1.png'), False)
    """
    split = (path / "train").is_dir() and (path / "test").is_dir()
    labels_are = checks.one_of("labels_are", (("true" if split else "observed") if labels_are is None else labels_are),
                               ("true", "observed"))
    checks.require(noisy_labels is None or labels_are == "true", "labels_are", labels_are,
                   "'true' where a list gives the observed labels")
    classes, parts = _in_parts(path, test_share) if split else _undivided(path, test_share, seed)
    noise = {"kind": "unknown", "source": "names of the folders"} if labels_are == "observed" else {}
    if noisy_labels is not None:
        parts, noise = _with_list(parts, path, noisy_labels, classes), {"kind": "file", "source": noisy_labels.name}
    parts = draw_images(parts, n_train, n_test, seed)
    if noisy_labels is not None:
        noise["realised_flip_rate"] = float(np.mean(parts["train"].true != parts["train"].observed))
    name = path.resolve().name if name is None else name
    return read_images(name, classes, parts, noise, size, mode, progress,
                 0 if labels_are == "observed" and not split else None)


def _in_parts(path: Path, test_share: float) -> tuple[tuple[str, ...], dict[str, FolderImages]]:
    """Classes and images of path/train and path/test."""
    checks.require(test_share == 0, "test_share", test_share, f"0 where {path / 'test'} has the test set")
    found = {part: _class_folders(path / part) for part in ("train", "test")}
    only = {part: sorted(set(found[part]) - set(found[other]))[:5]
            for part, other in (("train", "test"), ("test", "train"))}
    text = ", ".join(f"{names} in {part} only" for part, names in only.items() if names)
    checks.require(not text, "path", str(path), f"folders with the same classes in train and test; there are {text}")
    return found["train"], {part: _in_folders(path / part, found[part], path) for part in found}


def _undivided(path: Path, test_share: float, seed: int) -> tuple[tuple[str, ...], dict[str, FolderImages]]:
    """Classes and images of `path`, or of path/train where that holds folders, cut into training and test images."""
    root = path / "train" if _folders(path / "train") else path
    parts = [folder.name for folder in _folders(path) if folder.name.lower() in PARTS and _folders(folder)]
    others = [folder.name for folder in _folders(path) if root != path and folder.name != "train"]
    odd = others or ([] if root != path else parts)
    checks.require(not odd, "path", str(path), "a folder with train and test (in small letters), with train alone, or "
                   f"with folders of images; {odd} are none of these: call the folder for testing test, or give the "
                   "path of one part")
    classes = _class_folders(root)
    found = _in_folders(root, classes, path)
    drawn = drawn_test_share(found.true, test_share, seed)
    cut = {"train": found.at(np.flatnonzero(~drawn)), "test": found.at(np.flatnonzero(drawn))}
    return classes, cut if drawn.any() else {"train": found}


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and _meant(folder)) if path.is_dir() else []


def _class_folders(path: Path) -> tuple[str, ...]:
    """Names of the classes, the folders below `path`."""
    names = sorted(folder.name for folder in _folders(path))
    checks.require(len(names) >= 2, "path", str(path),
                   "a folder with train and test, or by itself one with a folder of images for each class, such as "
                   f"{path / 'cat' / '7.jpg'}; it holds {names or 'no folder'}")
    alike = [name for name in names if sum(composed_name(name) == composed_name(other) for other in names) > 1]
    checks.require(not alike, "path", str(path), f"a folder of classes whose names look different; {alike} do not")
    return tuple(names)


def _in_folders(path: Path, classes: tuple[str, ...], root: Path) -> FolderImages:
    files, index = [], []
    for i, one in enumerate(classes):
        images = sorted(file for file in (path / one).rglob("*") if all(map(_meant, _below(path / one, file)))
                        and file.is_file() and _is_image(file))
        checks.require(bool(images), "path", str(path / one), f"a folder with images ({', '.join(SUFFIXES)}); where it "
                       "is no class, or one without images, take it away")
        files, index = files + images, index + [i] * len(images)
    names = tuple(file.relative_to(root).as_posix() for file in files)
    return FolderImages(tuple(files), np.array(index), np.array(index), names)


def _meant(path: Path) -> bool:
    """Whether a file or folder is data, and not what a system or an editor left behind."""
    return not path.name.startswith((".", "~$")) and path.name.lower() not in LEFT_BEHIND


def _below(folder: Path, file: Path) -> list[Path]:
    """The file, and the folders between it and `folder`."""
    return [file, *(parent for parent in file.parents if folder in parent.parents)]


def _is_image(file: Path) -> bool:
    """Told by the suffix or, where that is another one, by what the file begins with."""
    from PIL import Image, UnidentifiedImageError

    if file.suffix.lower() in SUFFIXES:
        return True
    try:
        with Image.open(file):
            return True
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False


def _with_list(parts: dict[str, FolderImages], path: Path, listed: Path, classes: tuple[str, ...]
               ) -> dict[str, FolderImages]:
    """The parts with the observed labels of the text file `listed`."""
    lines = listed_pairs(listed, argument="noisy_labels")
    position = _reading({label for label, _ in lines.values()}, classes)
    for label, number in lines.values():
        checks.require(label in position, f"noisy_labels, line {number}", label,
                       f"one of {', '.join(classes)}, or in all lines a number from 0 to {len(classes) - 1}")
    observed = {key: position[label] for key, (label, _) in lines.items()}
    keys = {name: [composed_name(image) for image in part.names] for name, part in parts.items()}
    there = Counter(key for found in keys.values() for key in found)
    strangers = set(observed) - set(there)
    checks.require(not strangers, "noisy_labels", sorted(strangers)[:3], f"images below {path}")
    twice = [key for key in observed if there[key] > 1]
    checks.require(not twice, "noisy_labels", twice[:3], "images of which no other has a name that looks the same")
    return {name: replace(part, observed=np.array([observed.get(*pair) for pair in zip(keys[name], part.true)]))
            for name, part in parts.items()}


def _reading(labels: set[str], classes: tuple[str, ...]) -> dict[str, int]:
    """Positions of the classes by what a list calls them: by their names in all lines, or by their numbers in all."""
    names, numbers = ({name: i for i, name in enumerate(found)} for found in (classes, map(str, range(len(classes)))))
    by_name, by_number = labels <= set(names), labels <= set(numbers)
    same = all(names.get(label) == numbers.get(label) for label in labels)
    checks.require(not (by_name and by_number) or same, "noisy_labels", sorted(labels)[:5],
                   "labels that can be read in one way: the classes have numbers as names, in another order, so that "
                   "these may be names or positions")
    return numbers if by_number and not by_name else names
