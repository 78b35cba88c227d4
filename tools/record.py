"""Record the runs that take minutes: book/results/NAME.csv, and NAME.json, which says how it was made.

    python tools/record.py                    record what is missing or made by another grid or other arguments
    python tools/record.py --force NAME ...   record these again, whatever is there
    python tools/record.py --minutes 8        begin no new cells after so many minutes; the next call goes on from there
    python tools/record.py --check            say what is missing or out of date; computes nothing

The recordings on images read the files that the variables of helpers.datasets name, such as SIGNAL_FIRST_CIFAR10, and
say which file it was; one whose variable is not set is left out. --note TEXT is kept beside the table.

Each finished cell is kept under --store at once: an interrupted recording resumes. A cell counts as the same only under
the same source of the modules that make it (helpers.store). Nothing in book/results is typed in by hand.
"""

import argparse
import hashlib
import inspect
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from helpers.attribution_runs import attribution_cell
from helpers.checkpoints import FOLDER_VARIABLE
from helpers.datasets import CIFAR10_VARIABLE, CIFAR10N_VARIABLE
from helpers.deep_runs import deep_cell
from helpers.elr_runs import elr_cell
from helpers.human_noise import KEEPS, cifar10n_cell
from helpers.loss_distances import MNIST_VARIABLE, loss_cell
from helpers.phase import PLANES, phase_cell
from helpers.record import write_atomically
from helpers.runtime import provenance
from helpers.sweep import sweep

ROOT = Path(__file__).resolve().parent.parent
RESULTS, STORE = ROOT / "book" / "results", ROOT / "build" / "record"
FORMAT, DIGITS = "signal-first recording 1", 5
AT_A_TIME = 200  # cells given to a pool at once: CPython 3.11 may hang if a worker dies with thousands in the queue


@dataclass(frozen=True)
class Recording:
    """A sweep worth recording: the function of a cell, its grid, and what the table shows, in a sentence.

    at_a_time : cells given to the workers at once; between two such parts the clock is read. reads : the environment
    variables that name the files its cells read.
    """

    function: Callable
    grid: dict
    about: str
    at_a_time: int = AT_A_TIME
    reads: tuple = ()


# Sizes are what two CPU cores can do in an evening; seeds run slowest, so that the first cells show all settings.
RECORDINGS = {
    "phase_flips": Recording(phase_cell, PLANES["phase_flips"],
                             "The phase diagram over n SNR^2 and the flip rate, at two ratios d/n"),
    "phase_dimensions": Recording(phase_cell, PLANES["phase_dimensions"],
                                  "The phase diagram over n SNR^2 and d/n, at one flip rate"),
    "human_noise": Recording(
        cifar10n_cell, {"seed": [0, 1, 2], "kind": ["aggregate", "random1", "worst"], "keep": list(KEEPS)},
        "CIFAR-10N with labels as people gave them, and with controls that keep less of their tie to the image",
        4, (CIFAR10_VARIABLE, CIFAR10N_VARIABLE)),
    "where_it_looks": Recording(
        attribution_cell, {"seed": [0, 1, 2], "flip_rate": [0.2], "n_train": [10_000], "network": ["small"]},
        "How far attributions turn while wrong labels are memorised, on all images of two classes of CIFAR-10",
        2, (CIFAR10_VARIABLE,)),
    "loss_distributions": Recording(
        loss_cell, {"seed": [0, 1, 2], "dataset": ["MNIST", "CIFAR-10"], "kind": ["symmetric", "pair"],
                    "rate": [0.2, 0.45], "n_train": [5000], "epochs": [20]},
        "Distances between clean and noisy losses over epochs, for symmetric and pair noise on MNIST and CIFAR-10",
        4, (MNIST_VARIABLE, CIFAR10_VARIABLE)),
    "deep_networks": Recording(
        deep_cell, {"seed": [0, 1, 2], "flip_rate": [0.0, 0.1, 0.2, 0.4], "network": ["VGG", "ResNet"],
                    "size": ["quick"], "n_train": [2000], "precision": ["bfloat16"]},
        "Two stages of a narrow VGG-11 and a small ResNet on two classes of CIFAR-10, over flip rates",
        4, (CIFAR10_VARIABLE,)),
    "elr": Recording(
        elr_cell, {"seed": [0, 1, 2], "rate": [0.2, 0.4, 0.6, 0.8], "loss": ["cross-entropy", "ELR", "ELR+"],
                   "n_train": [20_000], "side": [16]},
        "Cross-entropy, early-learning regularisation and ELR+ on ten classes of CIFAR-10, over nominal noise rates",
        4, (CIFAR10_VARIABLE,))}


def description(recording):
    """What decides a recording's numbers, as JSON: function, grid and the function's default arguments."""
    parameters = inspect.signature(recording.function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in recording.grid}
    name = f"{recording.function.__module__}.{recording.function.__qualname__}"
    return {"format": FORMAT, "about": recording.about, "function": name, "grid": recording.grid,
            "arguments": defaults, "digits": DIGITS}


def fault(name, recording, results):
    """Why `name` has to be recorded, in words; None if its files are whole and of the present description."""
    try:
        made = json.loads((results / f"{name}.json").read_text("utf-8"))
        rows = len((results / f"{name}.csv").read_text("utf-8").splitlines()) - 1
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except ValueError:
        return f"{name}.json is not readable"
    present = description(recording)
    changed = [key for key in present if made.get(key) != present[key]]
    if changed:
        return f"{name}.json was made with another {', '.join(changed)}"
    return None if rows == made.get("rows") else f"{name}.csv has {rows} rows, not {made.get('rows')}"


def files_read(recording):
    """{variable: what its file is, by name and the start of its SHA-256; a folder by its name}. ValueError if not set.

    Of a folder torchvision checks the files itself.
    """
    found = {}
    for variable in recording.reads:
        path = Path(os.environ.get(variable, ""))
        if not os.environ.get(variable) or not path.exists():
            raise ValueError(f"{variable}={os.environ.get(variable)!r}: must name files to read")
        digest = "" if path.is_dir() else f", sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        found[variable] = path.name + digest
    return found


def record(name, recording, results, store, workers, deadline=float("inf"), files=None, note=""):
    """Run the sweep and write NAME.csv and NAME.json. Cells in `store` are not computed again.

    files : as from `files_read`; the cells of other files are other cells, and kept apart. note : kept in the JSON.
    Returns what the JSON says; None if the time.monotonic() `deadline` came first, with the cells so far in the store.
    """
    made_by, start = provenance() | {"commit": commit()}, time.perf_counter()
    if files:
        store = Path(store) / hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]
    before = _stored(store)
    parts = _parts(recording)
    checkpoints = Path(store) / "checkpoints"
    with _environment(FOLDER_VARIABLE, str(checkpoints)):  # a killed training run goes on, too
        if workers == 1:
            whole = _compute(recording.function, parts, None, store, deadline)
        else:
            context = get_context("spawn")  # a fork server that runs already would have the environment of its start
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                whole = _compute(recording.function, parts, pool, store, deadline)
    if not whole:
        return None
    shutil.rmtree(checkpoints, ignore_errors=True)
    table = sweep(recording.function, recording.grid, store=store)  # reads the store
    seconds, computed, cells = time.perf_counter() - start, _stored(store) - before, sum(map(len, parts))
    made = description(recording) | {
        "rows": len(table), "columns": list(table.columns), "workers": workers, "seconds": round(seconds, 1),
        "cells_computed": computed, "cells_from_store": cells - computed,
        "recorded": time.strftime("%Y-%m-%d", time.gmtime()), "made_by": made_by, "files": files or {}, "note": note}
    text = io.StringIO()
    table.to_csv(text, index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    write_atomically(results / f"{name}.csv", text.getvalue().encode())
    # Last: without it, or with an old one, the recording counts as missing.
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
        sweep(function, part, pool, store)
    return True


def _parts(recording):
    """The grid's cells in lists of `at_a_time`."""
    cells = [dict(zip(recording.grid, values)) for values in itertools.product(*recording.grid.values())]
    return [cells[first:first + recording.at_a_time] for first in range(0, len(cells), recording.at_a_time)]


def commit():
    """The commit of the working tree, with a + if there are changes since; None where git or its history is missing."""
    git = lambda *words: subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)  # noqa: E731
    try:
        head, changes = git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:
        return None
    return head.stdout.strip() + ("+" if changes.stdout else "") if head.returncode == 0 else None


def _stored(store):
    return sum(1 for _ in Path(store).rglob("*.json"))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECORDINGS)}; all by default")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1: here)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the tables go (default book/results)")
    parser.add_argument("--store", type=Path, default=STORE, help="where cells are kept (default build/record)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new cells after so many minutes")
    parser.add_argument("--note", default="", help="kept beside the table, e.g. how the images were made")
    parser.add_argument("--force", action="store_true", help="record even what is up to date")
    parser.add_argument("--check", action="store_true", help="say what is missing or out of date; fail if any")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in RECORDINGS]
    if unknown or options.workers < 1:
        parser.error(f"no such recording: {', '.join(unknown)}" if unknown else "--workers: must be at least 1")
    chosen = {name: RECORDINGS[name] for name in options.names or RECORDINGS}
    faults = {name: fault(name, recording, options.results) for name, recording in chosen.items()}
    if options.check:
        print(*[f"{name}: {reason or 'up to date'}" for name, reason in faults.items()], sep="\n")
        return 1 if any(faults.values()) else 0
    deadline, left_out = time.monotonic() + 60 * options.minutes, 0
    for name, reason in faults.items():
        if reason is None and not options.force:
            print(f"{name}: up to date")
            continue
        try:
            files = files_read(chosen[name])
        except ValueError as error:
            print(f"{name}: left out; {error}")
            left_out = 1
            continue
        print(f"{name}: {reason or 'forced'}; recording", flush=True)
        made = record(name, chosen[name], options.results, options.store / name, options.workers, deadline, files,
                      options.note)
        if made is None:
            print(f"{name}: {_stored(options.store / name)} cells in the store; run again to go on")
            return 0
        print(f"{name}: {made['rows']} rows, {made['cells_computed']} cells computed in {made['seconds']:.0f} s")
    return left_out


if __name__ == "__main__":
    sys.exit(main())
