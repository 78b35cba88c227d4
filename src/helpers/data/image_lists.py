"""Lists of images in text files: an image per line, and in most its class."""

from pathlib import Path

from helpers import checks
from helpers.data.class_names import composed_name


def listed_labels(listed: Path, n_classes: int | None) -> dict[str, int]:
    """The class number of each key, of a list with lines "key number"."""
    labels = {}
    for key, (label, number) in listed_pairs(listed).items():
        valid = label.isdecimal() and (n_classes is None or int(label) < n_classes)
        allowed = "a class number" if n_classes is None else f"a class number from 0 to {n_classes - 1}"
        checks.require(valid, f"{listed.name}, line {number}", label, allowed)
        labels[key] = int(label)
    return labels


def listed_pairs(listed: Path, *, argument: str = "path") -> dict[str, tuple[str, int]]:
    """The label of each key, and its line; a tab separates key and label, or else the last space."""
    found = {}
    for number, line in _numbered(listed, argument):
        pair = line.split("\t") if "\t" in line else line.rsplit(None, 1)
        checks.require(len(pair) == 2, f"{listed.name}, line {number}", line, "an image and its class")
        key, label = map(composed_name, map(str.strip, pair))
        line_before = found.get(key, (None, 0))[1]
        checks.require(not line_before, f"{listed.name}, line {number}", key, f"listed once: line {line_before} has it")
        found[key] = label, number
    return found


def listed_lines(listed: Path) -> list[str]:
    """The lines of a list that are not empty."""
    return [line for _, line in _numbered(listed, "path")]


def _numbered(listed: Path, argument: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, each with its number in the file; without a byte order mark."""
    checks.require(listed.is_file(), argument, str(listed), "a text file of the data set, which is missing there")
    try:
        text = listed.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{argument}={str(listed)!r}: must be a text file in UTF-8, but {error}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    checks.require(bool(lines), argument, str(listed), "a list that is not empty")
    return lines
