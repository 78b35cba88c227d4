"""Decisions on suspects that somebody took in the gallery, read back and checked."""

import csv
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import checks
from helpers.data.images import LabelledData
from helpers.entry import entry
from helpers.practice.cleaning import DECISIONS, RELABEL
from helpers.practice.fingerprint import fingerprint
from helpers.practice.matching import MADE_OF, class_positions, matched_samples, observed_names

COLUMNS = ("sample", "file", "observed", "decision", "label")


@entry
def read_decisions(path: str | PathLike, data: LabelledData) -> pd.DataFrame:
    """The decisions that were saved from a gallery (`write_gallery`) as a table that `clean_labels` carries out.

    Parameters
    ----------
    path
        the CSV file, with the columns `sample`, `file`, `observed`, `decision`, `label` and, as the gallery writes it,
        `data` (the `fingerprint` of the data). A program for tables may have changed its separator to a semicolon or a
        tab, or the order of rows, and rows may have been deleted.
    data
        what the gallery was made of. Samples are found as `matched_samples` says.

    Returns
    -------
    DataFrame
        With `sample` (the position in `data`), `file`, `observed`, `decision` and `label` (for "relabel" the new one).

    Raises
    ------
    ValueError
        If the file is no such table, or of other data; it names the file, the row and what is allowed there.
    """
    path = checks.path("path", path)
    table = _read(path)
    for row, (decision, label) in enumerate(zip(table["decision"], table["label"])):
        where = f"{path.name}, row {row + 2}"  # as a program for tables counts, the header being row 1
        checks.one_of(f"{where}, decision", decision, DECISIONS)
        if decision == RELABEL:
            class_positions(f"{where}, label", [label], data)
    try:
        samples = matched_samples(table, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    files = [None if data.files is None else data.files[i] for i in samples]
    found = table.assign(sample=samples, file=files, observed=observed_names(data, samples))[list(COLUMNS)]
    found.attrs[MADE_OF] = fingerprint(data)
    return found


def _read(path: Path) -> pd.DataFrame:
    """The file as text, with numbers of samples, and with the fingerprint in `attrs`."""
    checks.require(path.is_file(), "path", str(path), "a CSV file of decisions, which is missing there")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            separator = max(",;\t", key=header.count)
            rows = list(csv.reader(file, delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"path={str(path)!r}: must be a CSV file in UTF-8, but {error}") from error
    names = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in names]
    checks.require(not missing, "path", str(path), f"a CSV file with the columns {', '.join(COLUMNS)}; {missing} are "
                   "not in its first row")
    for number, row in enumerate(rows[1:], 2):
        checks.require(len(row) in (0, len(names)), f"{path.name}, row {number}", row, f"{len(names)} entries")
    table = pd.DataFrame([row for row in rows[1:] if row], columns=names, dtype=object)
    for row, number in enumerate(table["sample"]):
        checks.require(number.isdecimal(), f"{path.name}, row {row + 2}, sample", number, "a whole number")
    table["sample"] = table["sample"].astype(np.int64)
    made_of = set(table["data"]) if "data" in names else set()
    checks.require(len(made_of) <= 1, "path", str(path), "a file of decisions on one data set")
    if made_of - {""}:
        table.attrs[MADE_OF] = made_of.pop()
    return table
