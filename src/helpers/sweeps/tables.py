"""Recorded tables: a sweep that takes long, kept as NAME.csv beside NAME.json, which says how it was made.

A `TablePlan` says what to sweep. `make_table` sweeps it and writes both files, `table_fault` tells whether they are
still what the plan says, and `load_table` reads them as a `Table`. Nothing else knows their format.
"""

import hashlib
import inspect
import io
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Real, Shaped

from helpers import checks
from helpers.entry import entry
from helpers.files import remove_leftovers, write_atomically
from helpers.runtime import CHECKPOINTS_VARIABLE, code_fingerprints, is_module, provenance
from helpers.sweeps.grid import sweep
from helpers.sweeps.store import Cell, Scalar, stored_cells
from helpers.sweeps.workers import worker_pool

FORMAT, DIGITS = "signal-first recording 1", 5
TIMINGS = ("seconds",)  # columns that no second run repeats
AT_A_TIME = 200  # cells given to a pool at once: CPython 3.11 may hang if a worker dies with thousands in the queue
# In an installed package in its folder, in the repository in the book's.
PLACES = (Path(__file__).parents[1] / "results", Path(__file__).parents[3] / "book" / "results")
# Run in the code of another checkout, so it takes no more of the package than what has long been there.
PROBE = """
import json, sys
from importlib import import_module
from helpers.runtime import code_fingerprints
from helpers.sweeps.grid import sweep
module, function, cell, timings = json.loads(sys.argv[1])
rows = sweep(getattr(import_module(f"helpers.{module}"), function), [cell]).drop(columns=timings, errors="ignore")
print(json.dumps([code_fingerprints(module), json.dumps(rows.to_dict("records"), default=float)]))
"""


@entry
@dataclass(frozen=True)
class TablePlan:
    """What to sweep for a table.

    Parameters
    ----------
    function
        computes one cell.
    grid
        argument name -> list of values, as for `sweep`.
    about
        what the table shows, in a sentence.
    at_a_time
        cells given to the workers at once; between two such parts the clock is read.
    reads
        environment variables that name the files which the cells read.
    probe
        arguments that make the first cell small enough to compute it again at any time: `verify` compares its rows.
        Without them the first cell itself is computed again.
    """

    function: Callable
    grid: dict[str, list]
    about: str
    _: KW_ONLY
    at_a_time: int = AT_A_TIME
    reads: tuple[str, ...] = ()
    probe: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.require(bool(self.grid) and all(self.grid.values()), "grid", self.grid, "one value or more by name")
        checks.integer("at_a_time", self.at_a_time)


@dataclass(frozen=True, eq=False)
class Table:
    """A recorded table and how it was made; printed, it says so in a few lines.

    Attributes
    ----------
    name
        its files are NAME.csv and NAME.json.
    table
        a row per row of the sweep.
    made
        function, grid, arguments, seconds, workers, date, the files read, a note, and made_by: device, versions, source
        hash and commit.
    """

    name: str
    table: pd.DataFrame
    made: dict

    def __str__(self) -> str:
        made_by = self.made["made_by"]
        commit = f", commit {made_by['commit']}" if made_by.get("commit") else ""
        lines = [f"{self.name}: {self.made['about']}.",
                 f"Recorded {self.made['recorded']} on {made_by['device']} (workers: {self.made['workers']}) in "
                 f"{self.made['seconds'] / 60:.0f} min, torch {made_by['torch']}{commit}."]
        lines += [f"Read {file}." for file in self.made.get("files", {}).values()]
        lines += [f"Note: {self.made['note']}."] if self.made.get("note") else []
        changed = changed_sources(self.made)
        lines += [f"OUT OF DATE: since then the code of {', '.join(changed)} has changed."] if changed else []
        return "\n".join(textwrap.fill(line, 78, subsequent_indent="    ") for line in lines)

    @entry
    def curves(self, column: str, *, time: str = "epoch", run: str = "seed",
               **where: Scalar) -> tuple[Real[np.ndarray, " T"], Shaped[np.ndarray, "runs T"]]:
        """One column over time, a curve per run.

        Parameters
        ----------
        column
            the column.
        time, run
            the columns that tell times and runs apart.
        where
            values of other columns that choose the rows.

        Returns
        -------
        times, values
            the times, and the column's value for each run and time.

        Raises
        ------
        ValueError
            If a column is not there, or the runs do not have one value each at the same times.
        """
        for argument, name in (("column", column), ("time", time), ("run", run), *(("column", name) for name in where)):
            checks.one_of(argument, name, tuple(self.table.columns))
        checks.require(len({column, time, run}) == 3, "column", column, f"another than time, {time}, and run, {run}")
        rows = self.table
        for name, value in where.items():
            rows = rows[rows[name] == value]
        wide = rows.pivot(index=run, columns=time, values=column)
        checks.require(wide.size > 0 and wide.notna().to_numpy().all(), "where", where, "one row for each run and time")
        return wide.columns.to_numpy(), wide.to_numpy()


def load_table(name: str) -> Table:
    """Read a recorded table.

    Raises
    ------
    ValueError
        If there is no recording of this name, or its files are not those that were recorded.

    Examples
    --------
    >>> from helpers.sweeps import load_table
    >>> recorded = load_table("phase_flips")
    >>> len(recorded.table) == recorded.made["rows"]
    True
    >>> recorded.made["function"], sorted(recorded.made["grid"])
    ('phase_cell', ['d_over_n', 'flip_rate', 'n_snr2'])
    """
    folder = next(place for place in PLACES if place.is_dir())
    names = sorted(path.stem for path in folder.glob("*.json"))
    checks.one_of("name", name, names)
    return Table(name, *_read(name, folder))


def _read(name: str, folder: Path) -> tuple[pd.DataFrame, dict]:
    """A table and how it was made. Raises ValueError, naming the file, for other files than those that were written."""
    csv, description = _paths(folder, name)
    written, content = description.read_bytes(), csv.read_bytes()
    try:
        made = json.loads(written)
        recorded, columns = made["sha256"], made["columns"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{description.name} is not readable; {type(error).__name__}: {error}") from error
    if recorded != _checksum(content):
        raise ValueError(f"{csv.name} is damaged or was changed: {description.name} was written with another")
    table = pd.read_csv(io.BytesIO(content))
    if columns != list(table.columns):
        raise ValueError(f"{csv.name} has other columns than {description.name} says, {columns}")
    return table, made


def _checksum(csv: bytes) -> str:
    """SHA-256 of a table's text, whatever a checkout made of its line ends."""
    return hashlib.sha256(csv.replace(b"\r\n", b"\n")).hexdigest()


@entry
def table_fault(name: str, plan: TablePlan, results: Path) -> str | None:
    """Why the table has to be made, in words; None if its files in `results` are whole and what the plan says."""
    _, made = _paths(results, name)
    try:
        table, found = _read(name, results)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except ValueError as error:
        return str(error)
    wanted = _description(plan)
    changed = [key for key in wanted if found.get(key) != wanted[key]]
    if changed:
        return f"{made.name} was made with another {', '.join(changed)}"
    if len(table) != found.get("rows"):
        return f"{name}.csv has {len(table)} rows, not {found.get('rows')}"
    changed = changed_sources(found)
    return f"{made.name} was made by other code of {', '.join(changed)}" if changed else None


def changed_sources(made: dict) -> list[str]:
    """The modules behind a recorded table whose code is no longer what it was when the table was made or verified.

    `made` is what the table's JSON says. A module that was not there then, or is no longer, has changed; where the JSON
    says nothing of the code, all of it has.
    """
    if "sources" not in made:
        return ["every module"]
    known, now = made["sources"], _code_behind(made["module"])
    return sorted(name for name in known | now if known.get(name) != now.get(name))


def verify(name: str, plan: TablePlan, results: Path, *, against: str | PathLike | None = None) -> bool:
    """Compute the plan's probe again, and if it gives the numbers that it gave, note the code as it is now.

    Without a probe the first cell is computed again, and compared with its rows in the table. On another CPU float32
    gives other last digits: `against`, a checkout of the code that made the table, is compared in place of the table's
    numbers, digit by digit, as both compute them on this machine. Returns whether the numbers are the same; if not,
    nothing is written and the table has to be made anew. Raises ValueError where the files that the cells read are not
    those that the table was made from, or `against` is not its code, which would tell nothing of the code; or where
    the table's own files are damaged.
    """
    _, description = _paths(results, name)
    table, made = _read(name, results)
    files, recorded = table_files_read(plan), made.get("files", {})
    checks.require(files == recorded, "files", files, f"those of {description.name}, {recorded}")
    same = _as_recorded(plan, table, made) if against is None else _as_computed_by(Path(against), plan, made)
    if same:
        _describe(description, made | _sources(plan))
    return same


def _as_recorded(plan: TablePlan, table: pd.DataFrame, made: dict) -> bool:
    """Whether the probe gives the numbers that were written."""
    again, cell = _probe_rows(plan), _first_cell(plan)
    before = pd.DataFrame(made["probe"]) if plan.probe else table[(table[list(cell)] == pd.Series(cell)).all(axis=1)]
    known = {*TIMINGS, *cell}
    again, before = (_written(pd.DataFrame(rows).dropna(axis=1, how="all").drop(columns=known, errors="ignore"))
                     for rows in (again, before))
    return again == before


def _as_computed_by(checkout: Path, plan: TablePlan, made: dict) -> bool:
    """Whether the probe gives the same in the code that made the table, which is in `checkout`, and in this one."""
    checks.require((checkout / "src" / "helpers").is_dir(), "against", str(checkout), "a checkout of this repository")
    (then, before), (_, now) = (_probe_in(source, plan) for source in (checkout / "src", Path(__file__).parents[2]))
    checks.require(then == made.get("sources"), "against", str(checkout), "a checkout of the code that made the table")
    return before == now


def _probe_in(source: Path, plan: TablePlan) -> tuple[dict, str]:
    """Fingerprints of the code behind a plan, and the probe's rows as text, by the package in the folder `source`."""
    task = [_sources(plan)["module"], plan.function.__name__, _first_cell(plan) | plan.probe, TIMINGS]
    run = subprocess.run([sys.executable, "-P", "-c", PROBE, json.dumps(task)], capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": str(source.resolve())})
    said = (run.stderr.splitlines() or [""])[-1]
    checks.require(run.returncode == 0, "against", str(source), f"code in which {task[1]} runs; it says {said}")
    sources, rows = json.loads(run.stdout.splitlines()[-1])
    return sources, rows


def _first_cell(plan: TablePlan) -> Cell:
    return {name: values[0] for name, values in plan.grid.items()}


def _probe_rows(plan: TablePlan) -> list[dict]:
    """The rows of the first cell, made small by the plan's probe."""
    return sweep(plan.function, [_first_cell(plan) | plan.probe]).to_dict("records")


def _sources(plan: TablePlan) -> dict:
    """The module of a plan's function, which is one of this package, and the fingerprints of all code behind it."""
    module = inspect.unwrap(plan.function).__module__.removeprefix("helpers.")
    return {"module": module, "sources": _code_behind(module)}


def _code_behind(module: str) -> dict[str, str]:
    """The fingerprints behind a module of this package; behind one from elsewhere those of all."""
    return code_fingerprints(module if is_module(module) else None)


@entry
def table_files_read(plan: TablePlan) -> dict[str, str]:
    """What the files are that a plan's cells read, by environment variable: name and start of the SHA-256 checksum.

    A folder is told by its name alone: torchvision checks the files in it itself. Raises ValueError where a variable
    names no file or folder.
    """
    found = {}
    for variable in plan.reads:
        path = Path(os.environ.get(variable, ""))
        if not os.environ.get(variable) or not path.exists():
            raise ValueError(f"{variable}={os.environ.get(variable)!r}: must name files to read")
        digest = "" if path.is_dir() else f", sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        found[variable] = path.name + digest
    return found


@entry(own=("deadline",))
def make_table(name: str, plan: TablePlan, results: Path, store: str | PathLike, workers: int, *,
               deadline: float = float("inf"), files: dict[str, str] | None = None, note: str = "",
               commit: str | None = None) -> dict | None:
    """Sweep a plan and write NAME.csv and NAME.json.

    Parameters
    ----------
    name, plan
        the table's name, and what to sweep for it, with a function of this package.
    results
        the folder for both files.
    store
        the folder for finished cells, which are not computed again.
    workers
        processes; 1 computes here.
    deadline
        a time of `time.monotonic` at which to begin no new part of the grid.
    files
        as from `table_files_read`. The cells of other files are other cells, and kept apart.
    note, commit
        kept in the JSON.

    Returns
    -------
    made
        what the JSON says; None if the deadline came first, with the cells so far in the store.
    """
    checks.require(name != "" and Path(name).name == name, "name", name, "the name of a file, without its ending")
    workers = checks.integer("workers", workers, 1, 10**4)
    number = isinstance(deadline, int | float) and not isinstance(deadline, bool) and not math.isnan(deadline)
    checks.require(number, "deadline", deadline, "a time, or infinity")
    made_by, start = provenance() | {"commit": commit}, time.perf_counter()
    if files:
        store = checks.path("store", store) / hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]
    before, parts = stored_cells(store), _parts(plan)
    if not _sweep_parts(plan.function, parts, store, workers, deadline):
        return None
    table = sweep(plan.function, plan.grid, store=store)  # reads the store
    seconds, computed, cells = time.perf_counter() - start, stored_cells(store) - before, sum(map(len, parts))
    probe = [{key: value for key, value in row.items() if key not in TIMINGS} for row in _probe_rows(plan)] \
        if plan.probe else []
    made = _description(plan) | _sources(plan) | {"probe": probe} | {
        "rows": len(table), "columns": list(table.columns), "workers": workers, "seconds": round(seconds, 1),
        "cells_computed": computed, "cells_from_store": cells - computed,
        "recorded": time.strftime("%Y-%m-%d", time.gmtime()), "made_by": made_by, "files": files or {}, "note": note}
    _write(name, table, made, results)
    return made


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the table and the description of how it was made are."""
    return folder / f"{name}.csv", folder / f"{name}.json"


def _description(plan: TablePlan) -> dict:
    """What decides a plan's numbers, for the JSON: function, grid and the function's default arguments."""
    parameters = inspect.signature(plan.function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in plan.grid}
    # The bare name: a function that moves to another module is the same.
    return {"format": FORMAT, "about": plan.about, "function": plan.function.__name__, "grid": plan.grid,
            "arguments": defaults, "digits": DIGITS}


def _parts(plan: TablePlan) -> list[list[Cell]]:
    """The grid's cells in lists of `at_a_time`."""
    cells = [dict(zip(plan.grid, values)) for values in itertools.product(*plan.grid.values())]
    return [cells[first:first + plan.at_a_time] for first in range(0, len(cells), plan.at_a_time)]


def _sweep_parts(function: Callable, parts: list[list[Cell]], store: str | PathLike, workers: int,
                 deadline: float) -> bool:
    """Sweep part after part into the store; whether all were begun before the deadline."""
    checkpoints = checks.path("store", store) / "checkpoints"
    # A killed training goes on, too.
    with _environment(CHECKPOINTS_VARIABLE, str(checkpoints)), worker_pool(workers) as pool:
        for part in parts:
            if time.monotonic() >= deadline:
                return False
            sweep(function, part, executor=pool, store=store)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return True


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _write(name: str, table: pd.DataFrame, made: dict, results: Path) -> None:
    csv, description = _paths(results, name)
    remove_leftovers(results)
    content = _written(table).encode()
    write_atomically(csv, content)
    # Last: without it, or with an old one, the plan counts as missing.
    _describe(description, made | {"sha256": _checksum(content)})


def _written(table: pd.DataFrame) -> str:
    """A table as the text of its file."""
    text = io.StringIO()
    table.to_csv(text, index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    return text.getvalue()


def _describe(description: Path, made: dict) -> None:
    write_atomically(description, (json.dumps(made, indent=1) + "\n").encode())
