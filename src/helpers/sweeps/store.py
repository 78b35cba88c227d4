"""Where a sweep keeps its finished cells: one small JSON file for each, named by its key."""

import hashlib
import json
from os import PathLike
from pathlib import Path

from helpers import checks
from helpers.entry import entry
from helpers.files import write_atomically

FORMAT = "signal-first sweep 3"
Cell = dict[str, object]  # the arguments of one call, by name
Scalar = bool | int | float | str | None
Row = dict[str, Scalar]  # a part of what the call returns


class StoreFileError(ValueError):
    """A file in the store that is not the whole, readable result of its cell."""


def save_in_store(path: Path, rows: list[Row]) -> None:
    """Write the rows of a cell to `path`, whose stem is the cell's key."""
    content = {"format": FORMAT, "key": path.stem, "rows": rows}
    write_atomically(path, json.dumps(content | {"sha256": _checksum(rows)}).encode())


def _checksum(rows: list[Row]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_from_store(path: Path, damaged: str) -> list[Row] | None:
    """Rows of a stored cell, or None where it must be computed. JSON writes a float as repr does: exactly.

    A file that is not whole, or not this cell's, raises StoreFileError; with damaged="recompute" it counts as absent.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["key"] != path.stem:
            raise ValueError("another format, or another cell's")
        if content["sha256"] != _checksum(content["rows"]):
            raise ValueError("the rows do not have their checksum")
        return [dict(row) for row in content["rows"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if damaged == "recompute":
            return None
        raise StoreFileError(f"store file {str(path)!r}: must be the whole result of its cell; {type(error).__name__}: "
                             f"{error}. Delete it, or call sweep with damaged='recompute'") from error


@entry
def stored_cells(store: str | PathLike) -> int:
    """How many finished cells a store holds."""
    return sum(1 for _ in checks.path("store", store).rglob("*.json"))
