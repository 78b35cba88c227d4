"""Recorded runs: the tables that `make record` writes to book/results, and how each was made."""

import json
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
        where = f"{made_by['device']} ({self.made['workers']} workers"
        files = "; ".join([*self.made.get("files", {}).values(), *filter(None, [self.made.get("note")])])
        return (f"{self.name}, recorded {self.made['recorded']} on {where}, "
                f"{self.made['seconds'] / 60:.0f} min), torch {made_by['torch']}{commit}: {self.made['about']}"
                + (f". Read: {files}" if files else ""))


def load_recorded(name):
    """The recording `name`; None where this copy of the book comes without recorded results.

    Raises ValueError if there are recorded results, but none of this name.
    """
    folder = next((place for place in PLACES if place.is_dir()), None)
    if folder is None:
        return None
    names = sorted(path.stem for path in folder.glob("*.json"))
    checks.one_of("name", name, names)
    return Recorded(name, pd.read_csv(folder / f"{name}.csv"), json.loads((folder / f"{name}.json").read_text("utf-8")))
