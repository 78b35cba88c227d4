"""Folders of image files as LabelledImages: one folder per class, and the layouts of Clothing1M and WebVision."""

from collections import Counter
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from tqdm import tqdm

from helpers import checks
from helpers.data.class_names import composed_name, drawn_test_share
from helpers.data.images import LabelledImages, class_labels
from helpers.streams import random_stream

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
CHANNELS = {"RGB": 3, "L": 1}
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}  # not taken for classes
LEFT_BEHIND = {"__macosx", "@eadir", "__pycache__", "thumbs.db", "desktop.ini"}  # by systems; names with a dot, too


@dataclass(frozen=True)
class FolderImages:
    """Some images before they are read.

    Attributes
    ----------
    files
        the images' paths.
    true, observed
        positions of their true and of their observed classes.
    names
        what the images are called: their paths below the folder of the data set, or their keys in its lists.
    """

    files: tuple[Path, ...]
    true: Int64[np.ndarray, " n"]
    observed: Int64[np.ndarray, " n"]
    names: tuple[str, ...]

    def at(self, chosen: Int64[np.ndarray, " chosen"]) -> "FolderImages":
        """Those at the positions `chosen`."""
        files, names = (tuple(values[i] for i in chosen) for values in (self.files, self.names))
        return FolderImages(files, self.true[chosen], self.observed[chosen], names)

    def some(self, n: int | None, seed: int, stream: str) -> "FolderImages":
        """`n` of them drawn at random, in their order; all if n is None."""
        if n is None:
            return self
        n = checks.integer(f"n_{stream}", n)
        checks.require(n <= len(self.files), f"n_{stream}", n, f"at most {len(self.files)}, the images there are")
        return self.at(np.sort(random_stream(seed, f"images read, {stream}").permutation(len(self.files))[:n]))


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
    path = checks.path("path", path)
    split = (path / "train").is_dir() and (path / "test").is_dir()
    labels_are = checks.one_of("labels_are", (("true" if split else "observed") if labels_are is None else labels_are),
                               ("true", "observed"))
    checks.require(noisy_labels is None or labels_are == "true", "labels_are", labels_are,
                   "'true' where a list gives the observed labels")
    classes, parts = _in_parts(path, test_share) if split else _undivided(path, test_share, seed)
    noise = {"kind": "unknown", "source": "names of the folders"} if labels_are == "observed" else {}
    if noisy_labels is not None:
        noisy_labels = checks.path("noisy_labels", noisy_labels)
        parts, noise = _with_list(parts, path, noisy_labels, classes), {"kind": "file", "source": noisy_labels.name}
    parts = _some(parts, n_train, n_test, seed)
    if noisy_labels is not None:
        noise["realised_flip_rate"] = float(np.mean(parts["train"].true != parts["train"].observed))
    name = path.resolve().name if name is None else name
    return _read(name, classes, parts, noise, size, mode, progress,
                 0 if labels_are == "observed" and not split else None)


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
    path = checks.path("path", path)
    checks.one_of("train", train, ("noisy", "both"))
    lists = path / "annotations" if (path / "annotations").is_dir() else path
    classes = tuple(_lines(lists / "category_names_eng.txt"))
    web, clean = (_labels_of(lists / f"{kind}_label_kv.txt", len(classes)) for kind in ("noisy", "clean"))
    if train == "noisy":
        keys = _lines(lists / "noisy_train_key_list.txt")
        parts, noise = {"train": _keyed(path, keys, web, web)}, {"kind": "unknown", "source": "Clothing1M, web pages"}
    else:
        keys = [key for key in _lines(lists / "clean_train_key_list.txt") if key in web]
        checks.require(bool(keys), "path", str(lists), "lists with images that have both labels")
        parts, noise = {"train": _keyed(path, keys, clean, web)}, {"kind": "web", "source": "Clothing1M, web pages"}
    parts["test"] = _keyed(path, _lines(lists / "clean_test_key_list.txt"), clean, clean)
    parts = _some(parts, n_train, n_test, seed)
    if train == "both":
        noise["realised_flip_rate"] = float(np.mean(parts["train"].true != parts["train"].observed))
    return _read("Clothing1M", classes, parts, noise, size, "RGB", progress)


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
    path, n_classes = checks.path("path", path), checks.integer("n_classes", n_classes, 2)
    parts = {}
    for part, listed, folder in (("train", "train_filelist_google.txt", path),
                                 ("test", "val_filelist.txt", path / "val_images_256")):
        labels = {key: label for key, label in _labels_of(path / "info" / listed, None).items() if label < n_classes}
        checks.require(bool(labels), "n_classes", n_classes, f"classes of which {listed} lists images")
        parts[part] = _keyed(folder, list(labels), labels, labels)
    noise = {"kind": "unknown", "source": "WebVision, Google's answers"}
    parts = _some(parts, n_train, n_test, seed)
    return _read("WebVision", _synsets(path, n_classes), parts, noise, size, "RGB", progress)


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
    lines = _pairs(listed)
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


def _keyed(folder: Path, keys: list[str], true: dict[str, int], observed: dict[str, int]) -> FolderImages:
    """Listed images folder/key whose labels are in the dicts `true` and `observed`."""
    missing = [key for key in keys if key not in true or key not in observed]
    checks.require(not missing, "path", str(folder), f"lists with a label for each image; {missing[:3]} have none")
    labels = (np.array([source[key] for key in keys], dtype=np.int64) for source in (true, observed))
    return FolderImages(tuple(folder / key for key in keys), *labels, tuple(keys))


def _labels_of(listed: Path, n_classes: int | None) -> dict[str, int]:
    """The class number of each key, of a list with lines "key number"."""
    labels = {}
    for key, (label, number) in _pairs(listed).items():
        valid = label.isdecimal() and (n_classes is None or int(label) < n_classes)
        allowed = "a class number" if n_classes is None else f"a class number from 0 to {n_classes - 1}"
        checks.require(valid, f"{listed.name}, line {number}", label, allowed)
        labels[key] = int(label)
    return labels


def _pairs(listed: Path) -> dict[str, tuple[str, int]]:
    """The label of each key, and its line; a tab separates key and label, or else the last space."""
    found = {}
    for number, line in _numbered(listed):
        pair = line.split("\t") if "\t" in line else line.rsplit(None, 1)
        checks.require(len(pair) == 2, f"{listed.name}, line {number}", line, "an image and its class")
        key, label = map(composed_name, map(str.strip, pair))
        line_before = found.get(key, (None, 0))[1]
        checks.require(not line_before, f"{listed.name}, line {number}", key, f"listed once: line {line_before} has it")
        found[key] = label, number
    return found


def _lines(listed: Path) -> list[str]:
    return [line for _, line in _numbered(listed)]


def _numbered(listed: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, each with its number in the file; without a byte order mark."""
    checks.require(listed.is_file(), "path", str(listed), "a text file of the data set, which is missing there")
    try:
        text = listed.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"path={str(listed)!r}: must be a text file in UTF-8, but {error}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    checks.require(bool(lines), "path", str(listed), "a list that is not empty")
    return lines


def _synsets(path: Path, n_classes: int) -> tuple[str, ...]:
    """Names of WebVision's first classes: the first word for each in info/synsets.txt, or else their numbers."""
    listed = path / "info" / "synsets.txt"
    if not listed.is_file():
        return tuple(map(str, range(n_classes)))
    names = [line.partition(" ")[2].split(",")[0] or line for line in _lines(listed)[:n_classes]]
    checks.require(len(names) == n_classes, "n_classes", n_classes, f"at most {len(names)}, the lines of {listed.name}")
    return tuple(name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names))  # two cranes


def _some(parts: dict[str, FolderImages], n_train: int | None, n_test: int | None, seed: int
          ) -> dict[str, FolderImages]:
    checks.require(n_test is None or "test" in parts, "n_test", n_test, "None where there is no test set: test_share=0")
    return {name: part.some({"train": n_train, "test": n_test}[name], seed, name) for name, part in parts.items()}


def _read(name: str, classes: tuple[str, ...], parts: dict[str, FolderImages], noise: dict, size: int, mode: str,
          progress: bool, n_test_true: int | None = None) -> LabelledImages:
    size, channels = checks.integer("size", size), CHANNELS[checks.one_of("mode", mode, CHANNELS)]
    arrays = []
    for part in parts.values():
        x = np.empty((len(part.files), channels, size, size), np.float32)
        for i, file in enumerate(tqdm(part.files, desc="images", disable=not progress, leave=False)):
            x[i] = _read_image(file, size, mode)
        arrays.append((x, *(class_labels(index, len(classes)) for index in (part.true, part.observed))))
    (x, y, y_obs), (x_test, y_test, y_test_obs) = arrays if "test" in parts else (*arrays, (None, None, None))
    return LabelledImages(name, classes, x, y, x_test, y_test, y_obs, y_test_obs, noise, parts["train"].names,
                          n_test_true if "test" in parts else None)


def _read_image(file: Path, size: int, mode: str) -> Float32[np.ndarray, "channels {size} {size}"]:
    """Pixels in [0, 1]: turned upright, a square from the middle, scaled."""
    from PIL import Image, ImageOps

    checks.require(file.is_file(), "path", str(file), "an image of the data set, which is missing there")
    try:
        with Image.open(file) as image:
            checks.require(image.mode not in ("I", "F"), "path", str(file),
                           f"an image of bytes or of 16 bits, whose range is known; its mode is {image.mode!r}")
            upright = ImageOps.exif_transpose(image)
            if deep := image.mode.startswith("I;16"):  # `convert` would clip these at 255
                upright = Image.fromarray(np.asarray(upright).astype(np.float32) / 257)
            pixels = np.asarray(ImageOps.fit(upright if deep else opaque_image(upright).convert(mode), (size, size),
                                             Image.Resampling.BICUBIC))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"path={str(file)!r}: must be an image that can be read, but "
                         f"{type(error).__name__}: {error}") from error
    pixels = np.moveaxis(np.atleast_3d(pixels), 2, 0) / np.float32(255)
    return np.broadcast_to(pixels.clip(0, 1), (CHANNELS[mode], size, size))


def opaque_image(image: "PIL.Image.Image") -> "PIL.Image.Image":  # noqa: F821
    """An image of PIL, what is transparent laid on white: `convert` would show the colour that a file keeps there."""
    from PIL import Image

    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
