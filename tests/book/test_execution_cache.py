"""What the execution cache holds is believed only if it is what was put there, whatever is beside it or at work."""

import os
import shutil
import sqlite3
import subprocess
import sys
from copy import deepcopy
from functools import partial

import execution
import nbformat
import pytest
from made_up import HEADER

CHAPTER = HEADER + """
# A tiny chapter

```{code-cell} ipython3
total = 1 + 1
```

```{code-cell} ipython3
print("total is", total)
```
"""


def new_book(root):
    """The source of a tiny chapter, the only one of a book in `root`."""
    source = root / "nbs" / "01_tiny.md"
    source.parent.mkdir(parents=True)
    (root / "requirements.txt").write_text("")
    source.write_text(CHAPTER)
    return source


@pytest.fixture(scope="module")
def executed_once(tmp_path_factory):
    """A tiny book and its cache (it starts a kernel)."""
    source = new_book(tmp_path_factory.mktemp("once") / "book")
    assert execution.fill([source], 1, source.parent.parent) == {}
    return source.parent.parent


@pytest.fixture
def kept(executed_once, tmp_path):
    """The source of a chapter in a book of its own, whose cache has it."""
    return shutil.copytree(executed_once, tmp_path / "book") / "nbs" / "01_tiny.md"


def half_written(cache):
    next(cache.glob("executed/*/base.ipynb")).write_text("{")


def empty(cache):
    next(cache.glob("executed/*/base.ipynb")).write_bytes(b"")


def another_kind(cache):
    next(cache.glob("executed/*/base.ipynb")).write_text("[]")


def no_bytes_of_text(cache):
    next(cache.glob("executed/*/base.ipynb")).write_bytes(b"\xff" * 9)


def a_cell_less(cache):
    path = next(cache.glob("executed/*/base.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    del notebook.cells[-1]
    nbformat.write(notebook, path)


def another_digit(cache):
    """JSON still, and a notebook: nothing but its hash tells."""
    path = next(cache.glob("executed/*/base.ipynb"))
    text = path.read_text("utf-8")
    assert text.count("total is 2") == 1
    path.write_text(text.replace("total is 2", "total is 3"))


def half_of_it(cache):
    path = next(cache.glob("executed/*/base.ipynb"))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def no_hash(cache):
    """As an earlier edition left it."""
    with sqlite3.connect(cache / "global.db") as database:
        database.execute("""UPDATE nbcache SET data = '{"execution_seconds": 1.0}'""")
    database.close()


def no_file(cache):
    """As after a kill between the row and the file."""
    next(cache.glob("executed/*/base.ipynb")).unlink()


def no_folder(cache):
    shutil.rmtree(cache / "executed")


def no_row(cache):
    with sqlite3.connect(cache / "global.db") as database:
        database.execute("DELETE FROM nbcache")
    database.close()


def no_row_and_no_file(cache):
    no_row(cache)
    no_file(cache)


def damaged_row(cache):
    with sqlite3.connect(cache / "global.db") as database:
        database.execute("UPDATE nbcache SET data = '{'")
    database.close()


def no_table(cache):
    with sqlite3.connect(cache / "global.db") as database:
        database.execute("DROP TABLE nbcache")
    database.close()


def empty_database(cache):
    (cache / "global.db").write_bytes(b"")


def no_database(cache):
    (cache / "global.db").write_bytes(b"no database " * 999)


def cut_database(cache):
    (cache / "global.db").write_bytes((cache / "global.db").read_bytes()[:5000])


DAMAGES = (half_written, half_of_it, empty, another_kind, no_bytes_of_text, a_cell_less, another_digit, no_hash,
           no_file, no_folder, no_row, no_row_and_no_file, damaged_row, no_table, empty_database, no_database,
           cut_database)


def test_what_is_not_as_it_was_put_there_is_executed_again(kept, monkeypatch):
    root = kept.parent.parent
    run, calls, cache = execution.executed(kept, root), [], root / "_build" / ".jupyter_cache"
    monkeypatch.setattr(execution, "sleep", lambda seconds: None)  # no other process makes tables here
    monkeypatch.setattr(execution, "execute", lambda path, threads: (calls.append(path), (deepcopy(run), 1.0, ""))[1])
    for damage in DAMAGES:
        calls.clear()
        damage(cache)
        assert execution.cached(kept, root) is None, damage.__name__
        with pytest.raises(KeyError, match=r"01_tiny.md is not in the execution cache"):
            execution.executed(kept, root)
        assert execution.fill([kept], 1, root) == {} and calls == [kept], damage.__name__
        again = execution.executed(kept, root)
        assert [cell.get("outputs") for cell in again.cells] == [cell.get("outputs") for cell in run.cells]
        assert execution.fill([kept], 1, root) == {} and calls == [kept], f"{damage.__name__}: once is enough"


def test_a_cache_in_another_process_hands_is_not_dropped(kept, monkeypatch):
    root = kept.parent.parent
    soon = partial(execution.engine, connect_args={"timeout": 0.1})  # seconds to wait for the other, not five
    monkeypatch.setattr(execution.db, "create_engine", soon)
    database = sqlite3.connect(root / "_build" / ".jupyter_cache" / "global.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RuntimeError):
        execution.open_cache(root)
    database.close()
    assert execution.cached(kept, root)


def test_what_is_damaged_is_gone_even_where_the_notebook_fails_now(kept, monkeypatch):
    """Sphinx would show it."""
    root = kept.parent.parent
    (file,) = (root / "_build" / ".jupyter_cache").glob("executed/*/base.ipynb")
    file.write_text(file.read_text("utf-8").replace("total is 2", "total is 3"))
    monkeypatch.setattr(execution, "execute", lambda path, threads: (None, 1.0, "a cell failed"))
    assert execution.fill([kept], 1, root) == {kept: "a cell failed"} and not file.exists()


TWICE = """
import sys
from pathlib import Path
import execution
source = Path(sys.argv[1])
assert execution.fill([source], 1, source.parent.parent) == {}
assert execution.executed(source, source.parent.parent).cells[-1].outputs
"""


def test_two_runs_that_begin_on_nothing_at_once_end_well(tmp_path):
    source = new_book(tmp_path / "book")
    path = os.pathsep.join([str(execution.ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
    runs = [subprocess.Popen([sys.executable, "-c", TWICE, source], env=os.environ | {"PYTHONPATH": path}, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert execution.cached(source, tmp_path / "book")


@pytest.mark.parametrize("kind", ["none", "missing", "mine"])
def test_who_has_no_home_to_write_into_gets_one(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "missing") if kind == "missing" else str(tmp_path))
    if kind == "none":
        monkeypatch.setattr(execution.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    before = os.environ["HOME"]
    execution.find_home(tmp_path / "book")
    found = os.environ["HOME"]
    assert found == (before if kind == "mine" else str(tmp_path / "book" / "_build" / "home")) and os.path.isdir(found)


def test_a_home_is_found_beside_a_book_that_one_may_not_write_into(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    (tmp_path / "book").write_text("no folder: root, too, can make none in it")
    execution.find_home(tmp_path / "book")
    assert os.path.isdir(os.environ["HOME"])
    os.rmdir(os.environ["HOME"])


def test_the_cache_lies_where_its_folder_says_whatever_is_in_the_name(tmp_path):
    """A question mark in a path began the database's options, and its file lay elsewhere."""
    root = tmp_path / "Jürgen's %20 book #1? a&b=c"
    (root / "_build").mkdir(parents=True)
    execution.open_cache(root)
    assert (root / "_build" / ".jupyter_cache" / "global.db").stat().st_size and len(list(tmp_path.iterdir())) == 1
