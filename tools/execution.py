"""Execute the book's notebooks into the cache that the book and the paired notebooks are made from.

jupyter-cache knows a notebook by its code cells alone. What else decides an output (the shared modules, the pins,
the profile) is hashed here; when that hash changes, the cache is dropped, and with it Sphinx's memory of the pages.
Then what is not in the cache, or is not to the byte what was put there, is executed, two notebooks at a time.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib import metadata
from itertools import repeat
from pathlib import Path
from time import perf_counter, sleep

import jupytext
import nbformat
import pandas as pd
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache import db
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from helpers.files import alone, write_atomically

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 900  # seconds; the same in _config.yml
STAMP, RUN_TIMES = Path("_build/execution-fingerprint"), Path("book/run_times.csv")
SQLITE = "sqlite:///"


def find_home(root=ROOT):
    """Have a home folder to write into: where there is no other, _build/home, or a temporary one.

    Jupyter and matplotlib keep files at home: the one does not start without it, the other writes a warning on a page.
    """
    try:
        if os.access(Path.home(), os.W_OK | os.X_OK):
            return
    except RuntimeError:  # a user without a name, as in some containers, and no HOME
        pass
    home = Path(root, "_build", "home")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:  # someone else's checkout, which one may still check
        home = tempfile.mkdtemp()
    os.environ["HOME"] = str(home)


find_home()


def engine(address, **options):
    """SQLAlchemy's engine of jupyter-cache's database.

    jupyter-cache never closes it, of which Python 3.13 warns: here no connection outlives its use. And it makes an
    address of a path as it is, in which a question mark would begin the options.
    """
    return create_engine(URL.create("sqlite", database=address.removeprefix(SQLITE)), poolclass=NullPool, **options)


db.create_engine = engine
COLUMNS = ["chapter", "seconds", "profile", "device", "threads", "python", "torch", "numpy", "date"]


def chapters(root=ROOT):
    """The chapters' sources, nbs/NN_slug.md, in order."""
    return sorted(Path(root).glob("nbs/[0-9][0-9]_*.md"))


def deeper(chapter, root=ROOT):
    """The pages behind a chapter for who wants to go deeper, book/deeper/NN_slug.md: executed, but with no pair."""
    return sorted(Path(root).glob(f"book/deeper/{chapter.stem[:2]}_*.md"))


def notebooks(root=ROOT):
    """Every text notebook of the book: the chapters, and those prose pages that hold code cells."""
    pages = [page for page in sorted(Path(root).glob("book/**/*.md")) if "format_name: myst" in page.read_text("utf-8")]
    return pages + chapters(root)


def fingerprint(root=ROOT):
    """Hash of all that decides an output besides a notebook's own code."""
    root = Path(root)
    digest = hashlib.sha256(sys.version.encode())
    files = [path for folder in ("src", "book/results") for path in sorted(root.glob(f"{folder}/**/*"))
             if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
             and not path.name.startswith(".")]  # write_atomically's, before they get their name
    for path in [root / "requirements.txt", *files]:
        content = path.read_bytes().replace(b"\r\n", b"\n")  # whatever a checkout made of its line ends
        digest.update(path.relative_to(root).as_posix().encode() + hashlib.sha256(content).digest())
    installed = sorted(f"{item.name}=={item.version}" for item in metadata.distributions())
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("SIGNAL_FIRST_"))
    digest.update("\n".join([*installed, *settings, f"gpu={os.path.exists('/dev/nvidia0')}"]).encode())
    return digest.hexdigest()


def is_stale(root=ROOT):
    """Whether the execution cache was made under another fingerprint than the present one."""
    stamp = Path(root) / STAMP
    return not stamp.exists() or stamp.read_bytes() != fingerprint(root).encode()


def changing(root=ROOT):
    """Inside, no other run of these tools drops, makes or writes into the execution cache: it waits."""
    Path(root, "_build").mkdir(exist_ok=True)
    return alone(Path(root, "_build", ".execution-lock"))


def drop_if_stale(root=ROOT):
    """Drop the execution cache, and Sphinx's pickled pages, unless they were made under the present fingerprint."""
    with changing(root):
        if not is_stale(root):
            return False
        for folder in (".jupyter_cache", ".doctrees"):
            shutil.rmtree(Path(root, "_build", folder), ignore_errors=True)
        write_atomically(Path(root, STAMP), fingerprint(root).encode())
    return True


def open_cache(root=ROOT):
    """The jupyter-cache that _config.yml names, empty where its database cannot be read."""
    with changing(root):
        return _open_cache(root)


def _open_cache(root):
    folder = str(Path(root) / "_build" / ".jupyter_cache")
    for wait in (0.2, 1.0, 0.0):  # seconds, for another process that makes the tables
        cache = get_cache(folder)
        try:
            cache.list_cache_records()
            return cache
        except (SQLAlchemyError, RuntimeError, ValueError) as error:  # jupyter-cache makes some a RuntimeError
            if "database is locked" in f"{error} {error.__cause__}":  # whole, and in another process's hands
                raise
        sleep(wait)
    shutil.rmtree(folder)
    return get_cache(folder)


def digest_of(text):
    """The SHA-256 of a notebook's file in the cache, kept in its row: a flipped bit may well be JSON still."""
    return hashlib.sha256(text.encode()).hexdigest()


def _believed(cache, path):
    """(record, executed notebook) of `path` out of the cache. Raises whatever it may where it holds none as was put."""
    notebook = jupytext.read(path)
    record = cache.match_cache_notebook(notebook)
    if record.data["sha256"] != digest_of((cache.path / "executed" / record.hashkey / "base.ipynb").read_text("utf-8")):
        raise ValueError(f"{path}: not what was put into the cache")
    merged = cache.merge_match_into_notebook(notebook)[1]
    nbformat.validate(merged)
    return record, merged


def _found(path, root, damaged_goes=False):
    """(record, executed notebook) of `path`; (None, None) if the cache holds none that is to the byte what was put.

    damaged_goes : what it holds instead is taken away, for Sphinx would believe it.
    """
    with changing(root):  # what another run is just replacing is not half there
        cache = _open_cache(root)
        try:
            return _believed(cache, path)
        except Exception:  # none, or damaged in whatever way
            if damaged_goes:
                key = cache.create_hashed_notebook(jupytext.read(path))[1]
                shutil.rmtree(cache.path / "executed" / key, ignore_errors=True)
            return None, None


def cached(path, root=ROOT):
    """The cache's record of the notebook `path`, None if it holds none that is to the byte what was put there."""
    return _found(path, root)[0]


def run_times(root=ROOT):
    """The table of run times in book/run_times.csv (tools/status.py), without rows if there is none."""
    path = Path(root) / RUN_TIMES
    return pd.read_csv(path, dtype={"python": str}) if path.exists() else pd.DataFrame(columns=COLUMNS)


def made_by(threads):
    """Device, profile, versions and date of an execution: what helpers.runtime knows, and the kernels' threads."""
    from helpers.runtime import provenance  # late: imports torch
    return provenance() | {"threads": threads, "date": date.today().isoformat()}


def put(path, notebook, seconds, threads, root):
    """Keep the executed notebook of `path` in the cache."""
    cache = open_cache(root)
    hashed, key = cache.create_hashed_notebook(notebook)
    about = {"execution_seconds": seconds, "made_by": made_by(threads),
             "sha256": digest_of(nbformat.writes(hashed, nbformat.NO_CONVERT))}
    bundle = CacheBundleIn(notebook, str(path), data=about)
    with changing(root):
        # Whole or not: a folder that a killed process left would be in the way.
        shutil.rmtree(cache.path / "executed" / key, ignore_errors=True)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def threads_each(side_by_side):
    """Threads of each of the kernels that run side by side: as the environment says, or an equal share of the cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // side_by_side))


def kernel_environment(threads):
    """The environment of a kernel with so many threads, without what pytest sets, which would hide figures."""
    # PASSIVE: on a busy machine, threads that spin while they wait for each other cost minutes.
    settings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return settings | {name: value for name, value in os.environ.items()
                       if name != "MPLBACKEND" and not name.startswith("PYTEST_")}


def execute(path, threads):
    """Run one notebook in its own folder. Returns (notebook with outputs, seconds, the failure in words or "")."""
    print(f"executing {path.name}", flush=True)
    notebook, failure, start = jupytext.read(path), "", perf_counter()
    # Timings would go into the cells' metadata, by which the cache knows them.
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT, record_timing=False,
                            resources={"metadata": {"path": str(path.parent)}})
    try:
        # Not client.execute(), which leaves an open event loop behind in a thread.
        asyncio.run(client.async_execute(env=kernel_environment(threads)))
    except (CellExecutionError, CellTimeoutError, DeadKernelError):
        failure = traceback.format_exc()
    return notebook, perf_counter() - start, failure


def fill(paths, workers, root=ROOT):
    """Execute those of `paths` that the cache lacks, `workers` at a time. Returns {path: failure} of the failed."""
    drop_if_stale(root)
    known = run_times(root).groupby("chapter").seconds.max()
    missing = [path for path in paths if _found(path, root, damaged_goes=True)[0] is None]
    missing.sort(key=lambda path: -known.get(path.stem, 0))  # else a long one runs alone at the end
    # Kernels are processes of their own: share the cores among those that run side by side.
    side_by_side = max(1, min(workers, len(missing)))
    threads = threads_each(side_by_side)
    failed = {}
    with ThreadPoolExecutor(side_by_side) as pool:
        for path, (notebook, seconds, failure) in zip(missing, pool.map(execute, missing, repeat(threads))):
            if failure:
                failed[path] = failure
            else:
                put(path, notebook, seconds, threads, root)
                print(f"executed  {path.name} in {seconds:.0f} s", flush=True)
    return failed


def executed(path, root=ROOT):
    """The executed notebook of `path` out of the cache, with every output. Raises KeyError if it holds none whole."""
    notebook = _found(path, root)[1]
    if notebook is None:
        raise KeyError(f"{path} is not in the execution cache")
    return notebook


def noise(executed):
    """Sentences about cells that wrote to stderr: on the page of a chapter a stray warning is a fault."""
    return [f"cell {index} wrote to stderr: {output.text.strip()[:500]}" for index, cell in enumerate(executed.cells)
            for output in cell.get("outputs", []) if output.get("name") == "stderr"]


def report(faults):
    """Print sentences as errors. Returns a command's exit status, 1 if there are any."""
    faults = list(faults)
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return int(bool(faults))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="notebooks executed side by side (default 2)")
    parser.add_argument("--strict", action="store_true", help="fail, too, if a cell wrote to stderr")
    options = parser.parse_args(arguments)
    paths = notebooks()
    failed = fill(paths, options.workers)
    report(f"\n{path}: a cell failed\n{failure}" for path, failure in failed.items())
    noisy = report(f"{path}: {words}" for path in paths if path not in failed for words in noise(executed(path)))
    return 1 if failed else options.strict and noisy


if __name__ == "__main__":
    sys.exit(main())
