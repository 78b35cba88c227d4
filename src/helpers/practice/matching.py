"""Which samples of which data the rows of a table mean: matched by what can be checked, or refused."""

import re

import numpy as np
import pandas as pd
from jaxtyping import Int64
from numpy.typing import ArrayLike

from helpers import checks
from helpers.data.images import LabelledData, class_index
from helpers.practice.fingerprint import fingerprint

MADE_OF = "data"  # the entry of table.attrs that holds the fingerprint of what a table was made of
# What `load_csv` calls a sample for want of a name; another file has another sample in this line.
LINE = re.compile(r"row \d+")
READ_CSV = "pandas.read_csv(path, dtype={'file': str, 'observed': str, 'suggested': str}, keep_default_na=False)"


def matched_samples(table: pd.DataFrame, data: LabelledData, *, columns: tuple[str, ...] = ()
                    ) -> Int64[np.ndarray, " rows"]:
    """The training sample of `data` that each row of `table` means; refused where that cannot be told.

    A table that was made of these very data (``table.attrs["data"]``, see `fingerprint`) is read by its column
    `sample`. Any other is matched by `file` where both have names of files, each of which must be found; the number of
    a line in a file ("row 7", `load_csv` without `names`) is no such name. Without them a table of other data is
    refused; one that does not say what it was made of, since it was read from a CSV file, is read by `sample`. In each
    case the observed labels must be those of the data, row for row.

    What cannot be noticed: a table from a CSV file without names of files, for data with the same observed labels at
    the same places but other samples.

    Parameters
    ----------
    table
        with the columns `sample`, `observed` and, where there are names, `file`; and `columns`, which the caller reads.
    data
        the labelled data.

    Raises
    ------
    ValueError
        If a column is missing, a sample is named twice or unknown, or the table was made of other data.
    """
    checks.instance("data", data, LabelledData)
    checks.instance("table", table, pd.DataFrame)
    missing = [name for name in ("sample", "observed", *columns) if name not in table.columns]
    checks.require(not missing, "table.columns", list(table.columns), f"with {', '.join(missing)}: see `suspects`")
    made_of = table.attrs.get(MADE_OF)
    if made_of is not None and made_of == fingerprint(data):
        found = _by_number(table, data)
    elif data.files is not None and _has_files(table) and not all(map(LINE.fullmatch, data.files)):
        found = _by_file(table, data)
    else:
        checks.require(made_of is None, "table", f"<made of other data, fingerprint {made_of[:12] if made_of else ''}>",
                       f"made of these data, {data.name!r}, in this order, since there are no names of files to match "
                       "by: make it of them, by `suspects` or `find_suspects`, or give both names (`files`)")
        found = _by_number(table, data)
    checks.require(len(set(found.tolist())) == len(found), "table", _twice(found), "a table that names a sample once")
    _check_observed(table, data, found)
    return found


def class_positions(argument: str, labels: ArrayLike, data: LabelledData) -> Int64[np.ndarray, " rows"]:
    """Positions in `data.classes` of labels that a table names, compared as text; ValueError names the row."""
    names = {str(name): k for k, name in enumerate(data.classes)}
    checks.require(len(names) == data.n_classes, "data.classes", data.classes, "names that differ as text")
    for row, label in enumerate(labels):
        checks.require(str(label) in names, f"{argument}, row {row}", label, f"one of the classes {', '.join(names)}. "
                       f"Of a table in a CSV file names such as 01 stay what they are if it is read by {READ_CSV}")
        alike = [] if isinstance(label, str) else [name for name in names if _same_number(name, label)]
        checks.require(len(alike) < 2, f"{argument}, row {row}", label, f"text, since the classes {alike} are the same "
                       f"number: read the table by {READ_CSV}")
    return np.array([names[str(label)] for label in labels], np.int64)


def _same_number(name: str, label: object) -> bool:
    try:
        return float(name) == float(label)
    except (TypeError, ValueError):
        return False


def observed_names(data: LabelledData, samples: Int64[np.ndarray, " rows"]) -> list[str]:
    """The observed labels of some samples as names of classes."""
    return [str(data.classes[k]) for k in class_index(data.y_obs, data.n_classes)[samples]]


def _has_files(table: pd.DataFrame) -> bool:
    return "file" in table.columns and len(table) > 0 and all(
        isinstance(name, str) and name for name in table["file"])


def _by_file(table: pd.DataFrame, data: LabelledData) -> Int64[np.ndarray, " rows"]:
    place = {name: i for i, name in enumerate(data.files)}
    strangers = [name for name in table["file"] if name not in place]
    checks.require(not strangers, "table", strangers[:3],
                   f"a table whose files are all among those of the data {data.name!r}; {len(strangers)} of "
                   f"{len(table)} are not: load the folder that the table was made of")
    return np.array([place[name] for name in table["file"]], np.int64)


def _by_number(table: pd.DataFrame, data: LabelledData) -> Int64[np.ndarray, " rows"]:
    numbers = table["sample"].to_numpy()
    whole = numbers.dtype.kind in "iu" or not len(numbers)
    checks.require(whole, "table['sample']", numbers[:5].tolist(), "whole numbers, the positions of samples")
    bad = [int(number) for number in numbers if not 0 <= number < data.n]
    checks.require(not bad, "table['sample']", bad[:3], f"from 0 to {data.n - 1}, the samples of {data.name!r}: make "
                   "the table of these data")
    return numbers.astype(np.int64)


def _twice(found: Int64[np.ndarray, " rows"]) -> list[int]:
    values, counts = np.unique(found, return_counts=True)
    return values[counts > 1][:3].tolist()


def _check_observed(table: pd.DataFrame, data: LabelledData, found: Int64[np.ndarray, " rows"]) -> None:
    """Each row's observed label is that of its sample."""
    for row, (told, here) in enumerate(zip(map(str, table["observed"]), observed_names(data, found))):
        checks.require(told == here, f"table['observed'], row {row}", told,
                       f"{here!r}, the observed label of sample {found[row]} of {data.name!r}: the table was made of "
                       f"other data, of another order or before labels were changed, so make it of these. Of a table "
                       f"in a CSV file names such as 01 stay what they are if it is read by {READ_CSV}")
