"""Recorded runs: the tables that `make record` writes to book/results, and how each was made."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers import checks

# In an installed package beside this file, in the repository in the book's folder.
PLACES = (Path(__file__).parent / "results", Path(__file__).parents[2] / "book" / "results")


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recorded table and how it was made (NAME.csv, NAME.json).

    table : a row for each row of the sweep. made : function, grid, arguments, seconds, workers, date, the files read, a
    note, and made_by: device, versions, source hash and commit.
    """

    name: str
    table: pd.DataFrame
    made: dict

    def __str__(self):
        made_by = self.made["made_by"]
        commit = f", commit {made_by['commit']}" if made_by.get("commit") else ""
        lines = [f"{self.name}: {self.made['about']}.",
                 f"Recorded {self.made['recorded']} on {made_by['device']} (workers: {self.made['workers']}) in "
                 f"{self.made['seconds'] / 60:.0f} min, torch {made_by['torch']}{commit}."]
        lines += [f"Read {file}." for file in self.made.get("files", {}).values()]
        lines += [f"Note: {self.made['note']}."] if self.made.get("note") else []
        return "\n".join(textwrap.fill(line, 78, subsequent_indent="    ") for line in lines)

    def curves(self, column, time="epoch", run="seed", **where):
        """(times (T,), values (runs, T)) of a column, from the rows in which other columns have the values `where`.

        Raises ValueError if a column is not there, or if the runs do not have a value each at the same times.
        """
        for name in (column, time, run, *where):
            checks.one_of("column", name, tuple(self.table.columns))
        rows = self.table
        for name, value in where.items():
            rows = rows[rows[name] == value]
        wide = rows.pivot(index=run, columns=time, values=column)
        checks.require(wide.size > 0 and wide.notna().to_numpy().all(), "where", where, "one row for each run and time")
        return wide.columns.to_numpy(), wide.to_numpy()


def load_recorded(name):
    """The recording `name`. Raises ValueError for another name than those recorded."""
    folder = next(place for place in PLACES if place.is_dir())
    names = sorted(path.stem for path in folder.glob("*.json"))
    checks.one_of("name", name, names)
    return Recorded(name, pd.read_csv(folder / f"{name}.csv"), json.loads((folder / f"{name}.json").read_text("utf-8")))
