"""Tables of features in text files (CSV) as LabelledFeatures."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32

from helpers import checks
from helpers.data.class_names import composed_name, drawn_test_share, ordered_class_names, require_classes
from helpers.data.images import LabelledFeatures, class_labels
from helpers.entry import entry

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "?"}  # in small letters
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Table:
    """The fields of a text file, without the spaces around them.

    Attributes
    ----------
    file, header
        the file's name, and the names of the columns.
    rows, lines
        the fields of each row, and the line of the file on which it begins.
    """

    file: str
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, position: int) -> list[str]:
        """The fields of one column. ValueError where one is missing; it names row and column."""
        values = [row[position] for row in self.rows]
        for line, value in zip(self.lines, values):
            checks.require(value.lower() not in MISSING, f"{self.file}, row {line}, column {self.header[position]!r}",
                           value, "a value: fill it in, or leave out the row, or the column with drop= (a class of "
                           "this name needs another one)")
        return values

    def numbers(self, position: int) -> Float32[np.ndarray, " n"]:
        """The numbers of one column. ValueError where a field is none; it names row and column."""
        values = self.column(position)
        numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(np.float64)
        bad = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
        if len(bad):
            hint = " (with a point for the decimal comma)" if "," in values[bad[0]] else ""
            checks.require(False, f"{self.file}, row {self.lines[bad[0]]}, column {self.header[position]!r}",
                           values[bad[0]], f"a finite number{hint}; {len(bad)} of {len(values)} rows have none here: "
                           "leave the column out with drop=, or write its values as numbers, such as 0 and 1 in a "
                           "column for each category")
        return numbers.astype(np.float32)


@entry(own=("label", "names", "drop"))
def load_csv(path: str | PathLike, *, label: str | int, names: str | int | None = None,
             drop: Iterable[str | int] = (), test_share: float = 0.0, seed: int = 0, name: str | None = None,
             labels_are: str = "observed") -> LabelledFeatures:
    """A table in a text file: a row per sample, its class in one column, a number in each other.

    The first line names the columns; a comma, a semicolon or a tab separates them, and double quotes may stand around
    a field. Numbers become float32, of seven digits. Classes are in the order of the alphabet, or, if all are numbers,
    in that of their size.

    Parameters
    ----------
    path
        the file, in UTF-8.
    label
        the column of the classes: its name, or its position, an integer from 0 (-1: the last).
    names
        the column of the samples' names, each another, for the field `files`; by default the samples are called
        "row 2", "row 3" and so on, by the lines of the file.
    drop
        columns to be left out.
    test_share, seed
        round(test_share * size) rows of each class, drawn with `seed`, become the test set. 0: there is none.
    name
        what to call the data; the file's name by default.
    labels_are
        "observed" where some labels may be wrong and nobody knows which: then y repeats y_obs, noise["kind"] is
        "unknown" and the labels of a test set are observed ones, too (n_test_true is 0). Or "true".

    Raises
    ------
    ValueError
        If the file is missing or damaged, a value is missing or is no number, or there are no classes; it names row
        and column and says what to do.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from helpers.data import load_csv
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "flowers.csv")
    ...     _ = file.write_text("length,width,kind\\n1.4,0.2,setosa\\n4.7,1.4,versicolor\\n1.5,0.2,setosa\\n")
    ...     data = load_csv(file, label="kind")
    >>> data.classes, data.y_obs.tolist(), data.x.shape, data.files
    (('setosa', 'versicolor'), [-1.0, 1.0, -1.0], (3, 2), ('row 2', 'row 3', 'row 4'))
    """
    checks.one_of("labels_are", labels_are, ("true", "observed"))
    table = _read_table(path)
    labels, features, files = _columns(table, label, names, drop)
    found = list(map(composed_name, table.column(labels)))
    require_classes(f"{path.name}, column {table.header[labels]!r}", set(found), len(found))
    classes = ordered_class_names(f"{path.name}, column {table.header[labels]!r}", found)
    position = {one: i for i, one in enumerate(classes)}
    index = np.array([position[one] for one in found])
    x = np.stack([table.numbers(position) for position in features], 1)
    drawn = drawn_test_share(index, test_share, seed)
    y = class_labels(index, len(classes))
    test = {"x_test": x[drawn], "y_test": y[drawn], "n_test_true": None if labels_are == "true" else 0}
    noise = {} if labels_are == "true" else {"kind": "unknown", "source": f"column {table.header[labels]}"}
    files = tuple(one for one, tested in zip(_sample_names(table, files), drawn) if not tested)
    return LabelledFeatures(path.stem if name is None else name, classes, x[~drawn], y[~drawn], noise=noise,
                            files=files, **test if drawn.any() else {})


def _read_table(path: Path) -> _Table:
    checks.require(path.is_file(), "path", str(path), "a table in a text file, which is missing there")
    wanted = "a table in a text file in UTF-8 (from a spreadsheet: save it as CSV in UTF-8)"
    try:
        text = path.read_bytes().decode("utf-8-sig")
        delimiter = _delimiter(path, text)
        found = _parsed(text, delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"path={str(path)!r}: must be {wanted}, but {error}") from error
    (_, header), *others = found
    checks.require(bool(others), "path", str(path), "a table with rows below the names of its columns")
    for line, row in others:
        checks.require(len(row) == len(header), f"{path.name}, row {line}", row,
                       f"{len(header)} fields, as many as columns: a {DELIMITERS[delimiter]} inside a field needs "
                       "double quotes around it")
    return _Table(path.name, [composed_name(one) for one in header], [row for _, row in others],
                  [line for line, _ in others])


def _parsed(text: str, delimiter: str, most: int | None = None) -> list[tuple[int, list[str]]]:
    """The first `most` rows, or all, each with the line on which it begins; empty lines are passed over."""
    reader, found, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [], 1
    for row in reader:
        if any(map(str.strip, row)) or len(row) > 1:
            found.append((line, [field.strip() for field in row]))
        line = reader.line_num + 1
        if most is not None and len(found) == most:
            break
    return found


def _delimiter(path: Path, text: str) -> str:
    """The one that gives the first rows the same number of fields, two or more; else the one that cuts the first most.
    """
    checks.require(bool(text.strip()), "path", str(path), "a table, which is not empty")
    counts = {}
    for delimiter in DELIMITERS:
        try:
            counts[delimiter] = [len(row) for _, row in _parsed(text, delimiter, 20)]
        except csv.Error:  # quotes that end before this delimiter
            continue
    counts = {delimiter: found for delimiter, found in counts.items() if found[0] > 1}
    even = {delimiter: found for delimiter, found in counts.items() if len(set(found)) == 1} or counts
    first = text.strip().splitlines()[0]
    checks.require(bool(counts), "path", str(path), f"a table whose columns a comma, a semicolon or a tab separates, "
                   f"with quotes that are closed; it begins with {first[:60]!r}")
    best = [delimiter for delimiter, found in even.items() if found[0] == max(even.values())[0]]
    checks.require(len(best) == 1, "path", str(path), f"a table with one delimiter; {first[:60]!r} can be read with "
                   f"{' and '.join(DELIMITERS[one] for one in best)}")
    return best[0]


def _columns(table: _Table, label: str | int, names: str | int | None, drop: Iterable[str | int]
             ) -> tuple[int, list[int], int | None]:
    """Positions of the column of the classes, of those of the features and of that of the samples' names."""
    twice = [one for one, count in Counter(table.header).items() if count > 1 and one]
    checks.require(not twice, f"{table.file}, row 1", twice, "names of columns of which each is another")
    checks.require(not isinstance(drop, (str, bytes)) and np.iterable(drop), "drop", drop,
                   "several columns: a tuple or a list")
    label = _position(table, "label", label)
    named = None if names is None else _position(table, "names", names)
    left_out = {_position(table, "drop", one) for one in drop}
    checks.require(named != label and label not in left_out and named not in left_out, "drop", tuple(drop),
                   f"columns beside label={table.header[label]!r} and names={names!r}, which is another one")
    features = [i for i in range(len(table.header)) if i not in {label, named, *left_out}]
    checks.require(bool(features), "drop", tuple(drop), "columns beside which one of features is left")
    nameless = [i for i in features if not table.header[i]]
    checks.require(not nameless, f"{table.file}, row 1", nameless,
                   "names for all columns; those at these positions have none: name them, or leave them out with drop=")
    checks.require(not _are_data([table.header[i] for i in features]), f"{table.file}, row 1", table.header[:5],
                   "the names of the columns; these are numbers of a sample: put a line of names above them")
    return label, features, named


def _position(table: _Table, argument: str, column: str | int) -> int:
    allowed = f"a column, by its name or by its position from 0: {', '.join(map(repr, table.header[:20]))}"
    if isinstance(column, str):
        checks.require(composed_name(column) in table.header, argument, column, allowed)
        return table.header.index(composed_name(column))
    n = len(table.header)
    whole = isinstance(column, (int, np.integer)) and not isinstance(column, bool)
    checks.require(whole and -n <= column < n, argument, column, allowed)
    return int(column) % n


def _are_data(header: list[str]) -> bool:
    """Whether names of columns are numbers, and not those that count the columns."""
    try:
        numbers = [float(one) for one in header]
    except ValueError:
        return False
    return any(second - first != 1 for first, second in pairwise(numbers)) or not numbers[0].is_integer()


def _sample_names(table: _Table, position: int | None) -> list[str]:
    if position is None:
        return [f"row {line}" for line in table.lines]
    names, first = table.column(position), {}
    for line, one in zip(table.lines, names):
        checks.require(one not in first, f"{table.file}, row {line}, column {table.header[position]!r}", one,
                       f"a name that no other sample has; row {first.get(one)} has it")
        first[one] = line
    return names
