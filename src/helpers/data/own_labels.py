"""Labels in the forms in which they come (numbers, words, bools, a column, one-hot rows) as positions of classes."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.class_names import ordered_class_names, require_classes


def plain_array(argument: str, value: ArrayLike) -> np.ndarray:
    """`value` as an array; tensors are brought to the CPU. ValueError where it is none, or masks some of its entries.
    """
    if torch.is_tensor(value):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    checks.require(not np.ma.is_masked(value), argument, "<masked entries>", "an array in which no entry is masked")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # rows of unequal length
        raise ValueError(f"{argument}: must be an array whose rows are equally long, but {error}") from error


def class_positions(parts: dict[str, ArrayLike], classes: Iterable[str] | None
                    ) -> tuple[tuple[str, ...], dict[str, Int64[np.ndarray, " n"]]]:
    """The names of the classes, and each label's position among them.

    Parameters
    ----------
    parts
        labels by the name of their argument, all in one form. The first are the observed ones of the training set.
    classes
        names of the classes; see `labelled_arrays`.

    Raises
    ------
    ValueError
        If labels are missing, soft, of different forms, of one class only or of no class.
    """
    flat = {argument: _flat(argument, value) for argument, value in parts.items()}
    first, labels = next(iter(flat.items()))
    for argument, other in flat.items():
        checks.require(other.dtype.kind == labels.dtype.kind and _width(parts[argument]) == _width(parts[first]),
                       argument, f"<{_form(argument, parts, other)}>", f"of one form with {first}: "
                       f"{_form(first, parts, labels)}")
    require_classes(first, np.unique(labels).tolist(), len(labels))
    training = np.unique(np.concatenate([value for argument, value in flat.items() if argument != "labels_test"]))
    names, values = _classes(training, _named(parts[first], classes), _width(parts[first]))
    for argument, found in flat.items():
        strangers = np.setdiff1d(found, values).tolist()
        checks.require(not strangers, argument, strangers[:5], f"labels of the classes {', '.join(names[:20])}; where "
                       "one has no training sample, name all in `classes`")
    order = np.argsort(values)
    return names, {argument: order[np.searchsorted(values, found, sorter=order)] for argument, found in flat.items()}


def _flat(argument: str, value: ArrayLike) -> np.ndarray:
    """One label per sample, as text, bools or int64; of one-hot rows the positions."""
    labels = plain_array(argument, value)
    if labels.dtype.kind == "U" and isinstance(value, (list, tuple)):  # NumPy makes a text of the NaN beside texts
        labels = np.array(value, dtype=object)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else _from_one_hot(argument, labels)
    checks.require(labels.ndim == 1 and labels.size > 0, f"{argument}.shape", labels.shape,
                   "(n,), (n, 1) or, one-hot, (n, K), not empty")
    if labels.dtype.kind in "OT":
        labels = _from_objects(argument, labels.astype(object))
    if labels.dtype.kind == "f":
        bad = np.flatnonzero(labels != np.rint(labels)).tolist()  # NaN among them
        checks.require(not bad and bool((np.abs(labels) < 2**53).all()), argument,
                       f"<{labels[bad[:3]].tolist()} at the positions {bad[:3]}>", "labels without gaps: whole numbers "
                       "or names. Shares or probabilities of classes (soft labels) are none: take the likeliest class")
    checks.require(labels.dtype.kind in "biufU", argument, f"<{labels.dtype}>", "integers, strings, bools or one-hot")
    checks.require(labels.dtype != np.uint64 or bool(labels.max() < 2**63), argument, "<too large>", "below 2**63")
    return labels if labels.dtype.kind in "bU" else labels.astype(np.int64)


def _from_objects(argument: str, labels: np.ndarray) -> np.ndarray:
    """An array of objects, as pandas keeps text, by what its entries are."""
    kinds = {"U": str, "b": (bool, np.bool_), "i": (int, np.integer)}
    for kind, of in kinds.items():
        if all(isinstance(one, of) and (kind != "i" or not isinstance(one, bool)) for one in labels):
            return labels.astype({"U": str, "b": bool, "i": np.int64}[kind])
    usual = str if isinstance(labels[0], str) else type(labels[0])
    odd = [i for i, one in enumerate(labels) if not isinstance(one, usual)] or [0]
    checks.require(False, argument, f"<{labels[odd[0]]!r} at position {odd[0]}>",
                   "labels of one kind without gaps: all strings, all integers or all bools")


def _from_one_hot(argument: str, rows: np.ndarray) -> Int64[np.ndarray, " n"]:
    """The position of the one 1 in each row."""
    checks.require(rows.dtype.kind in "biuf", argument, f"<{rows.dtype} {rows.shape}>", "one column, or one-hot rows")
    hot = rows.astype(np.float64)
    bad = np.flatnonzero(~(((hot == 0) | (hot == 1)).all(1) & (hot.sum(1) == 1))).tolist()
    checks.require(not bad, argument, f"<{len(bad)} rows such as {rows[bad[0]].tolist()[:8] if bad else None}>",
                   "one-hot: a single 1 in each row, else 0. Shares or probabilities of classes (soft labels) are no "
                   "labels: take the likeliest class")
    return hot.argmax(1)


def _width(value: ArrayLike) -> int:
    """K of one-hot rows, else 1."""
    shape = value.shape if hasattr(value, "shape") else np.shape(value)
    return shape[1] if len(shape) == 2 else 1


def _form(argument: str, parts: dict[str, ArrayLike], labels: np.ndarray) -> str:
    width = _width(parts[argument])
    return f"one-hot, {width} classes" if width > 1 else {"b": "bools", "i": "whole numbers", "U": "strings"}[
        labels.dtype.kind]


def _named(labels: ArrayLike, classes: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of the classes where they are given, be it as names of the columns of a table of one-hot rows."""
    if classes is None and _width(labels) > 1 and hasattr(labels, "columns"):
        classes = [str(one) for one in labels.columns]
    if classes is None:
        return None
    valid = np.iterable(classes) and not isinstance(classes, (str, bytes))
    classes = tuple(str(one) if isinstance(one, np.str_) else one for one in classes) if valid else classes
    valid = valid and len(set(map(repr, classes))) == len(classes) >= 2
    checks.require(valid and all(isinstance(one, str) for one in classes), "classes", classes,
                   "names of classes: two different strings or more")
    return classes


def _classes(found: np.ndarray, names: tuple[str, ...] | None, width: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and the label that stands for each; `found` are the labels of the training samples."""
    if found.dtype.kind == "U":
        names = ordered_class_names("labels", found.tolist()) if names is None else names
        return names, np.array(names)
    if width > 1:
        names, values = names or tuple(map(str, range(width))), np.arange(width)
    elif found.dtype.kind == "b":
        names, values = names or ("False", "True"), np.array([False, True])
    elif names is None:
        return tuple(map(str, found.tolist())), found
    else:
        values = np.arange(len(names)) if found[0] >= 0 and found[-1] < len(names) else found
    checks.require(len(names) == len(values), "classes", names, f"{len(values)} names: of the labels "
                   f"{values.tolist()[:10]}, in this order")
    return names, values
