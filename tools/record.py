"""Record the runs that take minutes: book/results/NAME.csv, and NAME.json, which says how it was made.

    python tools/record.py                    record what is missing or made by another grid or other arguments
    python tools/record.py --force NAME ...   record these again, whatever is there
    python tools/record.py --minutes 8        begin no new cells after so many minutes; the next call goes on from there
    python tools/record.py --check            say what is missing or out of date; computes nothing
    python tools/record.py --verify NAME ...  after a change of code that should change no number: compute a small part
                                              again and, if it gives the numbers in the file, count the table as new
    ... --verify --against FOLDER NAME ...    the same on another CPU, whose last digits differ: FOLDER is a checkout
                                              (git worktree) of the code that made the table; both compute, here

Those on images read the files that environment variables such as SIGNAL_FIRST_CIFAR10 name, and say which file it was;
one whose variable is not set is left out. Each finished cell is kept in build/record at once: an interrupted recording
resumes. A cell counts as the same only under the same source of the modules that make it (helpers.sweeps.cell_keys).
DVC and Snakemake know the files behind a result, not the code: with them a changed comment would cost hours.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from helpers.experiments import RECORDINGS
from helpers.sweeps.store import stored_cells
from helpers.sweeps.tables import TablePlan, make_table, table_fault, table_files_read, verify

ROOT = Path(__file__).resolve().parent.parent
RESULTS, STORE = ROOT / "book" / "results", ROOT / "build" / "record"
SAME = "the same numbers"
TABLES = {name: TablePlan(**plan) for name, plan in RECORDINGS.items()}


def commit():
    """The commit of the working tree, with a + if there are changes since; None where git or its history is missing."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def verified(name, against=None):
    """What `verify` finds of a table, in words."""
    try:
        return SAME if verify(name, TABLES[name], RESULTS, against=against) else "other numbers: record it"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing: record it"
    except ValueError as error:  # no readable JSON, or other files to read
        return f"not compared; {error}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1: here)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new cells after so many minutes")
    parser.add_argument("--note", default="", help="kept beside the table, e.g. how the images were made")
    parser.add_argument("--force", action="store_true", help="record even what is up to date")
    parser.add_argument("--verify", action="store_true", help="keep what a small part, computed again, confirms")
    parser.add_argument("--against", metavar="FOLDER", help="with --verify: a checkout of the code that made the table")
    parser.add_argument("--check", action="store_true", help="say what is missing or out of date; fail if any")
    options = parser.parse_args(arguments)
    if options.against and not options.verify:
        parser.error("--against: goes with --verify")
    unknown = [name for name in options.names if name not in TABLES]
    if unknown or options.workers < 1:
        parser.error(f"no such recording: {', '.join(unknown)}" if unknown else "--workers: must be at least 1")
    faults = {name: table_fault(name, TABLES[name], RESULTS) for name in options.names or TABLES}
    if options.check:
        print(*[f"{name}: {reason or 'up to date'}" for name, reason in faults.items()], sep="\n")
        return 1 if any(faults.values()) else 0
    if options.verify:
        said = {name: verified(name, options.against) for name in faults}
        print(*[f"{name}: {text}" for name, text in said.items()], sep="\n")
        return 0 if set(said.values()) == {SAME} else 1
    deadline, left_out = time.monotonic() + 60 * options.minutes, 0
    for name, reason in faults.items():
        if reason is None and not options.force:
            print(f"{name}: up to date")
            continue
        try:
            files = table_files_read(TABLES[name])
        except ValueError as error:
            print(f"{name}: left out; {error}")
            left_out = 1
            continue
        print(f"{name}: {reason or 'forced'}; recording", flush=True)
        made = make_table(name, TABLES[name], RESULTS, STORE / name, options.workers, deadline=deadline, files=files,
                          note=options.note, commit=commit())
        if made is None:
            print(f"{name}: {stored_cells(STORE / name)} cells in the store; run again to go on")
            return 0
        print(f"{name}: {made['rows']} rows, {made['cells_computed']} cells computed in {made['seconds']:.0f} s")
    return left_out


if __name__ == "__main__":
    sys.exit(main())
