"""Samples that are in memory, or in a torch Dataset, as labelled data."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.image_reading import opaque_image
from helpers.data.images import LabelledData, LabelledFeatures, LabelledImages, class_labels
from helpers.data.own_labels import class_positions, plain_array
from helpers.entry import entry

LAYOUTS = ("auto", "NCHW", "NHWC")
CHANNELS = (1, 3, 4)  # what "auto" takes for a number of channels
LARGEST = float(np.finfo(np.float32).max)


@entry(own=("x", "labels", "classes", "x_test", "labels_test", "true_labels"))
def labelled_arrays(x: ArrayLike, labels: ArrayLike, *, name: str = "data", classes: Iterable[str] | None = None,
                    x_test: ArrayLike | None = None, labels_test: ArrayLike | None = None,
                    true_labels: ArrayLike | None = None, labels_are: str = "observed",
                    labels_are_test: str = "true", files: Iterable[str] | None = None,
                    layout: str = "auto") -> LabelledImages | LabelledFeatures:
    """Arrays, tensors or tables of pandas as labelled data.

    Parameters
    ----------
    x
        images: (n, height, width), or with channels in the order that `layout` says, uint8 or numbers in [0, 1]. Or
        rows of p numbers, (n, p), which stay as they are.
    labels
        one per sample: integers, strings, bools, or rows with a single 1 among 0 (one-hot). (n, 1) will do for (n,).
    name
        what to call the data.
    classes
        names of the classes. Strings have to be among them. Integers are positions, from 0, where all are below the
        number of names; other integers get the names in the order of their size. By default classes are called as their
        labels are, in the order of the alphabet or of their size, one-hot ones by their columns.
    x_test, labels_test
        a test set in the same form.
    true_labels
        the true labels of the training samples where they are known: y; `labels` are y_obs then.
    labels_are
        without `true_labels`: "observed" where some labels may be wrong and nobody knows which (y repeats y_obs and
        noise["kind"] is "unknown"), or "true".
    labels_are_test
        "true", or "observed" where nobody knows the true labels of the test set either (n_test_true is 0).
    files
        names of the training samples, each another.
    layout
        "NCHW", channels first, or "NHWC", last. "auto" takes an axis of length 1, 3 or 4 for that of the channels,
        unless both may be.

    Raises
    ------
    ValueError
        If something can be read in two ways, is missing or does not fit together; it says what to do.

    Examples
    --------
    >>> from helpers.data import labelled_arrays
    >>> data = labelled_arrays([[0.1, 3.0], [0.2, 1.0], [0.9, 2.0]], ["no", "yes", "no"])
    >>> data.classes, data.y_obs.tolist(), data.truth_known
    (('no', 'yes'), [-1.0, 1.0, -1.0], False)
    >>> images = labelled_arrays([[[0, 1.0]], [[0.5, 0]], [[0, 0]]], [3, 7, 7], true_labels=[3, 3, 7])
    >>> images.image_shape, images.classes, images.flipped.tolist()
    ((1, 1, 2), ('3', '7'), [False, True, False])
    """
    checks.one_of("layout", layout, LAYOUTS)
    checks.one_of("labels_are_test", labels_are_test, ("true", "observed"))
    checks.one_of("labels_are", labels_are, ("true", "observed") if true_labels is None else ("observed",))
    checks.require((x_test is None) == (labels_test is None), "labels_test" if x_test is None else "x_test",
                   "<given alone>", "given with the other of x_test and labels_test")
    optional = {"true_labels": true_labels, "labels_test": labels_test}
    given = {"labels": labels} | {argument: value for argument, value in optional.items() if value is not None}
    samples = {"x": _samples("x", x, layout)}
    if x_test is not None:
        samples["x_test"] = _samples("x_test", x_test, layout)  # of the same shape, hence in the same layout
    names, index = class_positions(given, classes)
    for argument, found in index.items():
        part, source = ("x_test", x_test) if argument == "labels_test" else ("x", x)
        checks.require(len(found) == len(samples[part]), argument, f"<{len(found)} labels>",
                       f"{len(samples[part])}, one for each sample of {part}")
        _require_same_rows(part, source, argument, given[argument])
        index[argument] = class_labels(found, len(names))
    noise = {"kind": "given", "realised_flip_rate": 0.0} if true_labels is not None else \
        {"kind": "unknown", "source": "labels as given"} if labels_are == "observed" else {}
    kind = LabelledFeatures if samples["x"].ndim == 2 else LabelledImages
    return kind(name, names, samples["x"], index.get("true_labels", index["labels"]), samples.get("x_test"),
                index.get("labels_test"), index["labels"], noise=noise, files=files,
                n_test_true=0 if x_test is not None and labels_are_test == "observed" else None)


@entry(own=("classes",))
def labelled_dataset(dataset: Any, *, classes: Iterable[str] | None = None, name: str | None = None,
                     labels_are: str = "observed", files: Iterable[str] | None = None,
                     layout: str = "auto") -> LabelledData:
    """A map-style torch Dataset, of pairs (sample, label), read once into memory.

    Parameters
    ----------
    dataset
        anything with a length and, for each position, a sample (a tensor, an array or a PIL image, all of one shape)
        and its label.
    classes
        names of the classes; by default those that the dataset has in its own field `classes`, if their number fits, or
        else those of `labelled_arrays`.
    name
        what to call the data; by default the dataset's class.
    labels_are, files, layout
        as for `labelled_arrays`.

    Raises
    ------
    ValueError
        As for `labelled_arrays`, and if samples differ in shape, or change when they are read again: augmentation
        belongs into the recipe.
    """
    sized = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    checks.require(sized and len(dataset) > 0, "dataset", type(dataset).__name__ if not sized else dataset,
                   "a map-style Dataset, which has a length and dataset[i], not empty (of a DataLoader: its .dataset)")
    layout = "NCHW" if _is_pil(dataset[0]) else layout
    pairs = [_pair(dataset, i) for i in range(len(dataset))]
    again, drawn = _pair(dataset, 0)[0], "<another sample each time it is read>"
    checks.require(np.array_equal(again, pairs[0][0], equal_nan=again.dtype.kind == "f"), "dataset[0]", drawn,
                   "the same: leave random changes out of the dataset and give them to the recipe, as augment")
    shapes = {sample.shape for sample, _ in pairs}
    checks.require(len(shapes) == 1, "dataset", f"<samples of the shapes {sorted(shapes)[:3]}>",
                   "samples of one shape: let the dataset scale and cut its images")
    x, labels = np.stack([sample for sample, _ in pairs]), _stacked([label for _, label in pairs])
    if classes is None:
        classes = _own_classes(dataset, labels)
    return labelled_arrays(x, labels, name=type(dataset).__name__ if name is None else name, classes=classes,
                           labels_are=labels_are, files=files, layout=layout)


def _samples(argument: str, value: ArrayLike, layout: str) -> Float32[np.ndarray, "n ..."]:
    """Rows as float32, or images with the channels first and pixels in [0, 1]."""
    array = plain_array(argument, value)
    if array.dtype.kind == "O" and hasattr(value, "dtypes") and array.ndim == 2:
        _require_numeric_columns(argument, value)
        array = value.to_numpy(np.float64, na_value=np.nan)
    checks.require(array.dtype.kind in "biuf", argument, f"<{array.dtype}>",
                   "an array of numbers (a sparse one: x.toarray())")
    checks.require(array.ndim in (2, 3, 4) and array.size > 0, f"{argument}.shape", array.shape,
                   "(n, p) rows of numbers, (n, height, width) or, with channels, four axes; not empty")
    bad = np.argwhere(~np.isfinite(array)).tolist() if array.dtype.kind == "f" else []
    checks.require(not bad, argument, f"<no finite number at {bad[:3]}, {len(bad)} in all>",
                   "finite numbers: fill gaps in, or leave these samples out")
    if array.ndim == 2:
        checks.require(float(np.abs(array, dtype=np.float64).max()) <= LARGEST, argument, "<too large>",
                       f"numbers that float32 can hold, up to {LARGEST:.1e}")
        return array.astype(np.float32)
    pixels = _pixels(argument, array)
    if array.ndim == 3:
        return pixels[:, None]
    return pixels if _layout(array, layout) == "NCHW" else np.moveaxis(pixels, 3, 1)


def _require_numeric_columns(argument: str, table: Any) -> None:
    from pandas.api.types import is_numeric_dtype

    odd = [column for column, kind in zip(table.columns, table.dtypes) if not is_numeric_dtype(kind)]
    checks.require(not odd, argument, f"<columns {odd[:5]}>",
                   "a table of numbers: leave these columns out, or write their values as numbers")


def _pixels(argument: str, array: np.ndarray) -> Float32[np.ndarray, "n ..."]:
    low, high = array.min(), array.max()
    if array.dtype == np.uint8:
        checks.require(bool(high > 1), argument, f"<uint8 from {low} to {high}>",
                       f"uint8 from 0 to 255; where 1 is white here, pass {argument} as float32")
        return array.astype(np.float32) / np.float32(255)
    whole = array.dtype.kind in "iu"
    advice = "undo what centred them (such as Normalize): `fit` standardises by itself" if low < 0 else \
        f"pass {argument} as uint8" if whole else f"divide {argument} by the value of white, such as 255"
    checks.require(bool(low >= 0 and high <= 1) and not (whole and high > 1), argument,
                   f"<{array.dtype} from {low} to {high}>", f"uint8, or numbers in [0, 1]: {advice}")
    return array.astype(np.float32)


def _layout(array: np.ndarray, layout: str) -> str:
    """Where the channels of images with four axes stand."""
    if layout != "auto":
        return layout
    first, last = (array.shape[axis] in CHANNELS for axis in (1, 3))
    checks.require(first != last, "x.shape", array.shape, f"such that just one of the axes 1 and 3 has {CHANNELS} "
                   "entries, the channels: say layout=\"NCHW\", channels first, or layout=\"NHWC\", channels last")
    return "NCHW" if first else "NHWC"


def _require_same_rows(argument: str, x: ArrayLike, labelled: str, labels: ArrayLike) -> None:
    """Where both are of pandas, their rows have to be named alike: else a label may belong to another sample."""
    if hasattr(x, "iloc") and hasattr(labels, "iloc"):
        checks.require(x.index.equals(labels.index), f"{labelled}.index", list(labels.index[:5]),
                       f"that of {argument}, {list(x.index[:5])} and so on: a label may belong to another sample here. "
                       "Align them, or pass .to_numpy() of both")


def _pair(dataset: Any, i: int) -> tuple[np.ndarray, Any]:
    item = dataset[i]
    valid = isinstance(item, (tuple, list)) and len(item) == 2
    checks.require(valid, f"dataset[{i}]", f"<{type(item).__name__}>", "a pair (sample, label)")
    sample, label = item
    if _is_pil(item):
        deep = sample.mode[:1] in ("I", "F")  # whose range is refused below
        sample = np.asarray(sample if sample.mode in ("L", "RGB") or deep else opaque_image(sample).convert("RGB"))
        sample = sample if sample.ndim == 2 else np.moveaxis(sample, 2, 0)
    sample = plain_array(f"dataset[{i}]", sample)
    checks.require(sample.dtype.kind in "biuf" and sample.ndim in (1, 2, 3), f"dataset[{i}]",
                   f"<{type(item[0]).__name__}, {sample.dtype} {sample.shape}>",
                   "a sample that is a tensor, an array or a PIL image")
    return sample, label


def _is_pil(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and len(item) > 0 and hasattr(item[0], "getbands")


def _stacked(labels: list) -> np.ndarray:
    arrays = [plain_array(f"label of dataset[{i}]", label) for i, label in enumerate(labels)]
    odd = [i for i, one in enumerate(arrays) if one.shape != arrays[0].shape]
    checks.require(not odd, f"label of dataset[{odd[0] if odd else 0}]", labels[odd[0] if odd else 0],
                   f"of the shape of the first, {arrays[0].shape}")
    kinds = {one.dtype.kind for one in arrays}
    return np.stack(arrays) if len(kinds) == 1 and "O" not in kinds else np.array(labels, dtype=object)


def _own_classes(dataset: Any, labels: np.ndarray) -> Iterable[str] | None:
    """The names in the dataset's field `classes`, as torchvision's data sets have one, if the labels are positions."""
    names = getattr(dataset, "classes", None)
    valid = isinstance(names, (list, tuple)) and len(set(map(repr, names))) == len(names) >= 2
    valid = valid and all(isinstance(one, str) for one in names) and labels.ndim == 1 and labels.dtype.kind in "iu"
    return names if valid and labels.min() >= 0 and labels.max() < len(names) else None
