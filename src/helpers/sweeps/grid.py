"""One function over a grid of arguments, on any executor, resumable: a tidy table whatever the order of completion."""

import itertools
import pickle
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import checks
from helpers.files import remove_leftovers
from helpers.sweeps.cell_keys import plain_for_store, store_keys
from helpers.sweeps.store import Cell, Row, Scalar, load_from_store, save_in_store

Result = TypeVar("Result")


class SweepError(RuntimeError):
    """A cell whose function raised; the cells that had finished are in the store."""


def sweep(function: Callable, grid: dict[str, Sequence | np.ndarray] | Sequence[Cell], *,
          executor: Executor | None = None, store: str | PathLike | None = None, progress: bool | None = None,
          damaged: str = "error") -> pd.DataFrame:
    """Call ``function(**cell)`` for every cell of `grid`; return a table of arguments and results, in grid order.

    Whatever is raised, cells that have not begun are cancelled and cells that have finished are kept, so that the same
    call resumes.

    Parameters
    ----------
    function
        returns a scalar (column "value"), a dict of scalars, or several rows: a list of dicts or a DataFrame.
    grid
        a dict of argument name -> sequence of values, whose product is taken (the last name runs fastest), or a list of
        dicts, the cells. A value is None, a bool, int, float, str, path, list, tuple, frozen dataclass or numpy scalar;
        the last is passed on as Python's.
    executor
        any concurrent.futures.Executor, e.g. a process pool or a Dask client's get_executor(); None: here. It must be
        able to send the function to its workers: a process pool needs one that can be imported.
    store
        a folder. Each finished cell is written there at once, and not computed again by a later call. See
        `helpers.sweeps.cell_keys.store_keys` for when a cell counts as the same.
    progress
        whether to draw a progress bar; None: only where standard error is a terminal.
    damaged
        what to do with a store file that is truncated or not this cell's: "error", or "recompute" it.

    Returns
    -------
    table
        a column per argument and per name in the results, a row per row of the results.

    Raises
    ------
    ValueError
        If the input is bad.
    StoreFileError
        If a store file is damaged.
    SweepError
        If the function raises; it names the cell. What the executor raises when it breaks is raised as it is.

    Examples
    --------
    >>> from helpers import sweep
    >>> sweep(lambda a, b: {"sum": a + b}, {"a": [1, 2], "b": [10, 20]})
       a   b  sum
    0  1  10   11
    1  1  20   21
    2  2  10   12
    3  2  20   22
    """
    checks.require(callable(function), "function", function, "callable")
    checks.require(executor is None or isinstance(executor, Executor), "executor", executor,
                   "None or a concurrent.futures.Executor")
    checks.one_of("progress", progress, (None, False, True))
    checks.one_of("damaged", damaged, ("error", "recompute"))
    cells = _cells(grid)
    paths = [] if store is None else _paths(store, store_keys(function, cells))
    results = {i: rows for i, path in enumerate(paths) if (rows := load_from_store(path, damaged)) is not None}
    missing = {i: cell for i, cell in enumerate(cells) if i not in results}
    bar = tqdm(total=len(cells), initial=len(results), disable=None if progress is None else not progress)

    def keep(index, rows):
        if paths:
            save_in_store(paths[index], rows)
        results[index] = rows
        bar.update()

    with bar:
        _compute(function, missing, executor, keep)
    return pd.DataFrame([cell | row for i, cell in enumerate(cells) for row in results[i]])


def _compute(function: Callable, cells: dict[int, Cell], executor: Executor | None,
             keep: Callable[[int, list[Row]], None]) -> None:
    """Call keep(index, rows) for each of `cells`, an index -> cell dict, as it finishes."""
    if executor is None:
        for index, cell in cells.items():
            keep(index, _result(cell, partial(_rows, function, cell)))
        return
    futures, call = {}, uuid.uuid4().hex
    try:
        for index, cell in cells.items():
            futures[executor.submit(_rows, function, cell, call)] = index
        for future in as_completed(futures):
            index = futures[future]
            keep(index, _result(cells[index], future.result))
            del futures[future]
    except BaseException as error:  # also an interrupt: nothing more begins, and what is done is kept
        if not isinstance(error, BrokenExecutor):  # which ends its futures itself, and trips over a cancelled one
            for future in futures:
                future.cancel()
        for future, index in futures.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                keep(index, future.result())
        raise


def _result(cell: Cell, compute: Callable[[], Result]) -> Result:
    try:
        return compute()
    except BrokenExecutor:  # a worker died: no fault of this cell's
        raise
    except Exception as error:
        raise SweepError(f"cell {cell!r}: {type(error).__name__}: {error}") from error


def _rows(function: Callable, cell: Cell, call: str | None = None) -> list[Row]:
    """The rows of one cell: a list of dicts of Python scalars. This is what a worker runs and sends back.

    `call` is not used: it makes a resumed sweep's tasks new to Dask, which hands out the old result, or the old error,
    of a call with the same arguments.
    """
    failed = None
    try:
        result = function(**cell)
    except Exception as error:
        if call is None:
            raise
        failed = _portable(error)
    if failed is not None:  # outside of the handler: else the first error would travel as its context
        raise failed
    if isinstance(result, pd.DataFrame):
        result = result.to_dict("records")
    rows = result if isinstance(result, list) else [result if isinstance(result, dict) else {"value": result}]
    return [_row(row, cell) for row in rows]


def _portable(error: Exception) -> Exception:
    """The error, or its text where it would not arrive: a pool that cannot unpickle an error breaks."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does
        return RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
    return error


def _row(row: object, cell: Cell) -> Row:
    checks.require(isinstance(row, dict), "function's result", row, "a scalar, a dict of scalars or a list of dicts")
    clash = [name for name in row if not isinstance(name, str) or name in cell]
    checks.require(not clash, "function's result's names", clash, "strings other than the arguments' names")
    return {name: _scalar(name, value) for name, value in row.items()}


def _scalar(name: str, value: object) -> Scalar:
    if getattr(value, "ndim", None) == 0:  # of numpy or of torch
        value = value.item()
    checks.require(type(value) in (type(None), bool, int, float, str), f"function's result {name!r}", value,
                   "None, a bool, int, float or str")
    return value


def _paths(store: str | PathLike, keys: Iterable[str]) -> list[Path]:
    folder = checks.path("store", store)
    checks.require(folder.is_dir() or not folder.exists(), "store", str(store), "a folder, or a path to make one at")
    remove_leftovers(folder)
    return [folder / f"{key}.json" for key in keys]


def _cells(grid: dict[str, Sequence | np.ndarray] | Sequence[Cell]) -> list[Cell]:
    """The list of cells, dicts with the same names and plain values."""
    if isinstance(grid, dict):
        for name, values in grid.items():
            listed = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
            listed = listed or (isinstance(values, np.ndarray) and values.ndim == 1)
            checks.require(listed, f"grid[{name!r}]", values, "a list, tuple, range or array of values")
        cells = [dict(zip(grid, values)) for values in itertools.product(*grid.values())] if grid else []
    else:
        listed = isinstance(grid, (list, tuple)) and all(isinstance(cell, dict) for cell in grid)
        checks.require(listed, "grid", grid, "a dict of lists or a list of dicts")
        cells = grid
    checks.require(len(cells) > 0, "grid", grid, "not empty")
    for cell in cells:
        named = all(isinstance(name, str) for name in cell) and cell.keys() == cells[0].keys()
        checks.require(named, "grid", cell, f"cells with the arguments {list(cells[0])}")
    cells = [{name: value.item() if isinstance(value, np.generic) else value for name, value in cell.items()}
             for cell in cells]
    for cell in cells:
        for name, value in cell.items():
            plain_for_store(name, value)
    return cells
