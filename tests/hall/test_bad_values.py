"""Bad values in every argument of every public entry: a clear error, never nonsense, a hang or a crash."""

import collections
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import bad_values
import pytest
from entries import LEFT_OUT, SOURCE, arguments, entries, is_result
from good_arguments import CASES, good_arguments

SCRIPT = Path(bad_values.__file__)
# Of the errors of these at most 2% may be obscure; of a wing's others 10%.
MAIN = {"Record", "TwoLayerCNN", "decompose", "descend", "limit_law", "random_stream", "sweep", "inner_products",
        "descend_variant", "conditions", "stage_one_bounds", "compare_stops", "selection_quality", "phase_cell",
        "load_table", "fit", "Recipe", "out_of_fold", "find_suspects"}


def measured():
    """The line of each call: the process that makes them is begun again after one that hung or killed it."""
    found, first = [], 0
    while first is not None:
        lines, died = one_process(first)
        found += [line for line in lines if len(line) > 5]
        begun = lines[-1] if lines else [first, "", "", "", ""]
        if died:
            found.append([*begun[:5], died, ""])
        first = begun[0] + 1 if died else None
        assert not died or lines, "the process that calls the entries does not start"
    return found


def one_process(first):
    """The lines of a process that begins with the call number `first`, and what became of it: "" if all was called."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(first)], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    lines, patience = [], 180.0  # on a busy machine; a call ends itself after 5 s of the processor where Python can
    while True:
        began = time.monotonic()
        ready, _, _ = select.select([process.stdout], [], [], patience)
        if not ready:
            process.kill()
            process.wait()
            return lines, f"hang of {time.monotonic() - began:.0f} s"
        line = process.stdout.readline()
        if not line:
            break
        lines.append(json.loads(line))
    process.stdout.close()
    return lines, f"crash with {process.returncode}" if process.wait() else ""


@pytest.fixture(scope="module")
def calls():
    assert SCRIPT.exists()
    return [dict(zip(("number", "wing", "entry", "argument", "bad", "outcome", "said"), line)) for line in measured()]


def told(rows):
    return "\n".join(f"{row['entry']}({row['argument']}: {row['bad']}) {row['outcome']} {row['said']}" for row in rows)


@pytest.mark.parametrize("wing", CASES)
def test_each_entry_and_each_of_its_arguments_has_a_good_call_or_a_reason(wing):
    wanted = {name: set(arguments(value)) for name, value in entries(wing).items()
              if name not in LEFT_OUT and not is_result(value)}
    given = {name: {*case.arguments, *case.without} for name, case in good_arguments(wing).items()}
    assert wanted == given


def test_every_wing_is_measured():
    assert sorted(CASES) == sorted(["hall", *(path.parent.name for path in SOURCE.glob("*/__init__.py"))])


def test_good_calls_are_accepted(calls):
    failed = [row for row in calls if not row["argument"] and row["outcome"] != "accepted"
              and not good_arguments(row["wing"])[row["entry"]].fails]
    assert not failed, told(failed)


def test_no_bad_value_is_accepted_and_none_hangs_or_crashes(calls):
    failed = [row for row in calls if row["argument"] and row["outcome"] not in ("clear", "obscure")]
    assert not failed, told(failed)


@pytest.mark.parametrize("wing", CASES)
def test_errors_name_the_argument(calls, wing):
    counts = collections.Counter((row["entry"] in MAIN, row["outcome"]) for row in calls
                                 if row["wing"] == wing and row["argument"])
    for main, most in ((True, 0.02), (False, 0.10)):
        obscure, clear = counts[main, "obscure"], counts[main, "clear"]
        assert obscure <= most * (obscure + clear), told(
            [row for row in calls if row["wing"] == wing and row["outcome"] == "obscure"])
