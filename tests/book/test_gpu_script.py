"""`make gpu`: whatever hangs, fails or is interrupted, what was done is kept, and eight minutes are enough."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

ENDS = "print('| a | b |', '|---|---|', '| 1 | 2 |', sep='\\n')"
FAILS = "print('| c |', flush=True); raise SystemExit(3)"
# It starts a process that hangs too; both shut their ears to a polite request.
HANGS = ("import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
         "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
         "print('|', child.pid, '|', flush=True); time.sleep(60)")
HANGS_ALONE = "import os, signal, time; print('|', os.getpid(), '|', flush=True); time.sleep(60)"


@pytest.fixture
def gpu(pytestconfig, monkeypatch):
    monkeypatch.syspath_prepend(str(pytestconfig.rootpath / "benchmarks"))
    import gpu

    monkeypatch.setattr(gpu, "GRACE", 0.2)
    return gpu


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def ends(pid, seconds=30):
    """Whether a process ends in time."""
    last = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < last:
        time.sleep(0.1)
    return not alive(pid)


def test_each_part_leaves_its_outcome(gpu, tmp_path):
    made = [gpu.Part("hangs", "Hangs", ("-c", HANGS), 3.0, ()), gpu.Part("fails", "Fails", ("-c", FAILS), 30.0, ()),
            gpu.Part("lacks", "Lacks", ("-c", ENDS), 30.0, ("json", "no_such_module")),
            gpu.Part("ends", "Ends", ("-c", ENDS), 30.0, ("json",))]
    gpu.run_all(made, tmp_path, "a machine", time.monotonic() + 100)
    kept = {part.name: json.loads((tmp_path / f"{part.name}.json").read_text()) for part in made}
    assert {name: one["outcome"] for name, one in kept.items()} == {
        "hangs": "stopped after 3 s", "fails": "failed with exit status 3", "lacks": "left out: no no_such_module",
        "ends": "done"}
    assert kept["fails"]["table"] == ["| c |"] and kept["ends"]["table"] == ["| a | b |", "|---|---|", "| 1 | 2 |"]
    assert ends(int(kept["hangs"]["table"][0].strip("| ")))
    summary = (tmp_path / "summary.md").read_text()
    assert "| Hangs | stopped after 3 s | " in summary and "| 1 | 2 |" in summary and "a machine" in summary


def test_no_part_runs_beyond_the_deadline(gpu, tmp_path):
    start = time.monotonic()
    gpu.run_all([gpu.Part(name, name, ("-c", HANGS), 30.0, ()) for name in "ab"], tmp_path, "", start + 1)
    assert time.monotonic() - start < 10
    assert all("stopped" in json.loads((tmp_path / f"{name}.json").read_text())["outcome"] for name in "ab")


@pytest.mark.parametrize(("ending", "outcome"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "under way")])
def test_a_stop_half_way_keeps_what_was_done(gpu, tmp_path, ending, outcome, pytestconfig):
    """Of a script that is killed, the part under way ends by the alarm that it carries."""
    # In the background of a script a shell lets its children ignore an interrupt.
    program = (f"import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler);"
               f"sys.path.insert(0, {str(pytestconfig.rootpath / 'benchmarks')!r}); import gpu;"
               f"from pathlib import Path; gpu.GRACE = 1; parts = [gpu.Part('ends', 'Ends', ('-c', {ENDS!r}), 30, ()),"
               f"gpu.Part('hangs', 'Hangs', ('-c', {HANGS_ALONE!r}), 6, ())];"
               f"gpu.run_all(parts, Path({str(tmp_path)!r}), '', time.monotonic() + 100)")
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log, end = tmp_path / "hangs.log", time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("|\n")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(ending)
    process.wait(30)
    assert json.loads((tmp_path / "ends.json").read_text())["outcome"] == "done"
    assert json.loads((tmp_path / "hangs.json").read_text())["outcome"] == outcome
    assert "| Ends | done |" in (tmp_path / "summary.md").read_text()
    assert ends(int(log.read_text().strip("|\n ")))


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_limits_add_up_to_eight_minutes(pytestconfig, monkeypatch, device):
    monkeypatch.syspath_prepend(str(pytestconfig.rootpath / "benchmarks"))
    import gpu

    parts = gpu.parts(device, device == "cpu")
    # Ending a part takes GRACE seconds after each of the two signals.
    assert gpu.LIMIT <= 8 * 60 and gpu.START + sum(part.limit + 2 * gpu.GRACE for part in parts) <= gpu.LIMIT
    assert [part.name for part in parts] == ["tests", "engine", "training", "chapters", "map"]
    assert all(Path(part.command[0]).exists() for part in parts)


def test_without_a_gpu_it_says_so(gpu, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "probe", lambda: {"torch": "2", "gpu": None, "cuda": None})
    assert gpu.main([]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_pytests_outcomes_become_a_table(gpu, tmp_path):
    log = tmp_path / "tests.log"
    log.write_text("tests/test_cuda.py::test_a[x y] PASSED  [ 50%]\ntests/test_cuda.py::test_b FAILED [100%]\n")
    assert gpu.table(log)[-3:] == ["| 1 | 1 | 0 | 0 |", "", "- FAILED: `tests/test_cuda.py::test_b`"]


def test_tests_for_a_gpu_are_found(gpu):
    import gpu_parts

    assert "test_cuda.py" in {path.name for path in gpu_parts.cuda_tests()}


def test_chapters_are_read_as_jupytext_reads_them(gpu, pytestconfig):
    import gpu_parts

    paths = gpu_parts.in_order(False)
    assert sorted(paths) == sorted((pytestconfig.rootpath / "nbs").glob("*.md"))
    for path in paths:
        notebook = jupytext.read(path)
        assert gpu_parts.cells(path.read_text("utf-8")) == [c.source for c in notebook.cells if c.cell_type == "code"]
        compile(gpu_parts.script(path), path.name, "exec")


def test_a_row_of_the_map_is_what_phase_cell_says(gpu):
    """The inner products drawn once for a row are each run's own, and so are the values."""
    import phase_rows

    from helpers import SignalNoise
    from helpers.engine.gram import inner_products
    from helpers.experiments.phase_diagram import INITIAL_RESPONSE, phase_cell

    sizes = phase_rows.Sizes(c=3, tau=4, runs=2, n=30, m=3, s_end=3.0)
    row = phase_rows.Row(sizes, 1, torch.device("cpu"))
    rates = sizes.flip_rates
    law = SignalNoise(30, 300, n_snr2=row.c, flip_plus=rates[2], flip_minus=rates[2])
    own = inner_products(law, 3, INITIAL_RESPONSE / 300**0.5, 1)
    assert all(torch.equal(value, vars(own)[name]) for name, value in vars(row.products(rates)[5]).items())
    for k, rate in enumerate(rates):
        cell = phase_cell(row.c, float(rate), 10, n=30, m=3, runs=2, s_end=3.0)
        for name in row.values:
            expected = np.nan if cell[name] is None else cell[name]
            np.testing.assert_allclose(row.values[name][k], expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_rows_come_coarse_before_fine(gpu, count):
    import phase_rows

    found = phase_rows.order(count)
    assert sorted(found) == list(range(count))
    for known in range(2, count + 1):  # no gap is more than twice as wide as another, but for the end
        gaps = np.diff(sorted(found[:known]))
        assert gaps.max() <= 2 * gaps.min() or known < 4
