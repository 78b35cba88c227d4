"""Sweeps: the same table on every executor, exact resumption, refusal of damaged files and bad input."""

import contextlib
import linecache
import math
import os
import re
import signal
import socket
import threading
import time
import uuid
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cells import one, raises_what_cannot_travel, same

from helpers.sweeps.grid import SweepError, sweep


def measure(x, c, folder):
    """Two rows per cell. Files in `folder` count the calls, and ask for a failure (once) at x = 2."""
    folder = Path(folder)
    (folder / f"call-{x}-{c}-{uuid.uuid4().hex}").touch()
    if x == 2 and asked(folder / "fail"):
        raise RuntimeError("asked to fail")
    if x == 2 and asked(folder / "interrupt"):
        raise KeyboardInterrupt
    if x == 2 and asked(folder / "kill"):
        while not list(folder.glob("store/*.json")):  # until the sweep has kept some other cell
            time.sleep(0.01)
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"part": part, "value": math.sin(x + c) / (1 + part)} for part in range(2)]


def asked(path):
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def calls(folder):
    return len(list(folder.glob("call-*")))


def grid_in(folder):
    return {"x": [0, 1, 2, 3], "c": np.array([0.1, 8.0]), "folder": [str(folder)]}


def process_pool():
    context = get_context("forkserver")
    context.set_forkserver_preload(["distributed", "helpers.sweeps.grid"])  # imported once, not by every worker
    ensure_running()  # before Dask wants to preload less
    return ProcessPoolExecutor(2, mp_context=context)


def test_table_is_tidy_and_in_grid_order(tmp_path):
    table = sweep(measure, grid_in(tmp_path))
    assert list(table.columns) == ["x", "c", "folder", "part", "value"]
    assert table["x"].tolist() == [x for x in range(4) for _ in range(4)]
    assert table["c"].tolist() == [0.1, 0.1, 8.0, 8.0] * 4
    assert table["value"][0] == math.sin(0.1)
    assert calls(tmp_path) == 8


@pytest.mark.parametrize("pool", [lambda: ThreadPoolExecutor(3), process_pool])
def test_pools_give_the_table_of_a_plain_loop(tmp_path, pool):
    with pool() as executor:
        same(sweep(measure, grid_in(tmp_path), executor=executor, store=tmp_path / "store"), sweep(measure,
                                                                                                   grid_in(tmp_path)))


def test_order_of_completion_does_not_show():
    gates = [threading.Event() for _ in range(3)]

    def last_first(x):
        if x < 2:
            gates[x + 1].wait(10)
        gates[x].set()
        return x

    with ThreadPoolExecutor(3) as executor:
        assert sweep(last_first, {"x": range(3)}, executor=executor)["value"].tolist() == [0, 1, 2]


@pytest.fixture
def dashboards_port_taken():
    """Another program, RStudio or a second cluster, has the port that Dask's dashboard asks for by default."""
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # by one that runs here
            taken.bind(("", 8787))
            taken.listen()
        yield


@pytest.mark.usefixtures("dashboards_port_taken")
def test_dask_cluster_with_a_worker_killed_gives_the_same_table(tmp_path):
    import dask
    from distributed import Client, LocalCluster

    process_pool().shutdown()  # starts the server that forks the workers
    expected = sweep(measure, grid_in(tmp_path))
    (tmp_path / "kill").touch()
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    forked = dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    with forked, LocalCluster(processes=True, silence_logs=50, **options) as cluster, Client(cluster) as client:
        pids = set(client.run(os.getpid).values())
        assert len(pids) == 2 and os.getpid() not in pids
        table = sweep(measure, grid_in(tmp_path), executor=client.get_executor(), store=tmp_path / "store")
    assert int((tmp_path / "killed").read_text()) in pids
    same(table, expected)
    assert calls(tmp_path) >= 8 + 8 + 1  # the killed worker's cell began twice, others of its results may be lost too


@pytest.mark.usefixtures("dashboards_port_taken")
def test_dask_runs_a_failed_cell_anew(tmp_path):
    from distributed import Client, LocalCluster

    (tmp_path / "fail").touch()
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(processes=False, silence_logs=50, **options) as cluster, Client(cluster) as client:
        executor = client.get_executor()
        with pytest.raises(SweepError) as raised:  # keeps the traceback, hence the failed futures, alive
            sweep(measure, grid_in(tmp_path), executor=executor, store=tmp_path / "store")
        table = sweep(measure, grid_in(tmp_path), executor=executor, store=tmp_path / "store")
    assert "asked to fail" in str(raised.value)
    same(table, sweep(measure, grid_in(tmp_path)))


def test_no_cluster_asks_for_a_port_that_another_program_may_have():
    """Without an address Dask takes 8787."""
    root = Path(__file__).parents[2]
    for path in [*root.glob("nbs/*.md"), *root.glob("book/**/*.md"), *root.glob("benchmarks/*.py")]:
        calls = re.findall(r"= LocalCluster\([^)]*\)", path.read_text("utf-8"))
        assert all('dashboard_address="127.0.0.1:0"' in call for call in calls), path


def test_process_pool_that_breaks_keeps_what_had_finished(tmp_path):
    grid, store = grid_in(tmp_path), tmp_path / "store"
    (tmp_path / "kill").touch()
    with process_pool() as executor, pytest.raises(BrokenProcessPool):
        sweep(measure, grid, executor=executor, store=store)
    stored, before = len(list(store.iterdir())), calls(tmp_path)
    assert 1 <= stored < 8
    table = sweep(measure, grid, store=store)
    assert calls(tmp_path) - before == 8 - stored
    same(table, sweep(measure, grid))


@pytest.mark.parametrize("pool", [None, lambda: ThreadPoolExecutor(1)])
@pytest.mark.parametrize(("request_", "error"), [("fail", SweepError), ("interrupt", KeyboardInterrupt)])
def test_interrupted_sweep_computes_only_the_missing_cells(tmp_path, pool, request_, error):
    grid, store = grid_in(tmp_path), tmp_path / "store"
    (tmp_path / request_).touch()
    executor = pool and pool()
    with pytest.raises(error):
        sweep(measure, grid, executor=executor, store=store)
    if executor:
        executor.shutdown()
    stored, before = len(list(store.iterdir())), calls(tmp_path)
    assert stored >= 4  # the cells before x = 2
    table = sweep(measure, grid, store=store)
    assert calls(tmp_path) - before == 8 - stored
    same(table, sweep(measure, grid))
    before = calls(tmp_path)
    same(sweep(measure, grid, store=store), table)  # and a third time none
    assert calls(tmp_path) == before


def test_failure_names_its_cell_and_cancels_the_rest():
    released, begun = threading.Event(), []

    def fails_first(x):
        begun.append(x)
        if x == 0:
            raise ZeroDivisionError("of cell 0")
        released.wait(10)
        return x

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(SweepError, match=r"cell \{'x': 0\}: ZeroDivisionError: of cell 0") as raised:
            sweep(fails_first, {"x": range(50)}, executor=executor)
        released.set()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert len(begun) <= 2  # the one that failed, and the one that had begun by then


def test_an_error_that_cannot_be_unpickled_names_its_cell_too():
    with process_pool() as executor, pytest.raises(SweepError, match=r"cell \{'x': 3\}: .*Untravelled: no: way"):
        sweep(raises_what_cannot_travel, {"x": [3]}, executor=executor)
    with pytest.raises(SweepError, match=r"cell \{'x': 3\}: Untravelled: no: way"):
        sweep(raises_what_cannot_travel, {"x": [3]})


def test_futures_of_a_broken_pool_are_left_to_the_pool(tmp_path):
    class Breaking(Executor):
        def submit(self, function, *arguments):
            futures.append(Future())
            if len(futures) == 1:
                futures[0].set_result(function(*arguments))
            if len(futures) == 2:
                futures[1].set_exception(BrokenProcessPool("a worker died"))
            return futures[-1]

    futures = []
    with pytest.raises(BrokenProcessPool):
        sweep(one, {"x": [1, 2, 3]}, executor=Breaking(), store=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    futures[2].set_exception(BrokenProcessPool())  # raises if it was cancelled, which would end the pool's own thread


def special(name):
    return {"number": {"sum": 0.1 + 0.2, "nan": math.nan, "inf": -math.inf, "tiny": 5e-324, "zero": -0.0}[name]}


def test_floats_come_back_from_the_store_bit_by_bit(tmp_path):
    grid = {"name": ["sum", "nan", "inf", "tiny", "zero"]}
    fresh = sweep(special, grid, store=tmp_path)
    stored = sweep(special, grid, store=tmp_path)
    assert stored["number"].to_numpy().tobytes() == fresh["number"].to_numpy().tobytes()
    assert fresh["number"].to_numpy().tobytes() == np.array([0.1 + 0.2, math.nan, -math.inf, 5e-324, -0.0]).tobytes()


def test_results_of_every_kind(tmp_path):
    def result(kind):
        frame = pd.DataFrame({"a": [1, 2]})
        return {"scalar": np.float32(0.5), "dict": {"a": np.int64(3), "b": True, "s": "x", "none": None},
                "rows": [{"a": 1}, {"a": 2}], "frame": frame, "empty": []}[kind]

    for kind, rows in {"scalar": 1, "dict": 1, "rows": 2, "frame": 2, "empty": 0}.items():
        fresh = sweep(result, {"kind": [kind]}, store=tmp_path / "store")
        assert len(fresh) == rows
        same(sweep(result, {"kind": [kind]}, store=tmp_path / "store"), fresh)


@dataclass
class Loose:
    width: int


def test_functions_of_a_notebook(tmp_path):
    text = "def square(x):\n    return x * x\n"
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(True), "<cell 1>")
    space = {"__name__": "__main__"}
    exec(compile(text, "<cell 1>", "exec"), space)  # what IPython does with a cell
    assert sweep(space["square"], {"x": [3]}, store=tmp_path)["value"].tolist() == [9]
    del linecache.cache["<cell 1>"]
    with pytest.raises(ValueError, match=r"^function=.*source can be read"):
        sweep(space["square"], {"x": [3]}, store=tmp_path)
    assert sweep(space["square"], {"x": [3]})["value"].tolist() == [9]


@pytest.mark.parametrize(("argument", "grid"), [
    ("grid", {}), ("grid", []), ("grid", {"x": []}), ("grid", None), ("grid", [1]), ("grid", [{"x": 1}, {"y": 1}]),
    (r"grid\['x'\]", {"x": 3}), (r"grid\['x'\]", {"x": "abc"}), (r"grid\['x'\]", {"x": {1, 2}}), ("grid", {3: [1]}),
    (r"grid\['x'\]", {"x": np.array(1.0)}), ("x", {"x": [{}]}), ("x", {"x": [object()]}), ("x", {"x": [Loose(1)]}),
    (r"grid\['x'\]", {"x": np.ones((2, 2))}), ("x", {"x": [[1, {2}]]}), ("x", {"x": [1j]}), ("x", [{"x": b"1"}])])
def test_bad_grid_is_named(argument, grid):
    with pytest.raises(ValueError, match=rf"(?s)^{argument}=.*must be"):
        sweep(one, grid)


@pytest.mark.parametrize(("argument", "options"), [
    ("executor", {"executor": 4}), ("store", {"store": 4}), ("store", {"store": __file__}),
    ("progress", {"progress": "yes"}), ("damaged", {"damaged": "ignore"})])
def test_bad_options_are_named(argument, options):
    with pytest.raises(ValueError, match=rf"(?s)^{argument}=.*must be"):
        sweep(one, {"x": [1]}, **options)


def test_bad_function_is_named():
    with pytest.raises(ValueError, match=r"^function=3: must be callable"):
        sweep(3, {"x": [1]})


@pytest.mark.parametrize("result", [[1.0], np.ones(2), {"y": [1]}, {"x": 1}, {3: 1}, object()])
def test_bad_result_names_the_cell(result):
    with pytest.raises(SweepError, match=r"cell \{'x': 7\}: ValueError: function's result.*must be"):
        sweep(lambda x: result, {"x": [7]})


def test_progress_bar_is_drawn_when_asked_for(capsys):
    sweep(one, {"x": range(3)}, progress=True)
    assert "3/3" in capsys.readouterr().err
    sweep(one, {"x": range(3)}, progress=False)
    sweep(one, {"x": range(3)})  # not a terminal here
    assert capsys.readouterr().err == ""
