"""Recorded tables: a sweep that takes long, kept as NAME.csv beside NAME.json, which says how it was made.

`make_table` writes both, `load_table` and `fault` read them; nothing else knows their format.
"""

import hashlib
import inspect
import io
import itertools
import json
import os
import shutil
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from helpers import checks
from helpers.files import write_atomically
from helpers.runtime import CHECKPOINTS_VARIABLE, provenance
from helpers.sweeps.grid import sweep

FORMAT, DIGITS = "signal-first recording 1", 5
AT_A_TIME = 200  # cells given to a pool at once: CPython 3.11 may hang if a worker dies with thousands in the queue
# In an installed package in its folder, in the repository in the book's.
PLACES = (Path(__file__).parents[1] / "results", Path(__file__).parents[3] / "book" / "results")


@dataclass(frozen=True)
class TablePlan:
    """A sweep worth recording: the function of a cell, its grid, and what the table shows, in a sentence.

    at_a_time : cells given to the workers at once; between two such parts the clock is read. reads : the environment
    variables that name the files its cells read.
    """

    function: Callable
    grid: dict
    about: str
    _: KW_ONLY
    at_a_time: int = AT_A_TIME
    reads: tuple = ()


@dataclass(frozen=True, eq=False)
class Table:
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

    def curves(self, column, *, time="epoch", run="seed", **where):
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


def load_table(name):
    """The recording `name`. Raises ValueError for another name than those recorded."""
    folder = next(place for place in PLACES if place.is_dir())
    names = sorted(path.stem for path in folder.glob("*.json"))
    checks.one_of("name", name, names)
    return Table(name, pd.read_csv(folder / f"{name}.csv"), json.loads((folder / f"{name}.json").read_text("utf-8")))


def description(plan):
    """What decides a plan's numbers, as JSON: function, grid and the function's default arguments."""
    parameters = inspect.signature(plan.function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in plan.grid}
    # The bare name: a function that moves to another module is the same.
    return {"format": FORMAT, "about": plan.about, "function": plan.function.__name__, "grid": plan.grid,
            "arguments": defaults, "digits": DIGITS}


def fault(name, plan, results):
    """Why `name` has to be recorded, in words; None if its files are whole and of the present description."""
    try:
        made = json.loads((results / f"{name}.json").read_text("utf-8"))
        rows = len((results / f"{name}.csv").read_text("utf-8").splitlines()) - 1
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except ValueError:
        return f"{name}.json is not readable"
    present = description(plan)
    changed = [key for key in present if made.get(key) != present[key]]
    if changed:
        return f"{name}.json was made with another {', '.join(changed)}"
    return None if rows == made.get("rows") else f"{name}.csv has {rows} rows, not {made.get('rows')}"


def files_read(plan):
    """{variable: what its file is, by name and the start of its SHA-256; a folder by its name}. ValueError if not set.

    Of a folder torchvision checks the files itself.
    """
    found = {}
    for variable in plan.reads:
        path = Path(os.environ.get(variable, ""))
        if not os.environ.get(variable) or not path.exists():
            raise ValueError(f"{variable}={os.environ.get(variable)!r}: must name files to read")
        digest = "" if path.is_dir() else f", sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        found[variable] = path.name + digest
    return found


def make_table(name, plan, results, store, workers, *, deadline=float("inf"), files=None, note="", commit=None):
    """Run the sweep and write NAME.csv and NAME.json. Cells in `store` are not computed again.

    files : as from `files_read`; the cells of other files are other cells, and kept apart. note : kept in the JSON.
    Returns what the JSON says; None if the time.monotonic() `deadline` came first, with the cells so far in the store.
    """
    made_by, start = provenance() | {"commit": commit}, time.perf_counter()
    if files:
        store = Path(store) / hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]
    before = stored_cells(store)
    parts = _parts(plan)
    checkpoints = Path(store) / "checkpoints"
    with _environment(CHECKPOINTS_VARIABLE, str(checkpoints)):  # a killed training run goes on, too
        if workers == 1:
            whole = _compute(plan.function, parts, None, store, deadline)
        else:
            context = get_context("spawn")  # a fork server that runs already would have the environment of its start
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                whole = _compute(plan.function, parts, pool, store, deadline)
    if not whole:
        return None
    shutil.rmtree(checkpoints, ignore_errors=True)
    table = sweep(plan.function, plan.grid, store=store)  # reads the store
    seconds, computed, cells = time.perf_counter() - start, stored_cells(store) - before, sum(map(len, parts))
    made = description(plan) | {
        "rows": len(table), "columns": list(table.columns), "workers": workers, "seconds": round(seconds, 1),
        "cells_computed": computed, "cells_from_store": cells - computed,
        "recorded": time.strftime("%Y-%m-%d", time.gmtime()), "made_by": made_by, "files": files or {}, "note": note}
    text = io.StringIO()
    table.to_csv(text, index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    write_atomically(results / f"{name}.csv", text.getvalue().encode())
    # Last: without it, or with an old one, the plan counts as missing.
    write_atomically(results / f"{name}.json", (json.dumps(made, indent=1) + "\n").encode())
    return made


@contextmanager
def _environment(name, value):
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _compute(function, parts, pool, store, deadline):
    """Whether every part was swept before the deadline."""
    for part in parts:
        if time.monotonic() >= deadline:
            return False
        sweep(function, part, executor=pool, store=store)
    return True


def _parts(plan):
    """The grid's cells in lists of `at_a_time`."""
    cells = [dict(zip(plan.grid, values)) for values in itertools.product(*plan.grid.values())]
    return [cells[first:first + plan.at_a_time] for first in range(0, len(cells), plan.at_a_time)]


def stored_cells(store):
    """How many finished cells a store holds."""
    return sum(1 for _ in Path(store).rglob("*.json"))
